//! ddrescue and mirrorfs hand over to each other: what one has copied the other does not
//! copy again.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::spots::ranges;
use crate::cases::failover::rig::NO_IO;
use crate::cases::front::done;
use crate::cases::records::refused;
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, assert_equal, bytes, put};
use crate::lab::shell::{attempt, output};
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("a_mapfile", a_mapfile),
    both("with_a_limit", with_a_limit),
    both("what_is_no_mapfile", what_is_no_mapfile),
    kernel_only("from_ddrescue_and_back", NO_IO, from_ddrescue_and_back),
];

const SIZE: u64 = 16 * MIB;

/// What it calls copied is as it was, what it calls bad is tried, and all else is copied.
fn a_mapfile(lab: &Lab) {
    let mount = lab.mount();
    let source = lab.random(0, SIZE);
    let (target, noise) = lab.noise(1, SIZE);
    let map = mount.scratch("map");
    let text = "# by hand\n0 ? 1\n0 0x400000 +\n0x400000 0x1000 -\n0x401000 0x3ff000 +\n0x800000 0x800000 ?\n";
    fs::write(&map, text).expect("a mapfile");
    let line = format!("m: {source} {target} length=16M region=64K map={map}");
    mount.write("new", &line);
    mount.wait_in_sync("m");
    wait_for("one target", || mount.read("m/table").lines().count() == 1);
    let (from, to) = (bytes(&source, 0, SIZE), bytes(&target, 0, SIZE));
    let range = |start: u64, end: u64| start as usize..end as usize;
    for (start, end, copied) in [
        (0, 4 * MIB, false),
        (4 * MIB, 4 * MIB + 4096, true),
        // The region of what was tried begins where that ends.
        (4 * MIB + 65536, 8 * MIB - 65536, false),
        (8 * MIB, 16 * MIB, true),
    ] {
        let range = range(start, end);
        let wanted = if copied { &from } else { &noise };
        assert!(to[range.clone()] == wanted[range.clone()], "{range:?}");
    }
    let map = ranges(&mount.read("m/map"));
    assert_eq!(map, [(0, SIZE, '+')]);
    mount.write("m/ctl", "remove");
}

/// A limit is kept from the first moment, wherever something is missing; what is copied
/// already stays so, and costs nothing of what is allowed.
fn with_a_limit(lab: &Lab) {
    let mount = lab.mount();
    let source = lab.random(0, SIZE);
    let (target, noise) = lab.noise(1, SIZE);
    let map = mount.scratch("map");
    // 2 MiB are there, 8 are not, 2 are; a place is bad; the rest is not there.
    let text = "0 ? 1\n0 0x200000 +\n0x200000 0x800000 ?\n0xa00000 0x200000 +\n\
                0xc00000 0x1000 -\n0xc01000 0x3ff000 ?\n";
    fs::write(&map, text).expect("a mapfile");
    let line = |target: &str, words: &str| {
        format!("m: {source} {target} length=16M region=64K map={map} {words}")
    };
    // All of the target has to be there, whatever is copied first.
    let small = mount.scratch("small");
    output(&format!("truncate -s 12M {small}"));
    let answer = mount.try_write("new", &line(&small, "limit=0"));
    refused(answer, Errno::ENOSPC, "too small");
    mount.write("new", &line(&target, "limit=0"));
    let begun = ranges(&mount.read("m/map"));
    for kept in [(0, 2 * MIB, '+'), (10 * MIB, 2 * MIB, '+')] {
        assert!(begun.contains(&kept), "{begun:?}");
    }
    sleep(Duration::from_secs(2));
    assert_eq!(ranges(&mount.read("m/map")), begun);
    assert_eq!(mount.read("m/sync/state"), "stopped\n");
    assert!(bytes(&target, 0, SIZE) == noise, "something is copied");
    let health = mount.read("m/health");
    assert!(health.contains("before all else is copied\n"), "{health}");
    let (start, before) = (Instant::now(), done(&mount));
    mount.write("m/sync/limit", "2M");
    wait_longer(60, "8 MiB", || done(&mount) >= before + 8 * MIB);
    // The first step of four seconds waits as long as that, or is behind by it.
    let took = start.elapsed();
    assert!((2..9).contains(&took.as_secs()), "{took:?}");
    mount.write("m/sync/limit", "none");
    mount.wait_in_sync("m");
    wait_for("one target", || mount.read("m/table").lines().count() == 1);
    let (from, to) = (bytes(&source, 0, SIZE), bytes(&target, 0, SIZE));
    for (start, end, copied) in [
        (0, 2 * MIB, false),
        (2 * MIB, 10 * MIB, true),
        (10 * MIB, 12 * MIB - 65536, false),
        (12 * MIB, 16 * MIB, true),
    ] {
        let range = start as usize..end as usize;
        let wanted = if copied { &from } else { &noise };
        assert!(to[range.clone()] == wanted[range.clone()], "{range:?}");
    }
    mount.write("m/ctl", "remove");
}

fn what_is_no_mapfile(lab: &Lab) {
    let mount = lab.mount();
    let source = lab.random(0, SIZE);
    let (target, _) = lab.noise(1, SIZE);
    let map = mount.scratch("map");
    let try_with =
        |words: &str| mount.try_write("new", &format!("m: {source} {target} length=16M {words}"));
    refused(
        try_with(&format!("map={map}")),
        Errno::ENOENT,
        "the mapfile",
    );
    for (text, words) in [
        ("", "says nothing of any byte"),
        ("hello\n", "says nothing of any byte"),
        ("0 ? 1\n0 zwei +\n", "line 2 of the mapfile"),
        ("0 ? 1\n0 0x10000000 -\n", "nothing can be read"),
    ] {
        fs::write(&map, text).expect("a file");
        refused(try_with(&format!("map={map}")), Errno::EINVAL, words);
    }
    fs::write(&map, "0 ? 1\n0 512 +\n").expect("a file");
    for words in ["log=core", "sync=no"] {
        let line = format!("map={map} {words}");
        refused(try_with(&line), Errno::EINVAL, "goes with log=auto alone");
    }
    let folder = mount.folder().display().to_string();
    refused(
        try_with(&format!("map={folder}")),
        Errno::EINVAL,
        "no mapfile",
    );
    assert!(!mount.exists("m"));
}

/// ddrescue is stopped half way; mirrorfs goes on with its map, and it with mirrorfs's.
fn from_ddrescue_and_back(lab: &Lab) {
    let mount = lab.mount();
    let hole = (3 * MIB, 4096);
    let plain = lab.random(0, SIZE);
    let source = lab.spotted(0, SIZE / 512, &[(hole.0 / 512, hole.1 / 512)]);
    source.fail();
    let (target, _) = lab.noise(1, SIZE);
    let map = mount.scratch("map");
    let ddrescue = |words: &str| {
        attempt(&format!(
            "ddrescue -q -f -b 512 {words} {} {target} {map}",
            source.path
        ))
    };
    let (status, text) = ddrescue("-s 6M");
    assert_eq!(status, 0, "{text}");
    // Where ddrescue was nothing is written once more.
    put(&target, MIB, b"not again");
    let line = format!(
        "m: {} {target} length=16M region=64K force=yes map={map}",
        source.path
    );
    mount.write("new", &line);
    wait_for("all but the spot", || {
        mount.read("m/sync/bad_bytes") == "4096\n" && !mount.read("m/map").contains("  ?\n")
    });
    assert_eq!(bytes(&target, MIB, 9), b"not again");
    put(&target, MIB, &bytes(&plain, MIB, 9));
    let back = mount.read("m/map");
    mount.write("m/ctl", "remove");
    fs::write(&map, back).expect("a mapfile");
    source.repair();
    let (status, text) = ddrescue("-r1");
    assert_eq!(status, 0, "{text}");
    let done = output(&format!("ddrescuelog --done-status {map} && echo all"));
    assert_eq!(done, "all\n");
    assert_equal(&plain, &target, SIZE);
}

//! A mount that ends and comes again: what its records and its logs say.

use std::fs;

use nix::errno::Errno;

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::{DiskLog, assert_clean_is_equal};
use crate::lab::disks::{MIB, assert_equal, bytes, put};
use crate::lab::mount::Mount;
use crate::lab::{Lab, wait_for};

const RECORDS: &str = "the kernel's mirrors go on without a daemon";

pub const CASES: &[Case] = &[
    embedded_only("goes_on_by_its_log", RECORDS, goes_on_by_its_log),
    embedded_only("begins_anew_without", RECORDS, begins_anew_without),
    embedded_only("as_it_was", RECORDS, as_it_was),
    embedded_only("without_restore", RECORDS, without_restore),
    embedded_only("a_leg_that_is_away", RECORDS, a_leg_that_is_away),
];

const SIZE: u64 = 128 * MIB;
const REGION: u64 = 64 << 10;

/// What is written to a target to see whether it is copied over.
const MARK: &[u8] = b"not copied again";

fn regions(mount: &Mount) -> u64 {
    let done = mount.read("m/sync/regions_done");
    done.trim().parse().expect("a number")
}

/// A mirror `m` with this log, stopped in the middle of its copy.
fn stopped(lab: &Lab, log: &str) -> (Mount, [String; 2], u64) {
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let mount = lab.mount();
    mount.write("throttle", "1");
    let sectors = SIZE / 512;
    let log = log.replace("FILE", &mount.scratch("log"));
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror {log} 2 {source} 0 {target} 0 1 handle_errors"),
    );
    wait_for("something is copied", || regions(&mount) > 0);
    let done = regions(&mount);
    mount.stop();
    assert!(done < SIZE / REGION, "the copy was too fast for this test");
    (mount, [source, target], done)
}

/// What the disk log calls clean is not copied again, the rest is.
fn goes_on_by_its_log(lab: &Lab) {
    let (mount, [source, target], done) = stopped(lab, "disk 2 FILE 128");
    let log = mount.scratch("log");
    let clean = assert_clean_is_equal(&log, [&source, &target], REGION as usize);
    assert!(
        clean as u64 >= done,
        "{done} were counted, {clean} are clean"
    );
    let first = DiskLog::read(&log).clean()[0] as u64 * REGION;
    put(&target, first, MARK);
    mount.mount("");
    assert!(regions(&mount) >= done, "it begins anew");
    mount.wait_in_sync("m");
    assert_eq!(
        bytes(&target, first, MARK.len() as u64),
        MARK,
        "copied again"
    );
    let unmarked = bytes(&source, first, MARK.len() as u64);
    put(&target, first, &unmarked);
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// A core log is gone with the daemon: everything is copied again.
fn begins_anew_without(lab: &Lab) {
    let (mount, [source, target], _) = stopped(lab, "core 1 128");
    put(&target, 0, MARK);
    mount.mount("");
    mount.wait_in_sync("m");
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// Names, UUIDs, minor numbers, what is suspended and what is empty come back as
/// they were; what was removed does not.
fn as_it_was(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a,OWN-UUID,7,,{}", lab.equal(0, 1)));
    mount.write("new", &format!("b: {}", lab.equal(2, 3)));
    mount.write("new", &format!("gone: {}", lab.equal(4, 5)));
    fs::create_dir(mount.path("empty")).expect("made");
    fs::rename(mount.path("b"), mount.path("c")).expect("renamed");
    mount.write("c/ctl", "suspend");
    mount.write("a/table", &lab.equal(0, 6));
    mount.write("gone/ctl", "remove");
    let names = ["a", "c", "empty"];
    let files = ["uuid", "dev", "suspended", "size", "legs/1/path", "health"];
    let all = || {
        let file = |name: &str, file: &str| {
            fs::read_to_string(mount.path(&format!("{name}/{file}"))).unwrap_or_default()
        };
        names.map(|name| files.map(|path| file(name, path).lines().next().map(String::from)))
    };
    let before = all();
    for _ in 0..2 {
        mount.stop();
        mount.mount("");
        assert_eq!(lab.devices(&mount), names);
        wait_for("they are as they were", || all() == before);
    }
    for name in names {
        mount.write(&format!("{name}/ctl"), "remove");
    }
    mount.stop();
    assert!(!mount.state().exists(), "the state directory stays");
    mount.mount("");
    assert!(lab.devices(&mount).is_empty());
}

/// `--no-restore` makes nothing, and forgets nothing.
fn without_restore(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount.stop();
    mount.mount("--no-restore");
    assert!(lab.devices(&mount).is_empty());
    mount.stop();
    mount.mount("");
    assert_eq!(lab.devices(&mount), ["m"]);
    mount.write("m/ctl", "remove");
}

/// A leg that is not there at a mount: it is told, the others are made, and the
/// next mount that finds it has its mirror again.
fn a_leg_that_is_away(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount.write("new", &format!("n: {}", lab.equal(2, 3)));
    mount.stop();
    let (leg, away) = (lab.disk(1), lab.path("away"));
    fs::rename(&leg, &away).expect("away");
    mount.mount("");
    assert_eq!(lab.devices(&mount), ["n"]);
    let events = mount.read("events");
    assert!(
        events.contains(" m error ENOENT: ") && events.contains(&leg),
        "{events}"
    );
    let read = fs::read_to_string(mount.path("m/status"));
    let error = read.map_err(|error| crate::lab::mount::errno(&error)).err();
    assert_eq!(error, Some(Errno::ENOENT));
    mount.stop();
    fs::rename(&away, &leg).expect("back");
    mount.mount("");
    assert_eq!(lab.devices(&mount), ["m", "n"]);
    for name in ["m", "n"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

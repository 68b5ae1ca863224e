//! Mirrors that come back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::errno::Errno;

use super::{away, events, lasting, records, refused};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, assert_equal, assert_equal_at, bytes, put, turn};
use crate::lab::mount::Mount;
use crate::lab::shell::output;

pub const CASES: &[Case] = &[
    both("it_comes_back_under_its_name", it_comes_back),
    both("with_its_newest_table_and_name", newest),
    both("owners_and_modes_are_kept", owners_and_modes),
    both(
        "a_leg_written_behind_its_back_is_not_copied_over",
        behind_its_back,
    ),
    both("a_log_without_its_header_is_begun_afresh", torn_header),
    both("nothing_is_restarted_if_so_told", no_restore),
    kernel_only(
        "persist_says_what_comes_back",
        "a mirror of the embedded engine comes back whatever it says",
        persist,
    ),
    kernel_only(
        "by_the_loop_device_that_the_user_set_up",
        "the embedded engine uses files as they are",
        own_loop,
    ),
    kernel_only(
        "a_part_of_a_file_that_somebody_has_whole",
        "the embedded engine makes no loop devices",
        part_beside_whole,
    ),
    kernel_only(
        "one_that_stands_on_another_comes_back_after_it",
        "a mirror of the embedded engine is no device",
        stacked,
    ),
];

/// A mirror of 4 MiB with a log file.
fn table(lab: &Lab, log: &str) -> String {
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed_start(1));
    format!("0 8192 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors")
}

/// A mount with such a mirror `m` that is in sync, and the path of its log.
fn in_sync(lab: &Lab) -> (Mount, String) {
    let mount = lasting(lab);
    mount.mount("");
    let log = mount.scratch("log");
    mount.write("new", &format!("m: {}", table(lab, &log)));
    mount.wait_in_sync("m");
    (mount, log)
}

fn it_comes_back(lab: &Lab) {
    let (mount, log) = in_sync(lab);
    let uuid = mount.read("m/uuid");
    away(&mount, &["m"]);
    mount.mount("");
    assert_eq!(mount.read("m/uuid"), uuid);
    assert_eq!(mount.read("m/log/file").trim(), log);
    assert_eq!(
        events(&mount, "restored").len(),
        1,
        "{}",
        mount.read("events")
    );
    // The log says that nothing is left to copy.
    assert_eq!(mount.read("m/sync/regions_done"), "32\n");
    mount.write("m/ctl", "remove");
    assert!(records(&mount).is_empty());
    assert!(fs::metadata(&log).is_err());
}

fn newest(lab: &Lab) {
    let (mount, _) = in_sync(lab);
    fs::rename(mount.path("m"), mount.path("n")).expect("renamed");
    let sync = mount.read("n/table").replace("disk 2", "disk 3");
    let sync = sync.trim().replace(" 256 2 ", " 256 sync 2 ");
    mount.write("n/table", &sync);
    mount.wait_in_sync("n");
    away(&mount, &["n"]);
    mount.mount("");
    assert!(!mount.exists("m"));
    // The sync word would copy everything again at each mount.
    assert!(
        !mount.read("n/table").contains("sync"),
        "{}",
        mount.read("n/table")
    );
    assert_eq!(mount.read("n/sync/regions_done"), "32\n");
    mount.write("n/ctl", "remove");
}

fn owners_and_modes(lab: &Lab) {
    let (mount, _) = in_sync(lab);
    let path = |file: &str| mount.path(&format!("m/{file}"));
    for (file, mode) in [("ctl", 0o660), ("legs/1/health", 0o400), ("", 0o700)] {
        fs::set_permissions(path(file), fs::Permissions::from_mode(mode)).expect(file);
    }
    let root = nix::unistd::Uid::effective().is_root();
    if root {
        std::os::unix::fs::chown(path("ctl"), None, Some(6)).expect("chgrp");
    }
    for again in [false, true] {
        let mode = |file: &str| fs::metadata(path(file)).expect(file).mode() & 0o777;
        assert_eq!(
            (mode("ctl"), mode("legs/1/health"), mode("")),
            (0o660, 0o400, 0o700)
        );
        assert_eq!(mode("legs/0/health"), 0o444);
        if root {
            assert_eq!(fs::metadata(path("ctl")).expect("ctl").gid(), 6);
        }
        if !again {
            away(&mount, &["m"]);
            mount.mount("");
        }
    }
    mount.write("m/ctl", "remove");
}

fn behind_its_back(lab: &Lab) {
    let (mount, _) = in_sync(lab);
    away(&mount, &["m"]);
    // As a file system that was mounted from the source, and one of whose files
    // was written: the superblock shows it, the log knows of neither.
    turn(&lab.disk(0), 1024, 16);
    put(&lab.disk(0), 3 * MIB, b"another file");
    let before = bytes(&lab.disk(1), 0, 4 * MIB);
    mount.mount("");
    let told = events(&mount, "error");
    assert_eq!(told.len(), 1, "{}", mount.read("events"));
    for words in [
        "m error ENOTEMPTY: not started: leg 0",
        "differ at byte 1024",
    ] {
        assert!(told[0].contains(words), "{told:?}");
    }
    assert!(mount.read("m/health").starts_with("failed\n"));
    let answer = mount.try_write("m/ctl", "resume");
    refused(answer, Errno::ENOTEMPTY, "`resync` copies leg 0");
    assert!(bytes(&lab.disk(1), 0, 4 * MIB) == before);
    mount.write("m/ctl", "resync");
    mount.wait_in_sync("m");
    assert_equal(&lab.disk(0), &lab.disk(1), 4 * MIB);
    mount.write("m/ctl", "remove");
}

fn torn_header(lab: &Lab) {
    let (mount, log) = in_sync(lab);
    away(&mount, &["m"]);
    put(&log, 0, &[0; 8]);
    put(&lab.disk(1), 3 * MIB, b"something else");
    mount.mount("");
    let told = events(&mount, "distrusted");
    assert!(
        told.len() == 1 && told[0].contains("the header of the log"),
        "{told:?}"
    );
    mount.wait_in_sync("m");
    assert_equal(&lab.disk(0), &lab.disk(1), 4 * MIB);
    mount.write("m/ctl", "remove");
}

fn no_restore(lab: &Lab) {
    let (mount, _) = in_sync(lab);
    away(&mount, &["m"]);
    mount.mount("--no-restore");
    let health = mount.read("m/health");
    assert!(health.starts_with("failed\n"), "{health}");
    assert!(health.contains("--no-restore"), "{health}");
    assert_eq!(mount.read("m/sync/state"), "stopped\n");
    assert_eq!(mount.read("health"), "failed\nm: failed\n");
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    assert!(mount.read("m/health").starts_with("ok\n"));
    mount.write("m/ctl", "remove");
}

fn persist(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let core = |one, other| {
        let (one, other) = (lab.disk(one), lab.disk(other));
        format!("0 2048 mirror core 2 512 nosync 2 {one} 0 {other} 0 1 handle_errors")
    };
    mount.write(
        "new",
        &format!("logged: {}", table(lab, &mount.scratch("log"))),
    );
    mount.write("new", &format!("core: {}", core(2, 3)));
    mount.write("new", &format!("kept: {}", core(4, 5)));
    let persist = |name: &str| mount.read(&format!("{name}/persist"));
    assert_eq!(
        (persist("logged"), persist("core")),
        ("yes\n".into(), "no\n".into())
    );
    mount.write("kept/persist", "yes");
    let answer = mount.try_write("kept/persist", "maybe");
    refused(answer, Errno::EINVAL, "");
    assert!(
        mount
            .read("events")
            .contains("persist is yes or no, not \"maybe\"")
    );
    away(&mount, &["logged", "core", "kept"]);
    mount.mount("");
    assert!(mount.exists("logged") && mount.exists("kept") && !mount.exists("core"));
    // Nobody can say any more that the legs are equal: all is copied.
    assert!(!mount.read("kept/table").contains("nosync"));
    mount.write("logged/persist", "no");
    away(&mount, &["logged", "kept"]);
    mount.mount("");
    assert!(!mount.exists("logged"));
    assert!(
        fs::metadata(mount.scratch("log")).is_err(),
        "its log went with it"
    );
    mount.write("kept/ctl", "remove");
    assert!(records(&mount).is_empty());
}

fn stacked(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let line = table(lab, &mount.scratch("log"));
    // By name `upper` would come first.
    mount.write("new", &format!("z-lower: {line}"));
    let log = mount.scratch("log2");
    let upper = format!(
        "0 4096 mirror disk 2 {log} 256 2 /dev/mapper/z-lower 0 {} 0 1 handle_errors",
        lab.disk(2)
    );
    mount.write("new", &format!("a-upper: {upper}"));
    away(&mount, &["a-upper", "z-lower"]);
    mount.mount("");
    // The command returns when all are there, and it is nothing to be told of that one
    // came after the other.
    for name in ["a-upper", "z-lower"] {
        assert_eq!(mount.read(&format!("{name}/sync/state")), "in_sync\n");
    }
    assert!(
        events(&mount, "error").is_empty(),
        "{}",
        mount.read("events")
    );
    mount.write("a-upper/ctl", "remove");
    mount.write("z-lower/ctl", "remove");
}

/// The part is made again; who has the whole file is named, as for a new mirror.
fn part_beside_whole(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let leg = mount.scratch("leg");
    fs::write(&leg, vec![3; 8 << 20]).expect("a leg");
    let part = output(&format!("losetup --show -o 1M -f {leg}"));
    let source = lab.random(0, 4 * MIB);
    let part = part.trim();
    mount.write("new", &format!("m: {source} {part} length=4M"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    output(&format!("losetup -d {part}"));
    let whole = output(&format!("losetup --show -f {leg}"));
    let whole = whole.trim();
    mount.mount("");
    let health = mount.read("m/health");
    assert!(
        health.contains(&format!("is attached to {whole}")),
        "{health}"
    );
    output(&format!("losetup -d {whole}"));
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    mount.write("m/ctl", "remove");
    assert_equal_at((&source, 0), (&leg, MIB), 4 * MIB);
}

fn own_loop(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let leg = mount.scratch("leg");
    fs::write(&leg, vec![3; 4 << 20]).expect("a leg");
    let attach = format!("losetup --show -f {leg}");
    let device = output(&attach).trim().to_string();
    let source = lab.random(0, 4 * MIB);
    let log = mount.scratch("log");
    mount.write(
        "new",
        &format!("m: 0 8192 mirror disk 2 {log} 256 2 {source} 0 {device} 0 1 handle_errors"),
    );
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    // As a script at boot may do it, by another number than before.
    output(&format!("losetup -d {device}"));
    let other = output("losetup -f").trim().to_string();
    let taken = lab.path("taken");
    fs::write(&taken, vec![0; 4096]).expect("a file");
    output(&format!("losetup {other} {}", taken.display()));
    let device = output(&attach).trim().to_string();
    mount.mount("");
    let path = mount.read("m/legs/1/device").trim().to_string();
    assert_eq!(path, lab.number(&device), "{}", mount.read("events"));
    mount.write("m/ctl", "remove");
    output(&format!("losetup -d {device}; losetup -d {other}"));
    fs::remove_file(taken).expect("removed");
}

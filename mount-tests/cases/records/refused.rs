//! Mirrors that cannot be made again: each says why, the others are made, and once
//! the reason is gone it can be tried again.

use std::fs;

use nix::errno::Errno;

use super::{away, lasting, records, refused};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{MIB, put};
use crate::lab::mount::Mount;

pub const CASES: &[Case] = &[
    both("a_leg_is_missing", missing),
    both("a_leg_is_another_file", another),
    both("a_leg_has_changed_its_size", resized),
    both("the_log_is_another_mirror_s", geometry),
    both("a_mirror_that_is_not_started_can_be_forgotten", forgotten),
    both("a_recorded_uuid_is_taken", uuid_taken),
];

/// A mirror of files, one of them with a log, and another mirror beside it; both
/// away.
fn two(lab: &Lab) -> (Mount, [String; 3]) {
    let mount = lasting(lab);
    mount.mount("");
    let [source, target, log] = ["source", "target", "log"].map(|name| mount.scratch(name));
    for path in [&source, &target] {
        fs::write(path, vec![7; 4 << 20]).expect("a leg");
    }
    let line = format!("0 8192 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors");
    mount.write("new", &format!("m: {line}"));
    let (one, other) = (lab.random(0, MIB), lab.disk(1));
    let line = format!(
        "0 2048 mirror disk 2 {}2 256 2 {one} 0 {other} 0 1 handle_errors",
        log
    );
    mount.write("new", &format!("other: {line}"));
    mount.wait_in_sync("m");
    mount.wait_in_sync("other");
    away(&mount, &["m", "other"]);
    (mount, [source, target, log])
}

/// The mirror says why it is not there, and what can be done is no more than to try
/// again or forget it; the other one is there.
fn is_absent(mount: &Mount, why: &str) {
    let health = mount.read("m/health");
    assert!(health.starts_with("failed\n"), "{health}");
    assert!(
        health.contains("warning not started: ") && health.contains(why),
        "{health}"
    );
    let events = mount.read("events");
    assert!(events.contains(why), "{events}");
    assert!(mount.read("other/health").starts_with("ok\n"));
    assert_eq!(mount.read("health"), "failed\nother: ok\nm: failed\n");
    assert_eq!(mount.read("m/status"), "\n");
    // Only ctl has the reason on the same descriptor.
    for (file, line, words) in [
        ("m/ctl", "suspend", "not started"),
        ("m/table", "0 8 error", ""),
        ("m/persist", "no", ""),
    ] {
        refused(mount.try_write(file, line), Errno::EBUSY, words);
    }
    assert!(fs::rename(mount.path("m"), mount.path("n")).is_err());
    assert!(fs::create_dir(mount.path("m")).is_err());
    assert!(mount.try_write("m/ctl", "resume").is_err());
}

fn come_back(mount: &Mount) {
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    assert!(
        mount.read("m/health").starts_with("ok\n"),
        "{}",
        mount.read("m/health")
    );
    assert_eq!(mount.list("").iter().filter(|name| *name == "m").count(), 1);
    mount.write("m/ctl", "remove");
    mount.write("other/ctl", "remove");
    assert!(records(mount).is_empty());
}

fn missing(lab: &Lab) {
    let (mount, [_, target, _]) = two(lab);
    let aside = format!("{target}.aside");
    fs::rename(&target, &aside).expect("renamed");
    mount.mount("");
    is_absent(&mount, "target");
    fs::rename(&aside, &target).expect("renamed");
    come_back(&mount);
}

fn another(lab: &Lab) {
    let (mount, [source, target, _]) = two(lab);
    let aside = format!("{target}.aside");
    fs::rename(&target, &aside).expect("renamed");
    fs::copy(&source, &target).expect("copied");
    mount.mount("");
    is_absent(&mount, "is now another file");
    fs::rename(&aside, &target).expect("renamed");
    come_back(&mount);
}

fn resized(lab: &Lab) {
    let (mount, [_, target, _]) = two(lab);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&target)
        .expect("opened");
    file.set_len(5 << 20).expect("longer");
    mount.mount("");
    is_absent(&mount, "has changed size: from 4194304 to 5242880 bytes");
    file.set_len(4 << 20).expect("as it was");
    come_back(&mount);
}

fn geometry(lab: &Lab) {
    let (mount, [_, _, log]) = two(lab);
    put(&log, 8, &33_u64.to_le_bytes());
    mount.mount("");
    is_absent(&mount, "holds the log of a mirror with 33 regions");
    put(&log, 8, &32_u64.to_le_bytes());
    come_back(&mount);
}

fn forgotten(lab: &Lab) {
    let (mount, [source, target, log]) = two(lab);
    fs::remove_file(&target).expect("removed");
    mount.mount("");
    mount.write("m/ctl", "remove");
    assert!(!mount.exists("m"));
    assert_eq!(records(&mount).len(), 1);
    assert!(fs::metadata(&log).is_err() && fs::metadata(&source).is_ok());
    mount.write("other/ctl", "remove");
}

fn uuid_taken(lab: &Lab) {
    let (mount, [_, target, _]) = two(lab);
    fs::remove_file(&target).expect("removed");
    mount.mount("");
    for name in ["m", "other"] {
        let uuid = mount.read(&format!("{name}/uuid")).trim().to_string();
        let line = format!("x,{uuid},,,{}", lab.equal(2, 3));
        refused(mount.try_write("new", &line), Errno::EEXIST, &uuid);
        assert_eq!(records(&mount).len(), 2, "its record is still there");
    }
    mount.write("m/ctl", "remove");
    mount.write("other/ctl", "remove");
}

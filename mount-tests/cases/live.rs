//! Changing what a mirror is made of while a writer is on it: no write fails, none
//! is lost, and what must not be is refused.

use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::failover::rig::{NO_IO, Rig, Shape};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, SIZE, assert_equal, put};
use crate::lab::dm::dm;
use crate::lab::wait_longer;

pub const CASES: &[Case] = &[
    kernel_only("finish", NO_IO, finish),
    kernel_only("finish_refused", NO_IO, finish_refused),
    kernel_only("finish_on_what_is_gone", NO_IO, finish_on_what_is_gone),
    kernel_only("abort", NO_IO, abort),
    kernel_only("drop", NO_IO, drop_leg),
    kernel_only("add", NO_IO, add),
    kernel_only("add_refused", NO_IO, add_refused),
    kernel_only("add_to_one", NO_IO, add_to_one),
    kernel_only("replace", NO_IO, replace),
    kernel_only("resync", NO_IO, resync),
    kernel_only("grow", NO_IO, grow),
    both("grow_a_short_region", grow_a_short_region),
    both("a_leg_by_its_path", a_leg_by_its_path),
    kernel_only("a_dying_disk", NO_IO, dying),
];

fn way(legs: usize, whole: bool, disk: bool) -> Shape {
    Shape { legs, whole, disk }
}

fn kind() -> String {
    let table = dm("table m");
    table.split_whitespace().nth(2).expect("a kind").to_owned()
}

/// Refused with this errno and word, and nothing changed.
fn refused(rig: &Rig, verb: &str, wanted: Errno, word: &str) {
    let before = dm("table m");
    let (errno, why) = rig.mount.try_write("m/ctl", verb).expect_err(verb);
    assert!(
        errno == wanted && why.contains(word),
        "{verb}: {errno}: {why}"
    );
    assert_eq!(dm("table m"), before, "{verb}");
    let suspended = rig.mount.read("m/suspended");
    assert!(
        verb == "finish" || suspended == "0\n",
        "{verb}: {suspended}"
    );
}

/// `drop` and `finish` with the path that `health` shows, or a link to it.
fn a_leg_by_its_path(lab: &Lab) {
    let mount = lab.mount();
    let [a, b, c] = [0, 1, 2].map(|number| lab.disk(number));
    let table = format!("core 2 512 nosync 3 {a} 0 {b} 0 {c} 0 1 handle_errors");
    mount.write("new", &format!("m: 0 2048 mirror {table}"));
    let (errno, why) = mount
        .try_write("m/ctl", "drop /no/such/disk")
        .expect_err("no leg");
    assert_eq!(errno, Errno::EINVAL);
    assert!(
        why.contains("no leg on") && why.contains(&format!("leg 2 {c}")),
        "{why}"
    );
    mount.write("m/ctl", &format!("drop {c}"));
    assert_eq!(mount.list("m/legs"), ["0", "1"]);
    let link = mount.scratch("link");
    symlink(&b, &link).expect("a link");
    mount.write("m/ctl", &format!("finish {link}"));
    let kept = lab.number(&b);
    assert_eq!(mount.read("m/table"), format!("0 2048 linear {kept} 0\n"));
    mount.write("m/ctl", "remove");
    std::fs::remove_file(link).expect("a link");
}

fn finish(lab: &Lab) {
    for (legs, disk, verb, leg) in [
        (2, false, "finish", 1),
        (2, true, "finish", 1),
        (3, true, "finish 2", 2),
        (2, false, "finish 0", 0),
    ] {
        let rig = Rig::new(lab, way(legs, true, disk), &[]);
        rig.mount.write("m/ctl", verb);
        assert_eq!(kind(), "linear", "{verb}");
        rig.goes_on(50);
        rig.expect("finished", &[]);
        let events = rig.mount.read("events");
        assert!(
            events.contains(&format!(" m finished on leg {leg} {};", rig.legs[leg])),
            "{events}"
        );
        let longest = rig.end(&[leg]);
        println!("{verb} of {legs}: the longest wait of a writer {longest:?}");
    }
}

fn finish_refused(lab: &Lab) {
    let rig = Rig::new(lab, way(2, false, true), &[1]);
    refused(&rig, "finish", Errno::EBUSY, "regions");
    refused(&rig, "finish 7", Errno::EBUSY, "regions");
    rig.finish_copy();
    refused(&rig, "finish 7", Errno::EINVAL, "no leg 7");
    rig.mount.write("m/ctl", "suspend");
    refused(&rig, "finish", Errno::EBUSY, "suspended");
    rig.mount.write("m/ctl", "resume");
    rig.mount.write("m/on_failure", "hold");
    rig.fragile[0].fail();
    rig.expect("degraded", &["leg 1 "]);
    refused(&rig, "finish", Errno::EBUSY, "");
    refused(&rig, "add /dev/ram5", Errno::EBUSY, "drop 1");
    rig.mount.write("m/on_failure", "drop");
    rig.expect("degraded", &["dropped"]);
    refused(&rig, "finish", Errno::EINVAL, "is linear on");
    rig.end(&[0]);
    let mount = lab.mount();
    let (one, other) = (lab.disk(0), lab.disk(1));
    let table = format!("0 2048 mirror core 2 512 nosync 2 {one} 0 {other} 0");
    mount.write("new", &format!("p: {table}"));
    mount.wait_in_sync("p");
    let (errno, why) = mount.try_write("p/ctl", "finish").expect_err("not tracked");
    assert!(
        errno == Errno::EBUSY && why.contains("handle_errors"),
        "{why}"
    );
    mount.write("p/ctl", "abort");
    assert!(mount.read("p/health").starts_with("finished\n"));
    mount.write("p/ctl", "remove");
}

/// Nobody has written since, so that the kernel does not know of it.
fn finish_on_what_is_gone(lab: &Lab) {
    let (source, target) = (lab.disk(0), lab.fragile(1, 2048));
    let mount = lab.mount();
    let table = format!(
        "0 2048 mirror core 2 128 nosync 2 {source} 0 {} 0 1 handle_errors",
        target.path
    );
    mount.write("new", &format!("m: {table}"));
    mount.wait_in_sync("m");
    target.fail();
    let (errno, why) = mount.try_write("m/ctl", "finish").expect_err("it is gone");
    assert!(
        errno == Errno::EIO && why.contains("does not answer"),
        "{errno}: {why}"
    );
    assert_eq!(
        (kind().as_str(), mount.read("m/suspended").as_str()),
        ("mirror", "0\n")
    );
    let health = mount.read("m/health");
    assert!(
        health.starts_with("degraded\n")
            && health.contains("leg 1 ")
            && health.contains("does not answer"),
        "{health}"
    );
    assert_eq!(kind(), "mirror", "the kernel has met no error");
    target.repair();
    wait_longer(30, "it answers again", || {
        mount.read("m/health").starts_with("ok\n")
    });
    mount.write("m/ctl", "finish");
    assert_eq!(kind(), "linear");
    mount.write("m/ctl", "remove");
}

fn abort(lab: &Lab) {
    for disk in [false, true] {
        let rig = Rig::new(lab, way(2, false, disk), &[]);
        rig.check_way();
        rig.mount.write("m/ctl", "abort");
        assert_eq!(kind(), "linear");
        rig.goes_on(50);
        rig.expect("finished", &[]);
        rig.end(&[0]);
    }
}

fn drop_leg(lab: &Lab) {
    let rig = Rig::new(lab, way(2, false, false), &[]);
    refused(&rig, "drop 0", Errno::EBUSY, "only whole copy");
    refused(&rig, "drop 2", Errno::EINVAL, "no leg 2");
    rig.mount.write("m/ctl", "drop 1");
    assert_eq!(kind(), "linear");
    rig.goes_on(20);
    rig.end(&[0]);
    for disk in [false, true] {
        for leg in [0, 1, 2] {
            let rig = Rig::new(lab, way(3, true, disk), &[]);
            rig.mount.write("m/ctl", &format!("drop {leg}"));
            rig.goes_on(20);
            rig.finish_copy();
            rig.expect("ok", &[]);
            if disk {
                let end = Instant::now() + Duration::from_secs(30);
                while dm("table m").contains("nosync") {
                    let texts = ["m/health", "m/status", "m/table", "events"];
                    let texts: String = texts.iter().map(|file| rig.mount.read(file)).collect();
                    assert!(Instant::now() < end, "the sync word stays: {texts}");
                    sleep(Duration::from_millis(50));
                }
            }
            rig.finish_copy();
            let left: Vec<usize> = (0..3).filter(|other| *other != leg).collect();
            rig.end(&left);
        }
    }
}

fn add(lab: &Lab) {
    for disk in [false, true] {
        // The new leg has what it should not keep.
        let new = lab.random(5, 16 * MIB);
        let rig = Rig::new(lab, way(2, true, disk), &[]);
        rig.mount.write("m/ctl", &format!("add {new}"));
        assert!(rig.mount.read("m/legs/2/path").contains(&new));
        rig.goes_on(20);
        rig.finish_copy();
        rig.expect("ok", &[&format!("leg 2 {new} A")]);
        assert!(!dm("table m").contains("sync"), "{}", dm("table m"));
        let source = rig.legs[0].clone();
        rig.end(&[0, 1]);
        assert_equal(&source, &new, 16 * MIB);
    }
}

fn add_refused(lab: &Lab) {
    let rig = Rig::new(lab, way(2, true, true), &[]);
    let used = rig.legs[1].clone();
    refused(
        &rig,
        &format!("add {used}"),
        Errno::EINVAL,
        "is leg 1 already",
    );
    refused(
        &rig,
        &format!("replace 0 {used}"),
        Errno::EINVAL,
        "is leg 1 already",
    );
    refused(&rig, "add /dev/ram5@250M", Errno::ENOSPC, "too small");
    refused(&rig, "add /dev/nothing", Errno::ENOENT, "/dev/nothing");
    refused(&rig, "add /dev/ram5@1", Errno::EINVAL, "multiple of 512");
    refused(&rig, "add", Errno::EINVAL, "DEVICE");
    rig.goes_on(20);
    rig.end(&[0, 1]);
}

fn add_to_one(lab: &Lab) {
    let rig = Rig::new(lab, way(2, true, true), &[]);
    rig.mount.write("m/ctl", "finish");
    let new = lab.random(5, 16 * MIB);
    rig.mount.write("m/ctl", &format!("add {new}"));
    rig.goes_on(20);
    rig.finish_copy();
    rig.expect("ok", &["leg 0 ", "leg 1 "]);
    let source = rig.legs[1].clone();
    rig.end(&[1]);
    assert_equal(&source, &new, 16 * MIB);
}

fn replace(lab: &Lab) {
    for (disk, leg) in [(false, 1), (true, 1), (true, 0)] {
        let new = lab.random(5, 16 * MIB);
        let rig = Rig::new(lab, way(2, true, disk), &[]);
        rig.mount.write("m/ctl", &format!("replace {leg} {new}"));
        rig.goes_on(20);
        rig.finish_copy();
        rig.expect("ok", &[&format!("leg 1 {new} A")]);
        let left = rig.legs[1 - leg].clone();
        rig.end(&[1 - leg]);
        assert_equal(&left, &new, 16 * MIB);
    }
    let rig = Rig::new(lab, way(2, false, false), &[]);
    refused(&rig, "replace 0 /dev/ram5", Errno::EBUSY, "only whole copy");
    rig.end(&[0]);
}

/// What was written to a target behind the mirror's back is mended.
fn resync(lab: &Lab) {
    for disk in [false, true] {
        let rig = Rig::new(lab, way(2, true, disk), &[]);
        rig.mount.write("m/ctl", "suspend");
        put(&rig.legs[1], 8 * MIB, &[0x5a; 4096]);
        rig.mount.write("m/ctl", "resume");
        rig.mount.write("m/ctl", "resync");
        rig.goes_on(20);
        rig.finish_copy();
        rig.expect("ok", &[]);
        assert!(!dm("table m").contains("sync"), "{}", dm("table m"));
        let [one, other] = [rig.legs[0].clone(), rig.legs[1].clone()];
        rig.end(&[0, 1]);
        assert_equal(&one, &other, 16 * MIB);
    }
}

/// The legs are larger than the mirror: it grows to what is asked for, then to all.
/// Only what is new is copied where a disk log knows what is not.
fn grow(lab: &Lab) {
    for disk in [false, true] {
        let rig = Rig::new(lab, way(2, true, disk), &[]);
        refused(&rig, "grow 16M", Errno::EINVAL, "not larger");
        refused(&rig, "grow 300M", Errno::ENOSPC, "room for");
        put(&rig.legs[0], 20 * MIB, &[0x5a; 4096]);
        rig.mount.write("m/ctl", "grow 24M");
        assert_eq!(rig.mount.read("m/size"), format!("{}\n", 24 * MIB));
        if disk {
            let done = rig.mount.read("m/sync/regions_done");
            let done: u64 = done.trim().parse().expect("a number");
            assert!(
                done > 200,
                "{done} of 384 regions: the first 256 were in sync"
            );
        }
        rig.goes_on(20);
        rig.finish_copy();
        rig.expect("ok", &[]);
        rig.mount.write("m/ctl", "grow");
        assert_eq!(rig.mount.read("m/size"), format!("{}\n", SIZE));
        rig.finish_copy();
        let [one, other] = [rig.legs[0].clone(), rig.legs[1].clone()];
        rig.end(&[0, 1]);
        assert_equal(&one, &other, 24 * MIB);
    }
}

/// The last region may be a short one, which the log calls clean: the rest of it is
/// copied too.
fn grow_a_short_region(lab: &Lab) {
    let (one, other) = (lab.random(0, 4 * MIB), lab.zeroed(1));
    let log = lab.blank(8);
    let mount = lab.mount();
    let table = format!("0 4100 mirror disk 2 {log} 2048 2 {one} 0 {other} 0 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
    mount.wait_in_sync("m");
    mount.write("m/ctl", "grow 4M");
    mount.wait_in_sync("m");
    assert_equal(&one, &other, 4 * MIB);
    mount.write("m/ctl", "remove");
}

/// The main job: the copy of a disk fails, another one takes its place, then the
/// mirror is cut over to it.
fn dying(lab: &Lab) {
    let rig = Rig::new(lab, way(2, true, true), &[1]);
    rig.fragile[0].fail();
    rig.expect("degraded", &["leg 1 ", "dropped"]);
    rig.goes_on(20);
    let new = lab.random(5, 16 * MIB);
    rig.mount.write("m/ctl", &format!("add {new}"));
    rig.goes_on(20);
    rig.finish_copy();
    rig.expect("ok", &["leg 1 "]);
    rig.mount.write("m/ctl", "finish");
    assert_eq!(kind(), "linear");
    rig.goes_on(20);
    let written = rig.stop();
    written.assert_on(&new);
}

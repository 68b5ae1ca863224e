//! Changing what a mirror is made of while a writer is on it: no write fails, none
//! is lost, and what must not be is refused.

use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::failover::bed::{Bed, NO_IO, Way};
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

fn way(legs: usize, whole: bool, disk: bool) -> Way {
    Way { legs, whole, disk }
}

fn kind() -> String {
    let table = dm("table m");
    table.split_whitespace().nth(2).expect("a kind").to_owned()
}

/// Refused with this errno and word, and nothing changed.
fn refused(bed: &Bed, verb: &str, wanted: Errno, word: &str) {
    let before = dm("table m");
    let (errno, why) = bed.mount.try_write("m/ctl", verb).expect_err(verb);
    assert!(
        errno == wanted && why.contains(word),
        "{verb}: {errno}: {why}"
    );
    assert_eq!(dm("table m"), before, "{verb}");
    let suspended = bed.mount.read("m/suspended");
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
        let bed = Bed::new(lab, way(legs, true, disk), &[]);
        bed.mount.write("m/ctl", verb);
        assert_eq!(kind(), "linear", "{verb}");
        bed.goes_on(50);
        bed.expect("finished", &[]);
        let events = bed.mount.read("events");
        assert!(
            events.contains(&format!(" m finished on leg {leg} {};", bed.legs[leg])),
            "{events}"
        );
        let longest = bed.end(&[leg]);
        println!("{verb} of {legs}: the longest wait of a writer {longest:?}");
    }
}

fn finish_refused(lab: &Lab) {
    let bed = Bed::new(lab, way(2, false, true), &[1]);
    refused(&bed, "finish", Errno::EBUSY, "regions");
    refused(&bed, "finish 7", Errno::EBUSY, "regions");
    bed.finish_copy();
    refused(&bed, "finish 7", Errno::EINVAL, "no leg 7");
    bed.mount.write("m/ctl", "suspend");
    refused(&bed, "finish", Errno::EBUSY, "suspended");
    bed.mount.write("m/ctl", "resume");
    bed.mount.write("m/on_failure", "hold");
    bed.fragile[0].fail();
    bed.expect("degraded", &["leg 1 "]);
    refused(&bed, "finish", Errno::EBUSY, "");
    refused(&bed, "add /dev/ram5", Errno::EBUSY, "drop 1");
    bed.mount.write("m/on_failure", "drop");
    bed.expect("degraded", &["dropped"]);
    refused(&bed, "finish", Errno::EINVAL, "is linear on");
    bed.end(&[0]);
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
        let bed = Bed::new(lab, way(2, false, disk), &[]);
        bed.check_way();
        bed.mount.write("m/ctl", "abort");
        assert_eq!(kind(), "linear");
        bed.goes_on(50);
        bed.expect("finished", &[]);
        bed.end(&[0]);
    }
}

fn drop_leg(lab: &Lab) {
    let bed = Bed::new(lab, way(2, false, false), &[]);
    refused(&bed, "drop 0", Errno::EBUSY, "only whole copy");
    refused(&bed, "drop 2", Errno::EINVAL, "no leg 2");
    bed.mount.write("m/ctl", "drop 1");
    assert_eq!(kind(), "linear");
    bed.goes_on(20);
    bed.end(&[0]);
    for disk in [false, true] {
        for leg in [0, 1, 2] {
            let bed = Bed::new(lab, way(3, true, disk), &[]);
            bed.mount.write("m/ctl", &format!("drop {leg}"));
            bed.goes_on(20);
            bed.finish_copy();
            bed.expect("ok", &[]);
            if disk {
                let end = Instant::now() + Duration::from_secs(30);
                while dm("table m").contains("nosync") {
                    let texts = ["m/health", "m/status", "m/table", "events"];
                    let texts: String = texts.iter().map(|file| bed.mount.read(file)).collect();
                    assert!(Instant::now() < end, "the sync word stays: {texts}");
                    sleep(Duration::from_millis(50));
                }
            }
            bed.finish_copy();
            let left: Vec<usize> = (0..3).filter(|other| *other != leg).collect();
            bed.end(&left);
        }
    }
}

fn add(lab: &Lab) {
    for disk in [false, true] {
        // The new leg has what it should not keep.
        let new = lab.random(5, 16 * MIB);
        let bed = Bed::new(lab, way(2, true, disk), &[]);
        bed.mount.write("m/ctl", &format!("add {new}"));
        assert!(bed.mount.read("m/legs/2/path").contains(&new));
        bed.goes_on(20);
        bed.finish_copy();
        bed.expect("ok", &[&format!("leg 2 {new} A")]);
        assert!(!dm("table m").contains("sync"), "{}", dm("table m"));
        let source = bed.legs[0].clone();
        bed.end(&[0, 1]);
        assert_equal(&source, &new, 16 * MIB);
    }
}

fn add_refused(lab: &Lab) {
    let bed = Bed::new(lab, way(2, true, true), &[]);
    let used = bed.legs[1].clone();
    refused(&bed, &format!("add {used}"), Errno::EINVAL, "overlaps");
    refused(&bed, "add /dev/ram5@250M", Errno::ENOSPC, "too small");
    refused(&bed, "add /dev/nothing", Errno::ENOENT, "/dev/nothing");
    refused(&bed, "add /dev/ram5@1", Errno::EINVAL, "multiple of 512");
    refused(&bed, "add", Errno::EINVAL, "DEVICE");
    bed.goes_on(20);
    bed.end(&[0, 1]);
}

fn add_to_one(lab: &Lab) {
    let bed = Bed::new(lab, way(2, true, true), &[]);
    bed.mount.write("m/ctl", "finish");
    let new = lab.random(5, 16 * MIB);
    bed.mount.write("m/ctl", &format!("add {new}"));
    bed.goes_on(20);
    bed.finish_copy();
    bed.expect("ok", &["leg 0 ", "leg 1 "]);
    let source = bed.legs[1].clone();
    bed.end(&[1]);
    assert_equal(&source, &new, 16 * MIB);
}

fn replace(lab: &Lab) {
    for (disk, leg) in [(false, 1), (true, 1), (true, 0)] {
        let new = lab.random(5, 16 * MIB);
        let bed = Bed::new(lab, way(2, true, disk), &[]);
        bed.mount.write("m/ctl", &format!("replace {leg} {new}"));
        bed.goes_on(20);
        bed.finish_copy();
        bed.expect("ok", &[&format!("leg 1 {new} A")]);
        let left = bed.legs[1 - leg].clone();
        bed.end(&[1 - leg]);
        assert_equal(&left, &new, 16 * MIB);
    }
    let bed = Bed::new(lab, way(2, false, false), &[]);
    refused(&bed, "replace 0 /dev/ram5", Errno::EBUSY, "only whole copy");
    bed.end(&[0]);
}

/// What was written to a target behind the mirror's back is mended.
fn resync(lab: &Lab) {
    for disk in [false, true] {
        let bed = Bed::new(lab, way(2, true, disk), &[]);
        bed.mount.write("m/ctl", "suspend");
        put(&bed.legs[1], 8 * MIB, &[0x5a; 4096]);
        bed.mount.write("m/ctl", "resume");
        bed.mount.write("m/ctl", "resync");
        bed.goes_on(20);
        bed.finish_copy();
        bed.expect("ok", &[]);
        assert!(!dm("table m").contains("sync"), "{}", dm("table m"));
        let [one, other] = [bed.legs[0].clone(), bed.legs[1].clone()];
        bed.end(&[0, 1]);
        assert_equal(&one, &other, 16 * MIB);
    }
}

/// The legs are larger than the mirror: it grows to what is asked for, then to all.
/// Only what is new is copied where a disk log knows what is not.
fn grow(lab: &Lab) {
    for disk in [false, true] {
        let bed = Bed::new(lab, way(2, true, disk), &[]);
        refused(&bed, "grow 16M", Errno::EINVAL, "not larger");
        refused(&bed, "grow 300M", Errno::ENOSPC, "room for");
        put(&bed.legs[0], 20 * MIB, &[0x5a; 4096]);
        bed.mount.write("m/ctl", "grow 24M");
        assert_eq!(bed.mount.read("m/size"), format!("{}\n", 24 * MIB));
        if disk {
            let done = bed.mount.read("m/sync/regions_done");
            let done: u64 = done.trim().parse().expect("a number");
            assert!(
                done > 200,
                "{done} of 384 regions: the first 256 were in sync"
            );
        }
        bed.goes_on(20);
        bed.finish_copy();
        bed.expect("ok", &[]);
        bed.mount.write("m/ctl", "grow");
        assert_eq!(bed.mount.read("m/size"), format!("{}\n", SIZE));
        bed.finish_copy();
        let [one, other] = [bed.legs[0].clone(), bed.legs[1].clone()];
        bed.end(&[0, 1]);
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
    let bed = Bed::new(lab, way(2, true, true), &[1]);
    bed.fragile[0].fail();
    bed.expect("degraded", &["leg 1 ", "dropped"]);
    bed.goes_on(20);
    let new = lab.random(5, 16 * MIB);
    bed.mount.write("m/ctl", &format!("add {new}"));
    bed.goes_on(20);
    bed.finish_copy();
    bed.expect("ok", &["leg 1 "]);
    bed.mount.write("m/ctl", "finish");
    assert_eq!(kind(), "linear");
    bed.goes_on(20);
    let written = bed.stop();
    written.assert_on(&new);
}

//! What is copied in a second, and that nothing is.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Copied, SIZE, when};
use crate::cases::records::{lasting_mount, refused};
use crate::lab::disks::MIB;
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, wait_for, wait_longer};

/// What is copied in a second is what is allowed, within a tenth.
pub fn limit(lab: &Lab) {
    let copied = Copied::new(lab, lab.mount(), "limit=2M");
    let begun = Instant::now();
    assert_eq!(copied.m("sync/limit"), "2097152\n");
    let writer = lab
        .is_kernel()
        .then(|| Writer::start("/dev/mapper/m", SIZE));
    assert_eq!(copied.m("table").lines().count(), 2);
    assert_eq!(copied.m("sync/state"), "syncing\n");
    let after = when(&copied.mount, 40 * MIB).duration_since(begun);
    let rate = 40.0 / after.as_secs_f64();
    println!("limit 2M: {rate:.2} MiB/s over {after:?}");
    assert!((1.8..=2.2).contains(&rate), "{rate}");
    copied.mount.write("m/sync/limit", "none");
    assert_eq!(copied.m("sync/limit"), "none\n");
    let written = writer.map(Writer::end);
    copied.assert_whole();
    if let Some(written) = written {
        println!(
            "{} writes, the longest wait {:?}",
            written.count(),
            written.longest
        );
        assert!(written.error.is_none(), "{:?}", written.error);
        written.assert_on(&copied.source);
        written.assert_on(&copied.target);
    }
    // No event for each step.
    let events = copied.mount.read("events");
    assert_eq!(events.matches(" m reloaded ").count(), 0, "{events}");
    assert!(events.contains(" m set limit none\n"), "{events}");
    copied.remove();
}

/// Nothing is copied while the limit is 0, also after a mount; then all is.
pub fn paused(lab: &Lab) {
    let copied = Copied::new(lab, lasting_mount(lab), "limit=4M");
    when(&copied.mount, MIB);
    copied.mount.write("m/sync/limit", "0");
    wait_for("it stops", || copied.m("sync/state") == "stopped\n");
    let writer = lab
        .is_kernel()
        .then(|| Writer::start("/dev/mapper/m", SIZE));
    let before = copied.done();
    assert!(before < SIZE, "all is copied");
    let health = copied.m("health");
    assert!(health.starts_with("syncing\n"), "{health}");
    assert!(
        health.contains("\nwarning copying is paused: sync/limit is 0\n"),
        "{health}"
    );
    sleep(Duration::from_secs(if long() { 60 } else { 5 }));
    copied.mount.stop();
    copied.mount.mount("");
    wait_for("it is back", || copied.mount.exists("m/sync/limit"));
    sleep(Duration::from_secs(2));
    assert_eq!(copied.m("sync/limit"), "0\n");
    assert_eq!(
        (copied.done(), copied.m("sync/state")),
        (before, "stopped\n".into())
    );
    refused(
        copied.mount.try_write("m/ctl", "finish"),
        Errno::EBUSY,
        "sync/limit is 0",
    );
    let written = writer.map(|writer| {
        writer.wait_for(20);
        writer.end()
    });
    copied.mount.write("m/sync/limit", "none");
    copied.assert_whole();
    if let Some(written) = written {
        assert!(written.error.is_none(), "{:?}", written.error);
        written.assert_on(&copied.source);
        written.assert_on(&copied.target);
    }
    copied.remove();
}

pub fn paused_from_the_start(lab: &Lab) {
    let copied = Copied::new(lab, lab.mount(), "limit=0");
    wait_for("it stops", || copied.m("sync/state") == "stopped\n");
    assert!(copied.done() <= MIB, "{}", copied.done());
    let map = copied.m("map");
    assert!(map.contains("  ?\n"), "{map}");
    copied.mount.write("m/ctl", "abort");
    copied.remove();
}

pub fn what_is_no_limit(lab: &Lab) {
    let copied = Copied::new(lab, lab.mount(), "limit=1M");
    for line in ["", "fast", "-1", "5 M", "1.5M", "None", "5X", "99999999T"] {
        let (errno, _) = copied
            .mount
            .try_write("m/sync/limit", line)
            .expect_err(line);
        assert_eq!(errno, Errno::EINVAL, "{line}");
        let events = copied.mount.read("events");
        let last = events.lines().last().expect("an event");
        let how = "is no limit: write none, 0 to pause, or bytes per second (50M)";
        assert!(last.ends_with(how), "{line}: {last}");
    }
    assert_eq!(copied.m("sync/limit"), "1048576\n");
    // Without handle_errors nobody knows what is copied.
    let (one, other) = (lab.blank(2), lab.blank(3));
    let line = format!("n: 0 2048 mirror core 1 64 2 {one} 0 {other} 0");
    copied.mount.write("new", &line);
    let (errno, _) = copied
        .mount
        .try_write("n/sync/limit", "1M")
        .expect_err(&line);
    assert_eq!(errno, Errno::EINVAL);
    let events = copied.mount.read("events");
    assert!(
        events.contains("n cannot be copied in steps: it does not track"),
        "{events}"
    );
    copied.mount.write("n/ctl", "remove");
    for (line, wanted) in [
        ("1", "1"),
        ("3M/s", "3145728"),
        ("512s", "262144"),
        ("none", "none"),
    ] {
        copied.mount.write("m/sync/limit", line);
        assert_eq!(copied.m("sync/limit"), format!("{wanted}\n"));
    }
    copied.assert_whole();
    copied.remove();
}

/// With its log in memory nothing is copied twice either.
pub fn in_memory(lab: &Lab) {
    let copied = Copied::new(lab, lab.mount(), "log=core limit=2M");
    let mut last = when(&copied.mount, MIB);
    let mut before = 0;
    wait_longer(40, "three steps", || {
        let now = copied.done();
        assert!(now >= before, "{before}, then {now}");
        before = now;
        last = Instant::now();
        now >= 20 * MIB
    });
    copied.mount.write("m/sync/limit", "0");
    wait_for("it stops", || copied.m("sync/state") == "stopped\n");
    assert!(copied.done() >= before, "{before}, then {}", copied.done());
    copied.mount.write("m/sync/limit", "none");
    copied.assert_whole();
    copied.remove();
}

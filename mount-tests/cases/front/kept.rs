//! The front after a reboot, a kill, and with verbs.

use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::{Copied, SIZE, when};
use crate::cases::records::{away, lasting_mount, refused};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, wait_for};

pub fn after_a_reboot(lab: &Lab) {
    let copied = Copied::new(lab, lasting_mount(lab), "limit=2M");
    when(&copied.mount, 10 * MIB);
    wait_for("a step is done", || copied.done() >= 16 * MIB);
    let before = copied.done();
    away(&copied.mount, &["m"]);
    copied.mount.mount("");
    wait_for("it is back", || copied.mount.exists("m/table"));
    wait_for("it has not lost anything", || copied.done() >= before);
    assert_eq!(copied.m("sync/limit"), "2097152\n");
    assert!(copied.done() < SIZE);
    copied.mount.write("m/sync/limit", "none");
    copied.assert_whole();
    copied.remove();
}

/// What verbs do with what is ahead.
pub fn verbs(lab: &Lab) {
    let copied = Copied::new(lab, lab.mount(), "limit=2M");
    when(&copied.mount, 4 * MIB);
    copied.mount.write("m/sync/limit", "0");
    wait_for("it stops", || copied.m("sync/state") == "stopped\n");
    let before = copied.done();
    copied.mount.write("m/ctl", "retry");
    assert_eq!(copied.done(), before);
    refused(
        copied.mount.try_write("m/ctl", "drop 0"),
        Errno::EBUSY,
        "on leg 0 alone",
    );
    refused(
        copied.mount.try_write("m/ctl", "finish lossy"),
        Errno::EBUSY,
        "are not copied yet",
    );
    copied
        .mount
        .write("m/ctl", &format!("add {}", lab.blank(2)));
    assert_eq!(copied.mount.list("m/legs").len(), 3);
    copied.mount.write("m/ctl", "drop 2");
    // What was added had nothing: with it all began anew, and its steps with it.
    copied.mount.write("m/ctl", "resync");
    copied.mount.write("m/sync/limit", "none");
    copied.assert_whole();
    copied.mount.write("m/sync/limit", "0");
    copied.mount.write("m/ctl", "resync");
    wait_for("it stops", || copied.m("sync/state") == "stopped\n");
    copied.mount.write("m/ctl", "abort");
    assert!(copied.m("health").starts_with("finished\n"));
    copied.remove();
}

/// A mirror that becomes longer while something is ahead.
pub fn grown(lab: &Lab) {
    let mount = lab.mount();
    let source = lab.random(0, SIZE);
    let (target, _) = lab.noise(1, SIZE);
    mount.write(
        "new",
        &format!("m: {source} {target} region=128K length=32M limit=0"),
    );
    mount.write("m/ctl", "grow 48M");
    assert_eq!(mount.read("m/size"), format!("{SIZE}\n"));
    sleep(Duration::from_secs(1));
    assert_eq!(mount.read("m/sync/state"), "stopped\n");
    mount.write("m/sync/limit", "none");
    mount.wait_in_sync("m");
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// Killed at any moment of many steps forward and back, under a writer.
pub fn killed_in_a_step(lab: &Lab) {
    let copied = Copied::new(lab, lasting_mount(lab), "limit=0");
    let writer = Writer::start("/dev/mapper/m", SIZE);
    let rounds = if long() { 60 } else { 8 };
    let mut random = 12_345_u64;
    for round in 0..rounds {
        let line = if round % 2 == 0 { "4M" } else { "0" };
        copied.mount.write("m/sync/limit", line);
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        sleep(Duration::from_millis((random >> 33) % 200));
        copied.mount.kill(Signal::SIGKILL);
        copied.mount.mount("");
        wait_for("it is back", || copied.mount.exists("m/table"));
        wait_for("it is not held", || copied.m("suspended") == "0\n");
        writer.wait_for(5);
    }
    copied.mount.write("m/sync/limit", "none");
    copied.mount.wait_in_sync("m");
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    copied.assert_whole();
    written.assert_on(&copied.target);
    println!("{rounds} kills, {} writes", written.count());
    copied.remove();
}

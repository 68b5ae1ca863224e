//! A check and a repair go on after a kill, and end where a leg fails.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Compared, SIZE, differs, is_clean, plant};
use crate::cases::failover::rig::NO_IO;
use crate::cases::records::{away, lasting_mount};
use crate::lab::disks::{MIB, assert_equal, put};
use crate::lab::dm::{create, dm, reload};
use crate::lab::shell::{Undo, output};
use crate::lab::writer::Writer;
use crate::lab::{Lab, wait_for, wait_longer};

/// It goes on from where it was, and knows what it had found. What has stopped with its
/// daemon is not started on legs that differ.
pub fn killed_in_a_check(lab: &Lab) {
    let m = Compared::on(lab, lasting_mount(lab), 2);
    let planted: &[u64] = if lab.is_kernel() { &[0, SIZE - 1] } else { &[] };
    m.plant(1, planted);
    m.limit("4M");
    m.ctl("check");
    // Once since the record, which is made every ten seconds.
    m.when(70.0);
    m.mount.kill(Signal::SIGKILL);
    output(&format!("umount -l {}", m.mount.at.display()));
    m.mount.mount("");
    wait_for("it is back", || m.mount.exists("m/check"));
    wait_for("it goes on", || m.m("check").starts_with("running "));
    let percent = m.percent();
    assert!((50.0..80.0).contains(&percent), "{}", m.m("check"));
    m.limit("none");
    let text = m.ended();
    let wanted = planted.iter().map(|byte| differs(*byte, 1, "0 1"));
    assert_eq!(m.places(), wanted.collect::<Vec<_>>(), "{text}");
    // Of what was not all compared in one go there is no digest, and no word for `finish`.
    assert!(!text.contains("sha256"), "{text}");
    assert!(m.mount.try_write("m/ctl", "finish checked").is_err());
    m.remove();
}

/// And after an unmount or a reboot, when the disks may have other names.
pub fn after_a_reboot(lab: &Lab) {
    let m = Compared::on(lab, lasting_mount(lab), 2);
    m.limit("8M");
    m.ctl("check");
    m.when(40.0);
    m.mount.stop();
    m.mount.mount("");
    wait_for("it goes on", || m.m("check").starts_with("running "));
    assert!(m.percent() >= 40.0, "{}", m.m("check"));
    m.when(60.0);
    away(&m.mount, &["m"]);
    m.mount.mount("");
    wait_longer(60, "it is back", || m.m("health").starts_with("ok"));
    assert!(m.percent() >= 60.0, "{}", m.m("check"));
    m.limit("none");
    let text = m.ended();
    assert!(is_clean(&text), "{text}");
    m.remove();
}

/// Killed again and again while it copies, under a writer: nothing stays held, and in the end
/// all is equal.
pub fn killed_in_a_repair(lab: &Lab) {
    assert!(lab.is_kernel(), "{NO_IO}");
    let m = Compared::on(lab, lasting_mount(lab), 2);
    let writer = Writer::start("/dev/mapper/m", SIZE / 2);
    // The source alone has what was written meanwhile.
    put(&m.legs[1], 8 * MIB, &vec![0x33; 48 * MIB as usize]);
    m.ctl("repair");
    for round in 0..5_u64 {
        sleep(Duration::from_millis(300 + 170 * round));
        println!("{}", m.m("check").lines().next().unwrap_or_default());
        m.mount.kill(Signal::SIGKILL);
        output(&format!("umount -l {}", m.mount.at.display()));
        m.mount.mount("");
        wait_for("it is back", || m.mount.exists("m/check"));
        writer.wait_for(20);
    }
    let text = m.ended();
    println!("{}", text.lines().next().unwrap_or_default());
    assert!(text.contains(" bytes repaired"), "{text}");
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    let text = m.compare("check");
    assert!(is_clean(&text), "{text}");
    assert_equal(&m.legs[0], &m.legs[1], SIZE);
    written.assert_on(&m.legs[1]);
    m.remove();
}

/// Killed together with the child that would let I/O go: the next mount does.
pub fn killed_while_io_is_held(lab: &Lab) {
    let (disk, sectors) = (lab.noise(1, SIZE).0, SIZE / 512);
    let _late = Undo("dmsetup remove --retry late".into());
    let table = |millis: u32| format!("0 {sectors} delay {disk} 0 {millis} {disk} 0 0");
    output("modprobe dm-delay");
    create("late", "", &table(0));
    let mount = lasting_mount(lab);
    let m = Compared::made_of(mount, vec![lab.random(0, SIZE), "/dev/mapper/late".into()]);
    plant(&disk, &[MIB, SIZE - 1]);
    assert_eq!(m.compare("check").lines().count(), 3);
    reload("late", &table(700));
    m.ctl("repair");
    let is_held = || dm("info -c --noheadings -o suspended m").contains("Suspended");
    wait_longer(60, "I/O is held", is_held);
    output("kill -9 $(pgrep -x dm-suspend) $(pgrep -f ' -e [k]ernel ')");
    output(&format!("umount -l {}", m.mount.at.display()));
    sleep(Duration::from_secs(2));
    assert!(is_held(), "somebody has let it go");
    reload("late", &table(0));
    m.mount.mount("");
    wait_longer(60, "it goes on", || !is_held());
    m.told(" m resumed the daemon was killed ");
    let text = m.ended();
    assert!(is_clean(&text), "{text}");
    assert_equal(&m.legs[0], &disk, SIZE);
    m.remove();
}

/// A leg that fails in the middle ends it, and does not hold anybody up.
pub fn a_leg_fails(lab: &Lab) {
    for verb in ["check", "repair"] {
        let fragile = lab.fragile(1, SIZE / 512);
        let legs = vec![lab.random(0, SIZE), fragile.path.clone()];
        let m = Compared::made_of(lab.mount(), legs);
        plant(&lab.disk(1), &[0, SIZE - 1]);
        m.limit("8M");
        m.ctl(verb);
        m.when(10.0);
        let writer = Writer::start("/dev/mapper/m", SIZE);
        writer.wait_for(5);
        fragile.fail();
        writer.wait_for(50);
        let text = m.ended();
        let over = text.starts_with("stopped ") || text.starts_with("never");
        assert!(over, "{text}");
        m.told(" m check stopped ");
        m.told(" m dropped ");
        assert!(writer.end().error.is_none());
        m.remove();
    }
}

/// What of a leg cannot be read is told, to the block, and is no difference; it is written
/// anew by a repair, where the disk takes that.
pub fn bad_spots(lab: &Lab) {
    let (start, sectors) = (2 * MIB / 512, 16);
    let fragile = lab.holed(1, SIZE / 512, (start, sectors));
    let legs = vec![lab.random(0, SIZE), fragile.path.clone()];
    let m = Compared::made_of(lab.mount(), legs);
    plant(&lab.disk(1), &[MIB]);
    fragile.fail();
    let text = m.compare("check");
    let first = text.lines().next().expect("a line");
    let wanted = "Z, 512 bytes differ in 1 places, 8192 bytes cannot be read";
    assert!(first.ends_with(wanted), "{text}");
    let lost = "unreadable 0x00200000 0x00002000 leg 1".to_string();
    assert_eq!(m.places(), [differs(MIB, 1, "0 1"), lost], "{text}");
    let health = m.m("health");
    assert!(
        health.contains("\nwarning 8192 bytes of a leg cannot be read"),
        "{health}"
    );
    // The disk does not take it: what is copied is what can be.
    let text = m.compare("repair");
    assert!(
        text.contains(", 0 bytes differ in 0 places, 8192 bytes cannot be read"),
        "{text}"
    );
    fragile.repair();
    let text = m.compare("repair");
    assert!(is_clean(&text), "{text}");
    assert_equal(&m.legs[0], &m.legs[1], SIZE);
    m.remove();
}

/// What of the source cannot be read is on no other leg: it is left out, and that is told.
pub fn what_is_left_out(lab: &Lab) {
    let fragile = lab.holed(0, SIZE / 512, (2 * MIB / 512, 16));
    lab.random(0, SIZE);
    fragile.fail();
    let mount = lab.mount();
    let legs = vec![fragile.path.clone(), lab.noise(1, SIZE).0];
    let line = format!("m: {} region=128K length=64M", legs.join(" "));
    mount.write("new", &line);
    let m = Compared { mount, legs };
    wait_longer(60, "it is known to be bad", || {
        m.m("health").contains("\nbad 8192 bytes in 1 spots\n") && m.m("sync/state") != "syncing\n"
    });
    m.plant(1, &[MIB]);
    let text = m.compare("check");
    let first = text.lines().next().expect("a line");
    let wanted = "Z, 512 bytes differ in 1 places, 8192 bytes left out";
    assert!(first.ends_with(wanted), "{text}");
    let left = "left out 0x00200000 0x00002000".to_string();
    assert_eq!(m.places(), [differs(MIB, 1, "0 1"), left.clone()]);
    let text = m.compare("repair");
    assert_eq!(m.places(), [left], "{text}");
    fragile.repair();
    m.ctl("retry");
    m.mount.wait_in_sync("m");
    wait_longer(60, "one target", || m.m("table").lines().count() == 1);
    assert!(is_clean(&m.compare("check")));
    m.ctl("finish checked");
    m.remove();
}

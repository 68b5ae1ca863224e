//! What could not be read is known after the daemon, or the machine, was away.

use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::spots::{Rig, all_but, ranges};
use crate::cases::failover::rig::NO_IO;
use crate::cases::kills::crashable::CrashableDaemon;
use crate::cases::records::{away, events, lasting};
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::shell::attempt;
use crate::lab::{Lab, long, wait_for};

pub const CASES: &[Case] = &[
    kernel_only("after_a_reboot", NO_IO, after_a_reboot),
    kernel_only("after_a_kill", NO_IO, after_a_kill),
    kernel_only("before_it_switches", NO_IO, before_it_switches),
    kernel_only("at_any_moment", NO_IO, at_any_moment).within(900),
];

const HOLES: [(u64, u64); 2] = [(5 * MIB, 4096), (33 * MIB + 8192, 8192)];

fn after_a_reboot(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let rig = Rig::on(lab, mount, &HOLES, "");
    rig.wait_for_bad(12_288);
    let table = rig.mount.read("m/table");
    away(&rig.mount, &["m"]);
    rig.mount.mount("");
    wait_for("it is back", || rig.mount.exists("m/table"));
    rig.wait_for_bad(12_288);
    assert_eq!(
        rig.mount.read("m/table").lines().count(),
        table.lines().count()
    );
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&HOLES));
    rig.finish_lossy();
    rig.assert_copied(&HOLES);
    rig.mount.write("m/ctl", "remove");
}

/// Killed once something was set aside, and before it was found what of it is bad.
fn after_a_kill(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let rig = Rig::on(lab, mount, &HOLES, "");
    wait_for("something is set aside", || {
        !events(&rig.mount, "aside").is_empty()
    });
    rig.mount.kill(Signal::SIGKILL);
    rig.mount.mount("");
    rig.wait_for_bad(12_288);
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&HOLES));
    rig.source.repair();
    rig.mount.write("m/ctl", "retry");
    rig.mount.wait_in_sync("m");
    rig.mount.write("m/ctl", "finish");
    rig.assert_copied(&[]);
    rig.mount.write("m/ctl", "remove");
}

/// Killed when the record says what is bad, and the table is still the one of before.
fn before_it_switches(lab: &Lab) {
    let holes = &HOLES[..1];
    let rig = Rig::made_by(lab, lasting(lab), holes, |mount, line| {
        let mut daemon = CrashableDaemon::new(&mount.state(), "");
        daemon.prepare("start");
        // Made, set aside, and narrowed.
        let told = daemon.work("new", line, Some(("Resume", 3)));
        assert!(told.starts_with("done "), "{told}");
        daemon.wait_there();
    });
    rig.mount.mount("");
    wait_for("it is back", || rig.mount.exists("m/table"));
    rig.wait_for_bad(4096);
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(holes));
    rig.mount.write("m/ctl", "remove");
}

/// Killed at any moment of a copy that meets bad spots, and of `finish lossy`.
fn at_any_moment(lab: &Lab) {
    let mut random = 4_321_u64;
    let mut next = |most: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Duration::from_millis((random >> 33) % most)
    };
    let mut cut = 0;
    for _ in 0..if long() { 30 } else { 3 } {
        let mount = lasting(lab);
        mount.mount("");
        let rig = Rig::on(lab, mount, &HOLES, "");
        sleep(next(1500));
        back(&rig);
        rig.wait_for_bad(12_288);
        let verb = format!("echo finish lossy >{}", rig.mount.path("m/ctl").display());
        let writer = thread::spawn(move || attempt(&verb));
        sleep(next(400));
        back(&rig);
        writer.join().expect("a writer");
        if rig.mount.read("m/table").contains(" mirror ") {
            cut += 1;
            rig.wait_for_bad(12_288);
            rig.finish_lossy();
        }
        assert!(rig.mount.read("m/health").starts_with("finished\n"));
        rig.assert_copied(&HOLES);
        rig.mount.write("m/ctl", "remove");
        rig.mount.stop();
    }
    println!("`finish lossy` was cut short {cut} times");
}

/// Kill the daemon, and start another.
fn back(rig: &Rig) {
    rig.mount.kill(Signal::SIGKILL);
    rig.mount.mount("");
    wait_for("it is back", || rig.mount.exists("m/table"));
    wait_for("it is not held", || rig.mount.read("m/suspended") == "0\n");
}

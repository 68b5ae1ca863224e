//! What must not happen in the moment of a switch: a write that fails, a setting that
//! is lost, a word that is not true.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use super::failover::rig::{NO_IO, Rig, Shape};
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::{create, dm};
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("table_while_a_leg_dies", NO_IO, table_while_a_leg_dies),
    kernel_only("suspend_of_what_is_held", NO_IO, suspend_of_what_is_held),
    kernel_only("table_of_what_is_held", NO_IO, table_of_what_is_held),
    kernel_only("settings_made_meanwhile", NO_IO, settings),
    kernel_only("never_finished_unasked", NO_IO, never_finished),
    kernel_only("what_finish_moves_to_is_flushed", NO_IO, flushed),
    both("a_table_with_another_leg", another_leg),
];

const SECTORS: u64 = 8192;

/// How long a write to leg 1 is under way.
const LATE: u32 = 1500;

/// A mirror `m` in sync whose leg 1 takes its time with each write.
struct Late {
    mount: Mount,
    source: String,
    // After the mount, each before what it stands on.
    _delay: Undo,
    leg: Fragile,
}

impl Late {
    fn new(lab: &Lab) -> Late {
        let (source, leg) = (lab.disk(0), lab.fragile(1, SECTORS));
        output("modprobe dm-delay");
        let path = &leg.path;
        create(
            "late",
            "",
            &format!("0 {SECTORS} delay {path} 0 0 {path} 0 {LATE}"),
        );
        let delay = Undo("dmsetup remove --retry late".into());
        let mount = lab.mount();
        mount.write(
            "new",
            &format!("m: {}", table(&source, "core 2 128 nosync")),
        );
        mount.wait_in_sync("m");
        wait_for("it was seen", || {
            mount.read("events").contains(" m synced ")
        });
        Late {
            mount,
            source,
            _delay: delay,
            leg,
        }
    }
}

fn table(source: &str, log: &str) -> String {
    format!("0 {SECTORS} mirror {log} 2 {source} 0 /dev/mapper/late 0 1 handle_errors")
}

/// One write, and whether it was acknowledged.
fn write() -> bool {
    let words = [
        "if=/dev/zero",
        "of=/dev/mapper/m",
        "bs=4096",
        "count=1",
        "oflag=direct",
    ];
    let done = Command::new("dd").args(words).output().expect("dd");
    done.status.success()
}

/// The write is under way, and nobody knows yet that its leg is dead.
fn table_while_a_leg_dies(lab: &Lab) {
    let late = Late::new(lab);
    late.leg.fail();
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        sleep(Duration::from_millis(300));
        late.mount
            .write("m/table", &table(&late.source, "core 1 256"));
        wait_longer(20, "the write's end", || writer.is_finished());
        assert!(writer.join().expect("a writer"), "a write failed");
    });
    late.mount.write("m/ctl", "remove");
}

/// A mirror of which leg 1 has failed and whose writes are held.
fn held(lab: &Lab) -> Rig {
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: false,
    };
    let rig = Rig::new(lab, shape, &[1]);
    rig.mount.write("m/on_failure", "hold");
    rig.fragile[0].fail();
    rig.expect("degraded", &["leg 1 ", " D write failed"]);
    assert!(rig.writer.is_held(), "it is held");
    rig
}

fn suspend_of_what_is_held(lab: &Lab) {
    let rig = held(lab);
    rig.mount.write("m/ctl", "suspend");
    assert!(rig.writer.is_held(), "it is suspended");
    rig.mount.write("m/ctl", "resume");
    rig.mount.write("m/on_failure", "drop");
    rig.goes_on(20);
    rig.end(&[0]);
}

fn table_of_what_is_held(lab: &Lab) {
    let rig = held(lab);
    let sectors = 16 * MIB / 512;
    let line = format!("0 {sectors} linear {} 0", rig.legs[0]);
    rig.mount.write("m/table", &line);
    rig.goes_on(20);
    rig.end(&[0]);
}

/// What somebody sets while a verb runs is not taken back at its end.
fn settings(lab: &Lab) {
    let late = Late::new(lab);
    let new = lab.blank(5);
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        sleep(Duration::from_millis(200));
        // It waits for the write.
        let verb = scope.spawn(|| late.mount.try_write("m/ctl", &format!("add {new}")));
        sleep(Duration::from_millis(300));
        late.mount.write("m/on_failure", "hold");
        assert!(!verb.is_finished(), "the verb was too quick for the test");
        verb.join().expect("a verb").expect("a leg more");
        assert!(writer.join().expect("a writer"));
    });
    assert_eq!(late.mount.read("m/on_failure"), "hold\n");
    late.mount.write("m/ctl", "remove");
}

/// While a failed leg is taken out, and afterwards, nothing says that it was cut over.
fn never_finished(lab: &Lab) {
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: false,
    };
    for broken in [0, 1] {
        let rig = Rig::new(lab, shape, &[broken]);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut said = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let health = rig.mount.read("m/health");
                    said.push(health.lines().next().unwrap_or_default().to_owned());
                    said.dedup();
                }
                said
            });
            rig.fragile[0].fail();
            rig.expect("degraded", &[", dropped\n"]);
            rig.goes_on(20);
            over.store(true, Ordering::Relaxed);
            let said = reader.join().expect("a reader");
            assert!(!said.contains(&"finished".to_owned()), "{said:?}");
        });
        let events = rig.mount.read("events");
        assert!(!events.contains("finished"), "{events}");
        let survivor = rig.legs[1 - broken].clone();
        rig.expect("degraded", &[&format!("leg 0 {survivor} A linear")]);
        assert_eq!(rig.mount.read("m/legs/0/path"), format!("{survivor}\n"));
        let progress = rig.mount.read("m/progress");
        let number = lab.number(&survivor);
        assert!(
            progress.contains(&format!("no mirror, linear on {number}")),
            "{progress}"
        );
        rig.end(&[1 - broken]);
    }
}

/// The copy is in the cache of the disk that it was made on, until somebody flushes it.
fn flushed(lab: &Lab) {
    let source = lab.random(0, 4 * MIB);
    let mount = lab.mount();
    let target = mount.scratch("target.img");
    output(&format!("truncate -s 4M {target}"));
    mount.write(
        "new",
        &format!("m: 0 8192 mirror core 1 128 2 {source} 0 {target} 0 1 handle_errors"),
    );
    mount.wait_in_sync("m");
    let stat = format!("/sys/dev/block/{}/stat", lab.number(&target));
    let flushes = || -> u64 {
        let text = std::fs::read_to_string(&stat).expect("figures");
        let field = text.split_whitespace().nth(15).expect("flushes");
        field.parse().expect("a number")
    };
    let before = flushes();
    mount.write("m/ctl", "finish");
    assert!(dm("table m").contains(" linear "));
    assert!(flushes() > before, "{} flushes, as before", flushes());
    mount.write("m/ctl", "remove");
}

/// The log has never seen the new leg, and would call it equal.
fn another_leg(lab: &Lab) {
    let (source, first, second) = (lab.random(0, 4 * MIB), lab.blank(1), lab.random(2, 4 * MIB));
    let mount = lab.mount();
    let log = mount.scratch("log");
    let table = |target: &str| {
        format!("0 8192 mirror disk 2 {log} 128 2 {source} 0 {target} 0 1 handle_errors")
    };
    mount.write("new", &format!("m: {}", table(&first)));
    mount.wait_in_sync("m");
    mount.write("m/table", &table(&second));
    mount.wait_in_sync("m");
    assert_equal(&source, &second, 4 * MIB);
    assert!(mount.read("m/health").starts_with("ok\n"));
    mount.write("m/ctl", "remove");
}

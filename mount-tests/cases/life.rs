//! What was in sync in one life of a table says nothing of the next: the same table
//! loaded again, by a verb, by the same text or by another program, copies anew, and
//! until it is done only leg 0 has what was acknowledged.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::failover::rig::NO_IO;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{self, MIB};
use crate::lab::dm::{dm, run};
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("resync_then_drop", NO_IO, resync),
    kernel_only("resync_then_replace", NO_IO, replace),
    kernel_only("the_same_table_again", NO_IO, same_table),
    kernel_only("the_same_table_by_dmsetup", NO_IO, by_dmsetup),
    kernel_only("retry_then_the_source_dies", NO_IO, retry),
    kernel_only("what_does_not_end_it", NO_IO, goes_on),
    kernel_only("a_hold_that_is_suspended_and_resumed", NO_IO, held),
];

const SIZE: u64 = 24 * MIB;
const SECTORS: u64 = SIZE / 512;

/// Sectors of a region: so many of them that a copy takes seconds on any machine.
const REGION: u64 = 32;

/// The last block of the device.
const LAST: u64 = SIZE / 4096 - 1;

/// A mirror `m` of two disks that can be broken.
struct Rig {
    mount: Mount,
    table: String,
    // After the mount: a mirror that is still there has them open.
    legs: [Fragile; 2],
}

impl Rig {
    /// In sync, and seen to be so; from now on a copy takes long.
    fn new(lab: &Lab) -> Rig {
        let legs = [0, 1].map(|number| {
            disks::put(&lab.disk(number), LAST * 4096, &[0; 4096]);
            lab.fragile(number, SECTORS)
        });
        let mount = lab.mount();
        let table = format!(
            "0 {SECTORS} mirror core 1 {REGION} 2 {} 0 {} 0 1 handle_errors",
            legs[0].path, legs[1].path
        );
        mount.write("new", &format!("m: {table}"));
        wait_longer(60, "in sync", || mount.read("m/sync/state") == "in_sync\n");
        wait_for("it was seen", || {
            mount.read("events").contains(" m synced ")
        });
        mount.write("throttle", "1");
        Rig { mount, table, legs }
    }

    /// Write the last block, which is copied last: acknowledged, it is on leg 0 alone.
    fn write_last(&self, what: u8) {
        put("/dev/mapper/m", what);
    }

    /// Panics where the last block is not what was acknowledged.
    fn assert_last(&self, what: u8) {
        assert_eq!(last("/dev/mapper/m"), what, "{}", self.texts());
    }

    fn texts(&self) -> String {
        let files = ["m/health", "m/status", "m/table", "events"];
        files.iter().map(|file| self.mount.read(file)).collect()
    }

    fn wait_half_way(&self) {
        let number = |file: &str| -> u64 { self.mount.read(file).trim().parse().expect(file) };
        wait_longer(30, "a copy under way", || {
            let done = number("m/sync/regions_done");
            0 < done && done < number("m/sync/regions_total") / 2
        });
    }

    /// Leg 0 dies in the middle of the copy: nothing is moved to leg 1.
    fn source_dies(&self) {
        let before = dm("table m");
        self.legs[0].fail();
        // Something has to meet the error.
        write_behind();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let health = self.mount.read("m/health");
            if health.starts_with("failed\n") && health.contains("only whole copy") {
                break;
            }
            assert!(Instant::now() < end, "no failure shows: {}", self.texts());
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(dm("table m"), before, "{}", self.texts());
        assert!(!self.mount.read("events").contains(" m dropped "));
    }

    /// Leg 0 is out, and leg 1 goes on.
    fn wait_moved(&self, what: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while !dm("table m").contains(" linear ") {
            assert!(Instant::now() < end, "{what}: {}", self.texts());
            std::thread::sleep(Duration::from_millis(20));
        }
        let health = self.mount.read("m/health");
        assert!(health.starts_with("degraded\n"), "{what}: {health}");
    }

    /// The source works again: all is copied, and nothing was lost.
    fn mended(self, what: u8) {
        self.legs[0].repair();
        self.mount.write("throttle", "100");
        wait_longer(20, "`retry` is done", || {
            self.mount.try_write("m/ctl", "retry").is_ok()
        });
        wait_longer(60, "ok", || self.mount.read("m/health").starts_with("ok\n"));
        self.assert_last(what);
        self.legs.iter().for_each(|leg| {
            assert_eq!(last(&leg.path), what, "{}", leg.path);
        });
        self.mount.write("m/ctl", "remove");
    }

    /// Refused, and nothing changed.
    fn refused(&self, verb: &str) {
        let before = dm("table m");
        let (errno, why) = self.mount.try_write("m/ctl", verb).expect_err(verb);
        assert!(
            errno == Errno::EBUSY && why.contains("only whole copy"),
            "{verb}: {errno}: {why}"
        );
        assert_eq!(dm("table m"), before);
    }
}

/// Write the first block, which may be held: nobody waits for that.
fn write_behind() {
    output("(dd if=/dev/zero of=/dev/mapper/m bs=4096 count=1 oflag=direct >/dev/null 2>&1 &)");
}

fn put(device: &str, what: u8) {
    output(&format!(
        "head -c 4096 /dev/zero | tr '\\0' '\\{what:o}' | \
         dd of={device} bs=4096 seek={LAST} oflag=direct,dsync conv=notrunc iflag=fullblock 2>/dev/null"
    ));
}

fn last(device: &str) -> u8 {
    let line = format!(
        "dd if={device} bs=4096 skip={LAST} count=1 iflag=direct 2>/dev/null | od -An -tu1 -N1"
    );
    output(&line).trim().parse().expect("a byte")
}

fn resync(lab: &Lab) {
    let rig = Rig::new(lab);
    rig.mount.write("m/ctl", "resync");
    rig.write_last(7);
    rig.wait_half_way();
    rig.refused("drop 0");
    rig.assert_last(7);
    rig.mended(7);
}

fn replace(lab: &Lab) {
    let rig = Rig::new(lab);
    rig.mount.write("m/ctl", "resync");
    rig.write_last(9);
    rig.wait_half_way();
    let new = lab.blank(5);
    rig.refused(&format!("replace 0 {new}"));
    rig.mended(9);
}

fn same_table(lab: &Lab) {
    let rig = Rig::new(lab);
    rig.mount.write("m/table", &rig.table);
    rig.write_last(8);
    rig.wait_half_way();
    rig.source_dies();
    rig.mended(8);
}

/// Behind the daemon's back, and with the failure at once: nobody had the time to look.
fn by_dmsetup(lab: &Lab) {
    for wait in [true, false] {
        let rig = Rig::new(lab);
        let table = dm("table m");
        run("dmsetup", &["reload", "m", "--table", table.trim()]);
        dm("resume m");
        if wait {
            rig.write_last(6);
            rig.wait_half_way();
        }
        rig.source_dies();
        rig.mended(if wait { 6 } else { 0 });
    }
}

fn retry(lab: &Lab) {
    let rig = Rig::new(lab);
    rig.mount.write("m/on_failure", "hold");
    rig.legs[1].fail();
    write_behind();
    wait_for("leg 1 has failed", || {
        rig.mount.read("m/health").contains(" D write failed")
    });
    rig.legs[1].repair();
    rig.mount.write("m/ctl", "retry");
    rig.mount.write("m/on_failure", "drop");
    rig.write_last(5);
    rig.wait_half_way();
    rig.source_dies();
    rig.mended(5);
}

/// What begins no life, or one in which the legs are what they were.
fn goes_on(lab: &Lab) {
    type Act = (&'static str, fn(&Rig));
    let acts: [Act; 4] = [
        ("suspend and resume", |rig| {
            rig.mount.write("m/ctl", "suspend");
            rig.mount.write("m/ctl", "resume");
        }),
        ("udev asks", |_| {
            output("echo change >/sys/block/$(basename $(readlink -f /dev/mapper/m))/uevent");
        }),
        ("another name and back", |rig| {
            std::fs::rename(rig.mount.path("m"), rig.mount.path("n")).expect("mv");
            std::fs::rename(rig.mount.path("n"), rig.mount.path("m")).expect("mv");
        }),
        ("suspend and resume by dmsetup", |_| {
            dm("suspend m");
            dm("resume m");
        }),
    ];
    for (what, act) in acts {
        let rig = Rig::new(lab);
        rig.write_last(3);
        act(&rig);
        wait_for("ok", || rig.mount.read("m/health").starts_with("ok\n"));
        // The daemon looks as soon as it hears of it.
        std::thread::sleep(Duration::from_millis(300));
        rig.legs[0].fail();
        write_behind();
        rig.wait_moved(what);
        rig.write_last(4);
        rig.assert_last(4);
        rig.mount.write("m/ctl", "remove");
    }
}

/// What waits for the administrator is still known to be whole when he suspends and
/// resumes it, and lets it go on.
fn held(lab: &Lab) {
    let rig = Rig::new(lab);
    rig.mount.write("m/on_failure", "hold");
    rig.legs[0].fail();
    write_behind();
    wait_for("leg 0 has failed", || {
        rig.mount.read("m/health").contains("leg 0 ")
            && rig.mount.read("m/health").contains(" D write failed")
    });
    rig.mount.write("m/ctl", "suspend");
    rig.mount.write("m/ctl", "resume");
    rig.mount.write("m/on_failure", "drop");
    rig.wait_moved("after a suspend and a resume");
    rig.write_last(2);
    rig.assert_last(2);
    rig.mount.write("m/ctl", "remove");
}

//! A mirror with a writer on it, and legs that can be broken.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::lab::Lab;
use crate::lab::disks::MIB;
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::wait_longer;
use crate::lab::writer::{Writer, Written};

/// Why a test is for the kernel's engine only.
pub const NO_IO: &str = "nothing reads or writes through an embedded mirror";

/// Bytes of a mirror that is in sync, and of one that is to stay half way for a
/// while.
const SMALL: u64 = 16 * MIB;
const LARGE: u64 = 96 * MIB;

/// How long the health may take to say what happened.
const PATIENCE: Duration = Duration::from_secs(40);

/// The disk of this number is never a leg.
const LOG: usize = 8;

/// How a mirror is made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many legs it has.
    pub legs: usize,
    /// Whether they are in sync from the start.
    pub whole: bool,
    /// Whether its log is on a disk.
    pub disk: bool,
}

impl Shape {
    fn size(self) -> u64 {
        if self.whole { SMALL } else { LARGE }
    }

    fn sectors(self) -> u64 {
        self.size() / 512
    }
}

/// A mirror `m` that is written to.
pub struct Rig {
    pub shape: Shape,
    pub mount: Mount,
    pub writer: Writer,
    pub legs: Vec<String>,
    // After the mount: a mirror that is still there has them open.
    pub fragile: Vec<Fragile>,
    pub log: Option<Fragile>,
}

impl Rig {
    /// A mirror of which the legs in `breakable` can be broken. One that is not
    /// whole copies so slowly that it stays so.
    pub fn new(lab: &Lab, shape: Shape, breakable: &[usize]) -> Rig {
        let fragile = breakable.iter();
        let fragile = fragile.map(|number| lab.fragile(*number, shape.sectors()));
        let fragile = fragile.collect();
        let line = |legs: &[String], log: Option<&Fragile>| table(shape, legs, log);
        Rig::on(lab, shape, breakable, fragile, shape.size(), &line)
    }

    /// A mirror of two legs that is copied, with its log on a disk or not, and with a bad
    /// spot on one leg from the start; `errors` is what it is to do about that.
    pub fn with_a_bad_spot(lab: &Lab, disk: bool, leg: usize, errors: &str) -> Rig {
        let shape = Shape {
            legs: 2,
            whole: false,
            disk,
        };
        let (spot, written) = match leg {
            // A write to it, not copied yet, would go there alone and fail.
            0 => (2 * SMALL, SMALL),
            _ => (SMALL / 2, shape.size()),
        };
        let fragile = lab.holed(leg, shape.sectors(), (spot / 512, 16));
        fragile.fail();
        let line = |legs: &[String], log: Option<&Fragile>| {
            let log = log.map_or("core", |log| &log.path);
            let legs = legs.join(" ");
            format!("{legs} length=96M region=64K log={log} errors={errors} force=yes")
        };
        Rig::on(lab, shape, &[leg], vec![fragile], written, &line)
    }

    fn on(
        lab: &Lab,
        shape: Shape,
        breakable: &[usize],
        fragile: Vec<Fragile>,
        written: u64,
        line: &dyn Fn(&[String], Option<&Fragile>) -> String,
    ) -> Rig {
        let leg = |number: usize| {
            let place = breakable.iter().position(|other| *other == number);
            place.map_or_else(|| lab.disk(number), |place| fragile[place].path.clone())
        };
        let legs: Vec<String> = (0..shape.legs).map(leg).collect();
        let log = shape.disk.then(|| {
            lab.blank(LOG);
            lab.fragile(LOG, 2048)
        });
        let mount = lab.mount();
        if !shape.whole {
            mount.write("throttle", "1");
        }
        mount.write("new", &format!("m: {}", line(&legs, log.as_ref())));
        if shape.whole {
            mount.wait_in_sync("m");
        }
        let writer = Writer::start("/dev/mapper/m", written);
        writer.wait_for(20);
        Rig {
            shape,
            mount,
            writer,
            legs,
            fragile,
            log,
        }
    }

    /// Whether it was in sync at this moment, which a test may only believe of one
    /// that was made so.
    pub fn check_way(&self) {
        let done = self.mount.read("m/sync/regions_done");
        let total = self.mount.read("m/sync/regions_total");
        assert_eq!(done == total, self.shape.whole, "{done} of {total}");
    }

    /// Wait until the word of `health` is this and its lines have these pieces.
    pub fn expect(&self, word: &str, pieces: &[&str]) {
        let first = format!("{word}\n");
        let end = Instant::now() + PATIENCE;
        loop {
            let health = self.mount.read("m/health");
            let missing = pieces.iter().find(|piece| !health.contains(**piece));
            match missing {
                None if health.starts_with(&first) => return,
                _ if Instant::now() < end => sleep(Duration::from_millis(20)),
                missing => {
                    let (status, events) = (self.mount.read("m/status"), self.mount.read("events"));
                    panic!("not {word} with {missing:?}:\n{health}{status}{events}")
                }
            }
        }
    }

    /// The node that `health` shows of a leg.
    pub fn node(&self, leg: usize) -> &str {
        &self.legs[leg]
    }

    /// Wait until `more` writes have been acknowledged.
    pub fn goes_on(&self, more: u64) {
        let (wanted, end) = (self.writer.count() + more, Instant::now() + PATIENCE);
        while self.writer.count() < wanted {
            let late = self.writer.has_ended() || Instant::now() > end;
            if late {
                let texts = ["m/health", "m/status", "m/table", "events"];
                let texts: String = texts.iter().map(|file| self.mount.read(file)).collect();
                panic!("{:?}: the writer does not go on:\n{texts}", self.shape);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Wait until the writer has been at the bad region of a target, whatever holds it
    /// up.
    pub fn write_the_bad_region(&self) {
        let first = SMALL / 2 / 4096;
        self.writer.wait_for_block(first..first + 16);
    }

    /// Let the copy go at full speed, and wait for its end.
    pub fn finish_copy(&self) {
        self.mount.write("throttle", "100");
        let state = || self.mount.read("m/sync/state");
        wait_longer(60, "in sync, or one leg alone", || {
            ["in_sync\n", "none\n"].contains(&state().as_str())
        });
    }

    /// The broken leg works again and `retry` is written: all is copied, and both
    /// legs of two hold all. The longest wait of the writer.
    pub fn mended(self) -> Duration {
        self.fragile[0].repair();
        self.retry();
        self.finish_copy();
        self.expect("ok", &[]);
        self.goes_on(20);
        self.end(&[0, 1])
    }

    /// Write `retry`; the daemon may be at just that.
    pub fn retry(&self) {
        wait_longer(10, "`retry` is done", || {
            match self.mount.try_write("m/ctl", "retry") {
                Err((errno, why)) if errno != Errno::EBUSY => panic!("{errno}: {why}"),
                done => done.is_ok(),
            }
        });
    }

    /// End the writer, which may have failed: every leg holds what was acknowledged.
    pub fn check_acknowledged(self) {
        let written = self.writer.end();
        self.legs.iter().for_each(|leg| written.assert_on(leg));
        self.mount.write("m/ctl", "remove");
    }

    /// End the writer and the mirror; no write failed.
    pub fn stop(self) -> Written {
        let written = self.writer.end();
        assert!(
            written.error.is_none(),
            "{:?}: {:?}",
            self.shape,
            written.error
        );
        self.mount.write("m/ctl", "remove");
        written
    }

    /// End the writer: no write failed, and all legs in `left` hold all of it.
    pub fn end(self, left: &[usize]) -> Duration {
        let written: Written = self.writer.end();
        assert!(
            written.error.is_none(),
            "{:?}: {:?}",
            self.shape,
            written.error
        );
        for leg in left {
            written.assert_on(&self.legs[*leg]);
        }
        self.mount.write("throttle", "100");
        self.mount.write("m/ctl", "remove");
        written.longest
    }
}

fn table(shape: Shape, legs: &[String], log: Option<&Fragile>) -> String {
    let word = if shape.whole { " nosync" } else { "" };
    let count = if shape.whole { 1 } else { 0 };
    let log = match log {
        Some(log) => format!("disk {} {} 128{word}", 2 + count, log.path),
        None => format!("core {} 128{word}", 1 + count),
    };
    let devices: Vec<String> = legs.iter().map(|leg| format!("{leg} 0")).collect();
    let (number, devices) = (legs.len(), devices.join(" "));
    let sectors = shape.sectors();
    format!("0 {sectors} mirror {log} {number} {devices} 1 handle_errors")
}

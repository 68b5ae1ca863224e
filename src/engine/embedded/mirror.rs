//! A mirror target: legs, a log, and what the copy has come to. It knows what a
//! failure means (drivers/md/dm-raid1.c); `recovery` does the copying.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::counter::Counter;
use super::leg::{Failure, Leg};
use super::log::Log;
use super::throttle::Throttle;
use crate::error::Result;
use crate::text::status::{LogStatus, MirrorStatus};

/// What a mirror target is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// The legs; everything is copied from the first one.
    pub(super) legs: Vec<Leg>,
    /// Which regions are in sync.
    pub(super) log: Log,
    /// Bytes of a region.
    pub(super) region: u64,
    /// Bytes of the target.
    pub(super) length: u64,
    /// Whether regions that failed stay out of the count.
    pub(super) handle_errors: bool,
}

impl Parts {
    fn regions(&self) -> u64 {
        self.length.div_ceil(self.region.max(1))
    }
}

/// A mirror target.
#[derive(Debug)]
pub(super) struct Mirror {
    /// What it is made of.
    pub(super) parts: Parts,
    /// How much of the time copying may take.
    pub(super) throttle: Arc<Throttle>,
    events: Counter,
    was_in_sync: AtomicBool,
}

impl Mirror {
    pub(super) fn new(parts: Parts, throttle: Arc<Throttle>, events: Counter) -> Mirror {
        // Legs that are declared equal are whole from the beginning, and nobody is
        // told: the kernel first looks before anyone can listen (`mirror_ctr`).
        let was_in_sync = parts.log.in_sync() == parts.regions();
        Mirror {
            parts,
            throttle,
            events,
            was_in_sync: AtomicBool::new(was_in_sync),
        }
    }

    /// The leg that everything is copied from. No I/O comes through the mirror, so
    /// it never moves.
    pub(super) fn source(&self) -> Option<&Leg> {
        self.parts.legs.first()
    }

    /// The legs that are copied to.
    pub(super) fn targets(&self) -> &[Leg] {
        self.parts.legs.get(1..).unwrap_or_default()
    }

    /// How many regions there are, the last maybe short.
    pub(super) fn regions(&self) -> u64 {
        self.parts.regions()
    }

    /// Where a region begins and how many bytes it has.
    pub(super) fn place(&self, region: u64) -> (u64, u64) {
        let start = region.saturating_mul(self.parts.region);
        let left = self.parts.length.saturating_sub(start);
        (start, left.min(self.parts.region))
    }

    /// Note that a leg failed. Where errors are not tracked nobody is told
    /// (`fail_mirror`).
    pub(super) fn fail(&self, leg: &Leg, failure: Failure) {
        if leg.fail(failure) && self.parts.handle_errors {
            self.events.raise();
        }
    }

    /// The end of a region's copy (`dm_rh_update_states`).
    pub(super) fn complete(&self, region: u64, copied: bool) {
        let counts = copied || !self.parts.handle_errors;
        self.parts.log.complete(region, counts, copied);
    }

    /// Read the log, and look at all regions again.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn resume(&self) -> Result<()> {
        let failed = self.parts.log.resume()?;
        self.note_log(failed);
        self.mend();
        Ok(())
    }

    /// A target that was cut has lost what was copied to it, whatever the log says.
    /// The log says so before the file is made long again, which hides the cut: one
    /// that cannot be told keeps it short.
    fn mend(&self) {
        let cut = self.targets().iter().filter(|leg| leg.is_cut());
        let cut: Vec<&Leg> = cut.collect();
        if cut.is_empty() {
            return;
        }
        self.lose_all();
        self.flush_log();
        let written = self.parts.log.is_written();
        for leg in cut {
            if !written || leg.mend().is_err() {
                self.fail(leg, Failure::Sync);
            }
        }
    }

    /// No region counts any more, tracked errors or not: what is lost is known.
    pub(super) fn lose_all(&self) {
        (0..self.regions()).for_each(|region| self.parts.log.complete(region, false, false));
        self.was_in_sync.store(false, Ordering::Relaxed);
    }

    /// Write what has changed into the log, through to its disk.
    pub(super) fn flush_log(&self) {
        let failed = self.parts.log.flush();
        self.note_log(failed);
    }

    fn note_log(&self, failed: bool) {
        if failed {
            self.events.raise();
        }
    }

    /// Whether the copy has just come to its end. Then all is well, whatever was
    /// before: without `handle_errors` also what has failed (`do_recovery`).
    pub(super) fn check_end(&self) {
        if self.parts.log.in_sync() != self.regions() || self.was_in_sync.load(Ordering::Relaxed) {
            return;
        }
        self.was_in_sync.store(true, Ordering::Relaxed);
        self.parts.legs.iter().for_each(Leg::heal);
        self.events.raise();
    }

    /// The status line's parameters; `devices` are the legs as the table has
    /// them, `log` the log's device.
    pub(super) fn status(&self, devices: Vec<String>, log: Option<String>) -> MirrorStatus {
        let disk = self.parts.log.disk();
        MirrorStatus {
            devices,
            in_sync: self.parts.log.in_sync(),
            total: self.regions(),
            health: self.parts.legs.iter().map(Leg::letter).collect(),
            log: match log.zip(disk) {
                Some((device, disk)) => LogStatus::Disk {
                    device,
                    health: disk.letter(),
                },
                None => LogStatus::Core,
            },
        }
    }
}

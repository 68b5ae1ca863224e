//! A mirror target, as drivers/md/dm-raid1.c and dm-region-hash.c have it: which legs
//! a write goes to, what is held, what is copied. One region is copied at a time, and
//! only where the test lets it be.

use std::collections::BTreeMap;

use super::disks::{Disk, Version};
use super::faults::{Faults, Kind};
use super::log::Log;

/// A write of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bio {
    /// The block of the device.
    pub block: usize,
    /// Its number.
    pub version: Version,
}

/// Why a write was answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The device is on one disk, which does not take it.
    Alone,
    /// The region is not in sync, and leg 0, which alone has it, does not take it.
    NotInSync,
    /// Each leg had an error of some kind since all was in sync: the kernel fails
    /// the write though one of them may take it (`do_failures`).
    AllFailed,
    /// It was held, and a suspend flushed.
    Flushed,
}

/// What is below, and what came of writes.
#[derive(Debug, Default)]
pub struct Ground {
    pub disks: Vec<Disk>,
    pub done: Vec<(Bio, Result<(), Why>)>,
    /// Blocks of the device of which the legs may differ though they count as equal.
    pub unsure: Vec<usize>,
    /// The kernel may serve what is not there (hazard 15): nothing is judged any more.
    pub hazard: bool,
}

/// How a suspend treats what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Requeue,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Dirty,
    NoSync,
    Recovering,
}

/// A leg: a disk, and the block at which it begins there.
pub type Leg = (usize, usize);

/// The target.
#[derive(Debug)]
pub struct Mirror {
    pub start: usize,
    pub length: usize,
    pub legs: Vec<Leg>,
    pub faults: Faults,
    pub log: Log,
    pub handled: bool,
    region: usize,
    log_failure: bool,
    pub(super) states: BTreeMap<usize, State>,
    pub(super) pending: BTreeMap<usize, usize>,
    pub(super) copying: Option<usize>,
    pub(super) copies: bool,
    pub(super) suspending: Option<Held>,
    pub(super) queue: Vec<Bio>,
    pub(super) failures: Vec<Bio>,
    pub(super) holds: Vec<Bio>,
    pub(super) delayed: Vec<Bio>,
    /// What a suspend let go without failing it.
    pub requeued: Vec<Bio>,
}

impl Mirror {
    /// One of `legs` with regions of so many blocks.
    pub fn new(
        span: (usize, usize),
        legs: Vec<Leg>,
        log: Log,
        region: usize,
        handled: bool,
    ) -> Self {
        Mirror {
            start: span.0,
            length: span.1,
            faults: Faults::new(legs.len(), handled),
            legs,
            log,
            handled,
            region,
            log_failure: false,
            states: BTreeMap::new(),
            pending: BTreeMap::new(),
            copying: None,
            copies: false,
            suspending: None,
            queue: Vec::new(),
            failures: Vec::new(),
            holds: Vec::new(),
            delayed: Vec::new(),
            requeued: Vec::new(),
        }
    }

    fn region_of(&self, block: usize) -> usize {
        (block - self.start) / self.region
    }

    /// The blocks of a region, counted from the target's beginning.
    pub(super) fn blocks(&self, region: usize) -> std::ops::Range<usize> {
        let first = region * self.region;
        first..(first + self.region).min(self.length)
    }

    /// Writes that have not come to their end.
    pub fn under_way(&self) -> usize {
        self.queue.len() + self.failures.len() + self.holds.len() + self.delayed.len()
    }

    /// A write that waits for [`Mirror::work`].
    pub fn submit(&mut self, bio: Bio) {
        self.queue.push(bio);
    }

    /// What the target's thread does each time it is woken (`do_mirror`).
    pub fn work(&mut self, ground: &mut Ground) {
        if !self.faults.in_sync && self.log.sync_count() == self.log.regions() {
            self.faults.events += 1;
            self.faults.in_sync = true;
            self.faults.reset();
        }
        self.flush(ground);
        let failures = std::mem::take(&mut self.failures);
        let writes = std::mem::take(&mut self.queue);
        self.write(writes, ground);
        for bio in failures {
            self.settle(bio, ground);
        }
    }

    fn is_in_sync(&self, region: usize) -> bool {
        match self.states.get(&region) {
            Some(state) => *state == State::Dirty,
            None => self.log.in_sync(region),
        }
    }

    /// `do_writes`.
    fn write(&mut self, writes: Vec<Bio>, ground: &mut Ground) {
        let (mut equal, mut alone) = (Vec::new(), Vec::new());
        for bio in writes {
            let region = self.region_of(bio.block);
            match self.states.get(&region) {
                Some(State::Recovering) => self.delayed.push(bio),
                _ if self.is_in_sync(region) => equal.push(bio),
                _ => alone.push(bio),
            }
        }
        equal.iter().for_each(|bio| self.begin(bio));
        alone.iter().for_each(|bio| self.begin(bio));
        self.log_failure |= !self.flush(ground);
        for bio in equal {
            if self.log_failure && self.handled {
                self.failures.push(bio)
            } else {
                self.write_all(bio, ground)
            }
        }
        for bio in alone {
            if self.faults.any && self.handled {
                self.failures.push(bio);
                continue;
            }
            let written = self.put(self.faults.default, bio, ground);
            self.end(bio, written.map_err(|()| Why::NotInSync), ground);
        }
    }

    fn begin(&mut self, bio: &Bio) {
        let region = self.region_of(bio.block);
        *self.pending.entry(region).or_default() += 1;
        if !self.states.contains_key(&region) {
            if self.log.in_sync(region) {
                self.states.insert(region, State::Dirty);
                self.log.mark(region);
            } else {
                self.states.insert(region, State::NoSync);
            }
        }
    }

    fn put(&self, leg: usize, bio: Bio, ground: &mut Ground) -> Result<(), ()> {
        let (disk, offset) = self.legs[leg];
        let block = bio.block - self.start + offset;
        ground.disks[disk].write(block, bio.version).map_err(drop)
    }

    /// `do_write`, `write_callback`.
    fn write_all(&mut self, bio: Bio, ground: &mut Ground) {
        let failed = (0..self.legs.len()).filter(|leg| self.put(*leg, bio, ground).is_err());
        let failed: Vec<usize> = failed.collect();
        if failed.is_empty() {
            return self.end(bio, Ok(()), ground);
        }
        for leg in failed {
            self.fail(leg, Kind::Write, ground);
        }
        self.failures.push(bio);
    }

    pub(super) fn fail(&mut self, leg: usize, kind: Kind, ground: &mut Ground) {
        let before = self.faults.default;
        self.faults.fail(leg, kind);
        let moved = self.faults.default != before;
        ground.hazard |= moved && self.log.sync_count() < self.log.regions();
    }

    /// `do_failures`.
    fn settle(&mut self, bio: Bio, ground: &mut Ground) {
        if !self.log_failure {
            self.faults.in_sync = false;
            let region = self.region_of(bio.block);
            self.log.set(region, false);
            if self.states.insert(region, State::NoSync) == Some(State::Recovering) {
                self.copying = None;
                self.queue.append(&mut self.delayed);
            }
        }
        if self.faults.valid().is_none() {
            self.end(bio, Err(Why::AllFailed), ground)
        } else if self.handled {
            self.hold(bio, ground)
        } else {
            ground.unsure.push(bio.block);
            self.end(bio, Ok(()), ground);
        }
    }

    /// `hold_bio`.
    pub(super) fn hold(&mut self, bio: Bio, ground: &mut Ground) {
        match self.suspending {
            None => self.holds.push(bio),
            Some(Held::Fail) => self.end(bio, Err(Why::Flushed), ground),
            Some(Held::Requeue) => {
                self.leave(bio);
                self.requeued.push(bio);
            }
        }
    }

    fn end(&mut self, bio: Bio, result: Result<(), Why>, ground: &mut Ground) {
        self.leave(bio);
        ground.done.push((bio, result));
    }

    /// `dm_rh_dec`.
    fn leave(&mut self, bio: Bio) {
        let region = self.region_of(bio.block);
        let Some(pending) = self.pending.get_mut(&region) else {
            return;
        };
        *pending -= 1;
        if *pending > 0 {
            return;
        }
        self.pending.remove(&region);
        if self.states.get(&region) == Some(&State::Dirty) {
            self.states.remove(&region);
            self.log.clear(region);
        }
    }

    /// Write the log, the legs before it; whether that worked.
    pub(super) fn flush(&mut self, ground: &mut Ground) -> bool {
        if self.log.wants_flush() {
            let failed = self.legs.iter().enumerate();
            let failed = failed.filter(|(_, (disk, _))| !ground.disks[*disk].flushes());
            let failed: Vec<usize> = failed.map(|(leg, _)| leg).collect();
            if !failed.is_empty() {
                self.log.legs_not_flushed();
            }
            for leg in failed {
                self.fail(leg, Kind::Flush, ground);
            }
        }
        let failed = self.log.failed;
        let flushed = self.log.flush(&mut ground.disks);
        self.faults.events += u32::from(self.log.failed && !failed);
        flushed
    }

    /// What a read of a block answers, and what that does to the legs.
    pub fn read(&self, faults: &mut Faults, block: usize, disks: &[Disk]) -> Result<Version, ()> {
        let region = self.region_of(block);
        let mut queued = !self.log.in_sync(region);
        loop {
            let leg = if queued && !self.is_in_sync(region) {
                Some(faults.default).filter(|leg| !faults.has(*leg))
            } else {
                faults.choose()
            };
            let leg = leg.ok_or(())?;
            let (disk, offset) = self.legs[leg];
            if let Ok(version) = disks[disk].read(block - self.start + offset) {
                return Ok(version);
            }
            let before = faults.default;
            faults.fail(leg, Kind::Read);
            let moved = faults.default != before;
            if moved && self.log.sync_count() < self.log.regions() {
                faults.strayed = true;
                return Err(());
            }
            let other = self.log.in_sync(region) && faults.choose().is_some();
            if faults.has(faults.default) && !other {
                return Err(());
            }
            queued = true;
        }
    }
}

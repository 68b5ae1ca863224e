//! What stands on a disk log, and what is to be written of it. That a region is dirty has to
//! be there before it is written; that it is clean may wait, and has to: only once the legs
//! have flushed their caches are they the same after a power cut too.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::act::{Done, Job};
use crate::cluster::state::State;
use crate::cluster::state::touched::Touched;
use crate::text::device::DeviceRef;
use crate::text::disklog::{BITSET_OFFSET, Header, VERSION, is_clean, size_for};

/// What is written at once, in bytes: no disk has larger logical blocks.
const BLOCK: u64 = 4096;

/// A job that is being written.
#[derive(Debug, Clone)]
struct UnderWay {
    number: u64,
    /// How many orders had been applied when it was made.
    orders: u64,
    /// The regions that it makes clean.
    cleaned: BTreeSet<u64>,
}

/// A disk log.
#[derive(Debug, Clone)]
pub struct Disk {
    device: DeviceRef,
    regions: u64,
    /// How long it is, in bytes.
    size: u64,
    /// What it has, or has once what is under way is written.
    bytes: Arc<Vec<u8>>,
    /// The blocks of it that are to be written.
    pending: BTreeSet<u64>,
    /// The regions that are to become clean.
    clean: BTreeSet<u64>,
    /// The job that is being written.
    under_way: Option<UnderWay>,
    /// Up to which order all that became dirty is there.
    written: u64,
    /// Whether the last job failed.
    failed: bool,
}

impl Disk {
    /// One that has these regions as clean, as far as it is known; all of it is to be
    /// written.
    pub fn new(device: DeviceRef, state: &State, clean: Option<&[u8]>) -> Disk {
        let regions = state.regions();
        let size = size_for(regions, 1).unwrap_or(BLOCK);
        let blocks = size.div_ceil(BLOCK);
        let mut bytes = vec![0; (blocks * BLOCK) as usize];
        let header = Header {
            version: VERSION,
            regions,
        };
        bytes[..16].copy_from_slice(&header.to_bytes());
        let mut disk = Disk {
            device,
            regions,
            size,
            bytes: Arc::new(bytes),
            pending: (0..blocks).collect(),
            clean: BTreeSet::new(),
            under_way: None,
            written: 0,
            failed: false,
        };
        let known = |region: &u64| clean.is_some_and(|clean| is_clean(clean, *region));
        for region in (0..regions).filter(known) {
            disk.set(region, true);
        }
        disk.touch(&Touched::All, state);
        disk
    }

    /// Its device.
    pub fn device(&self) -> &DeviceRef {
        &self.device
    }

    /// How many regions it is of.
    pub fn regions(&self) -> u64 {
        self.regions
    }

    /// Whether it could not be written.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// These regions may have changed in the state.
    pub fn touch(&mut self, touched: &Touched, state: &State) {
        match touched {
            Touched::All => (0..state.regions()).for_each(|region| self.change(region, state)),
            Touched::Some(regions) => {
                let regions = regions.iter().filter(|region| **region < state.regions());
                regions.for_each(|region| self.change(*region, state));
            }
        }
    }

    fn change(&mut self, region: u64, state: &State) {
        if state.is_clean(region) {
            if !is_clean(self.bits(), region) {
                self.clean.insert(region);
            }
            return;
        }
        self.clean.remove(&region);
        if let Some(job) = &mut self.under_way {
            job.cleaned.remove(&region);
        }
        if is_clean(self.bits(), region) {
            self.set(region, false);
        }
    }

    fn bits(&self) -> &[u8] {
        self.bytes.get(BITSET_OFFSET as usize..).unwrap_or_default()
    }

    fn set(&mut self, region: u64, is_clean: bool) {
        let at = BITSET_OFFSET + region / 8;
        let bit = 1 << (region % 8);
        if let Some(byte) = Arc::make_mut(&mut self.bytes).get_mut(at as usize) {
            *byte = if is_clean { *byte | bit } else { *byte & !bit };
            self.pending.insert(at / BLOCK);
        }
    }

    /// Whether all that became dirty up to an order is on the medium.
    pub fn is_written(&self, order: u64) -> bool {
        self.written >= order || self.pending.is_empty() && self.under_way.is_none()
    }

    /// What is to be written now, if anything; `orders` have been applied. Who waits for it
    /// does not wait for the legs.
    pub fn job(&mut self, number: u64, orders: u64) -> Option<Job> {
        let job = UnderWay {
            number,
            orders,
            cleaned: BTreeSet::new(),
        };
        let idle = self.under_way.is_none() && !self.pending.is_empty();
        idle.then(|| self.start(job, Vec::new()))
    }

    /// What makes regions clean, if there is nothing that has to be written before; the
    /// legs are flushed for it.
    pub fn cleaning(&mut self, number: u64, orders: u64, legs: &[DeviceRef]) -> Option<Job> {
        let busy = self.under_way.is_some() || !self.pending.is_empty();
        if busy || self.clean.is_empty() || legs.is_empty() {
            return None;
        }
        let cleaned = std::mem::take(&mut self.clean);
        cleaned.iter().for_each(|region| self.set(*region, true));
        let job = UnderWay {
            number,
            orders,
            cleaned,
        };
        Some(self.start(job, legs.to_vec()))
    }

    fn start(&mut self, job: UnderWay, flush: Vec<DeviceRef>) -> Job {
        let number = job.number;
        self.under_way = Some(job);
        let blocks = std::mem::take(&mut self.pending);
        Job {
            number,
            device: self.device.clone(),
            flush,
            size: self.size,
            bytes: Arc::clone(&self.bytes),
            changed: ranges(&blocks),
        }
    }

    /// A job is done. One that failed has left nobody knows what: all of it is
    /// to be written, and nothing of what it made clean is so.
    pub fn done(&mut self, number: u64, done: Done) {
        let Some(job) = self.under_way.take_if(|job| job.number == number) else {
            return;
        };
        self.failed = done == Done::Failed;
        if done == Done::Written {
            self.written = job.orders;
            return;
        }
        let before = self.pending.clone();
        let cleaned = job.cleaned;
        cleaned.iter().for_each(|region| self.set(*region, false));
        self.clean.extend(cleaned);
        self.pending = match done {
            // Nothing was written: what is there is what was there.
            Done::NotFlushed => before,
            _ => (0..self.bytes.len() as u64 / BLOCK).collect(),
        };
    }
}

/// The bytes of blocks, those that follow one another together.
fn ranges(blocks: &BTreeSet<u64>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for block in blocks {
        let start = block * BLOCK;
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end += BLOCK,
            _ => ranges.push(start..start + BLOCK),
        }
    }
    ranges
}

//! The kernel of one machine, as far as it has to do with one table.

use std::collections::{BTreeMap, VecDeque};

use super::super::State;
use super::super::order::{Order, TableId};
use super::disk::Log;

/// Blocks of a region.
pub const BLOCKS: usize = 2;

/// What the kernel remembers of a region (`enum dm_rh_region_states`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    Clean,
    Dirty,
    NoSync,
    Recovering,
}

/// Where a write that was let go is still to be written.
#[derive(Debug, Clone)]
pub struct Write {
    pub block: u64,
    pub value: u64,
    pub legs: Vec<usize>,
    pub counted: bool,
}

/// A copy under way: what was read, once it was.
#[derive(Debug, Clone)]
pub struct Copy {
    pub region: u64,
    pub read: Option<[u64; BLOCKS]>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub id: TableId,
    /// The disk that is its leg 1.
    pub second: usize,
    pub hint: u64,
    pub hash: BTreeMap<u64, Region>,
    pub held: VecDeque<(u64, u64)>,
    pub writes: Vec<Write>,
    pub copy: Option<Copy>,
    pub running: bool,
    pub suspending: bool,
    /// Whether somebody heard that it is to be suspended, and whether nobody heard that it
    /// was resumed.
    pub told: bool,
    pub unheard: bool,
}

impl Kernel {
    pub fn new(id: TableId, second: usize) -> Kernel {
        Kernel {
            id,
            second,
            hint: 0,
            hash: BTreeMap::new(),
            held: VecDeque::new(),
            writes: Vec::new(),
            copy: None,
            running: false,
            suspending: false,
            told: false,
            unheard: false,
        }
    }

    /// What a write of this region finds (`dm_rh_get_state`).
    fn region(&mut self, state: &State, region: u64) -> Region {
        let in_sync = state.in_sync_for(self.id, region);
        let fresh = if in_sync {
            Region::Clean
        } else {
            Region::NoSync
        };
        *self.hash.entry(region).or_insert(fresh)
    }

    /// Try the first write that is held (`do_writes`).
    pub fn try_write(&mut self, state: &mut Log) {
        let Some((block, value)) = self.held.pop_front() else {
            return;
        };
        let region = block / BLOCKS as u64;
        if region >= self.hint {
            if state.is_to_order(self.id, region) {
                state.apply(self.id, &Order::Write(region));
            }
            let (waits, hint) = state.remote_recovering(self.id, region);
            self.hint = hint;
            if waits {
                return self.held.push_back((block, value));
            }
        }
        let (legs, counted) = match self.region(state, region) {
            Region::Recovering => return self.held.push_back((block, value)),
            Region::NoSync => (vec![0], false),
            Region::Clean => {
                state.apply(self.id, &Order::Mark(vec![region]));
                self.hash.insert(region, Region::Dirty);
                (vec![0, self.second], true)
            }
            Region::Dirty => (vec![0, self.second], true),
        };
        self.writes.push(Write {
            block,
            value,
            legs,
            counted,
        });
    }

    pub fn pending(&self, region: u64) -> bool {
        self.writes
            .iter()
            .any(|write| write.block / BLOCKS as u64 == region)
    }

    /// Write one leg of one write that is under way.
    pub fn write_a_leg(&mut self, legs: &mut [Vec<u64>; 3], which: usize) {
        let Some(at) = which.checked_rem(self.writes.len()) else {
            return;
        };
        let write = &mut self.writes[at];
        let leg = write.legs.remove(which / 7 % write.legs.len());
        legs[leg][write.block as usize] = write.value;
        if write.legs.is_empty() {
            self.writes.remove(at);
        }
    }

    /// Tell that nothing is written any more where that is so (`dm_rh_update_states`).
    pub fn clear(&mut self, state: &mut Log) {
        let dirty = |kernel: &Kernel, region: &u64| {
            kernel.hash.get(region) == Some(&Region::Dirty) && !kernel.pending(*region)
        };
        let idle: Vec<u64> = self
            .hash
            .keys()
            .copied()
            .filter(|region| dirty(self, region))
            .collect();
        for region in &idle {
            self.hash.remove(region);
        }
        if !idle.is_empty() {
            state.apply(self.id, &Order::Clear(idle));
        }
    }

    /// Ask for a region to copy, read it, write it, one of these.
    pub fn copy(&mut self, state: &mut Log, legs: &mut [Vec<u64>; 3]) {
        let regions = state.regions();
        match self.copy.take() {
            None if !self.suspending && self.hint < regions => {
                let work = state.apply(self.id, &Order::Work).work;
                if let Some(region) = work {
                    self.hash.insert(region, Region::Recovering);
                    self.copy = Some(Copy { region, read: None });
                }
            }
            None => {}
            // Writes under way come first.
            Some(copy) if self.pending(copy.region) => self.copy = Some(copy),
            Some(Copy { region, read: None }) => {
                let at = region as usize * BLOCKS;
                let read = Some([legs[0][at], legs[0][at + 1]]);
                self.copy = Some(Copy { region, read });
            }
            Some(Copy {
                region,
                read: Some(read),
            }) => {
                let at = region as usize * BLOCKS;
                legs[self.second][at..at + BLOCKS].copy_from_slice(&read);
                self.hash.remove(&region);
                let in_sync = true;
                state.apply(self.id, &Order::SetSync { region, in_sync });
                state.apply(self.id, &Order::Clear(vec![region]));
            }
        }
    }

    /// `dmsetup status`.
    pub fn ask_count(&mut self, state: &State) {
        if state.sync_count(self.id) >= state.regions() {
            self.hint = state.regions();
        }
    }
}

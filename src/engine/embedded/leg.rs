//! One leg of a mirror: its bytes, and the errors that it has had
//! (`struct mirror`, drivers/md/dm-raid1.c).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::hold::Hold;
use super::store::Store;

/// What went wrong (`enum dm_raid1_error`). Reads and writes through the mirror do
/// not exist here, so the kernel's other two do not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A region could not be copied from it or to it.
    Sync = 1,
    /// What was written to it did not reach the disk.
    Flush = 2,
}

/// A leg, open.
#[derive(Debug)]
pub(super) struct Leg {
    /// Its bytes.
    pub(super) store: Store,
    /// Where the mirror begins on it, in bytes.
    pub(super) offset: u64,
    /// Keeps others off it.
    pub(super) hold: Arc<Hold>,
    failures: AtomicU32,
}

impl Leg {
    pub(super) fn new(store: Store, offset: u64, hold: Arc<Hold>) -> Leg {
        Leg {
            store,
            offset,
            hold,
            failures: AtomicU32::new(0),
        }
    }

    /// Note a failure; answers whether it is the first of its kind.
    pub(super) fn fail(&self, failure: Failure) -> bool {
        let bit = failure as u32;
        self.failures.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Forget all failures, as the end of a copy does (`reset_ms_flags`).
    pub(super) fn heal(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Its health letter (`device_status_char`).
    pub(super) fn letter(&self) -> char {
        let failures = self.failures.load(Ordering::Relaxed);
        match () {
            () if failures & Failure::Flush as u32 != 0 => 'F',
            () if failures & Failure::Sync as u32 != 0 => 'S',
            () => 'A',
        }
    }
}

//! One leg of a mirror: its bytes, and the errors that it has had
//! (`struct mirror`, drivers/md/dm-raid1.c).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::exclusive::Hold;
use super::store::Store;
use crate::text::letter::Letter;

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
    /// Reads, writes and flushes of its file or device.
    pub(super) store: Store,
    /// Where the mirror begins on it, in bytes.
    pub(super) offset: u64,
    /// Keeps others off it.
    pub(super) hold: Arc<Hold>,
    /// Where the mirror ends on it, in bytes.
    end: u64,
    /// Whether it was found to be shorter than that.
    cut: AtomicBool,
    failures: AtomicU32,
}

impl Leg {
    pub(super) fn new(store: Store, offset: u64, length: u64, hold: Arc<Hold>) -> Leg {
        Leg {
            store,
            offset,
            hold,
            end: offset.saturating_add(length),
            cut: AtomicBool::new(false),
            failures: AtomicU32::new(0),
        }
    }

    /// Whether the file was cut, so that what it had is lost; a write behind its end
    /// would hide that. Once noticed, that stays so until it is mended. One that does
    /// not say how long it is may have been cut.
    pub(super) fn is_cut(&self) -> bool {
        if self.store.is_shorter(self.end).unwrap_or(true) {
            self.cut.store(true, Ordering::Relaxed);
        }
        self.cut.load(Ordering::Relaxed)
    }

    /// Make a file that was cut as long again as it has to be.
    ///
    /// # Errors
    /// Those of fstat(2) and ftruncate(2).
    pub(super) fn mend(&self) -> std::io::Result<()> {
        if self.store.is_shorter(self.end)? {
            self.store.lengthen(self.end)?;
        }
        self.cut.store(false, Ordering::Relaxed);
        Ok(())
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
    pub(super) fn letter(&self) -> Letter {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures & Failure::Flush as u32 != 0 {
            Letter::FlushFailed
        } else if failures & Failure::Sync as u32 != 0 {
            Letter::SyncFailed
        } else {
            Letter::Alive
        }
    }
}

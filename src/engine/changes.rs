//! What was said of block devices so far, as counts: what was seen of one holds as long as
//! its count is the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::text::device::DevNo;

/// The counts of one moment.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    missed: u64,
    all: u64,
    counts: Arc<HashMap<DevNo, u64>>,
}

impl Changes {
    /// What one device's count is; it rises with each word of the kernel about it, and where
    /// some may have been missed.
    pub fn of(&self, dev: DevNo) -> u64 {
        let count = self.counts.get(&dev).copied().unwrap_or(0);
        self.missed.saturating_add(count)
    }

    /// The same of all devices together.
    pub fn all(&self) -> u64 {
        self.missed.saturating_add(self.all)
    }

    /// The kernel has said something of a device.
    pub(crate) fn note(&mut self, dev: DevNo) {
        *Arc::make_mut(&mut self.counts).entry(dev).or_default() += 1;
        self.all = self.all.saturating_add(1);
    }

    /// It may have said something of each.
    pub(super) fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_a_count_of_its_own_and_what_is_missed_counts_for_all() {
        let dev = |minor| DevNo { major: 7, minor };
        let mut changes = Changes::default();
        let before = changes.clone();
        changes.note(dev(1));
        assert_eq!(
            (changes.of(dev(1)), changes.of(dev(2)), changes.all()),
            (1, 0, 1)
        );
        assert_eq!((before.of(dev(1)), before.all()), (0, 0));
        changes.miss();
        assert_eq!(
            (changes.of(dev(1)), changes.of(dev(2)), changes.all()),
            (2, 1, 2)
        );
    }
}

//! One bit a region, least significant first, as the disk log has them.

use std::ops::Range;

use crate::error::{Errno, Error, Result};
use crate::text::disklog::clean_regions;

/// A bit for each region.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    regions: u64,
}

impl Bits {
    /// All set or none.
    ///
    /// # Errors
    /// ENOMEM where so many regions do not fit into memory.
    pub(super) fn new(regions: u64, set: bool) -> Result<Bits> {
        let size = usize::try_from(regions.div_ceil(64) * 8).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| {
            let sentence = format!("no memory for a log of {regions} regions: use larger ones");
            Error::new(Errno::ENOMEM, sentence)
        })?;
        bytes.resize(size, 0);
        let mut bits = Bits { bytes, regions };
        if set {
            bits.set_from(0, true);
        }
        Ok(bits)
    }

    /// The bytes as the disk log has them, a multiple of eight.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Take over bits that were read; those beyond the regions are none.
    pub(super) fn load(&mut self, bytes: &[u8]) {
        let size = self.bytes.len().min(bytes.len());
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..size), bytes.get(..size)) {
            to.copy_from_slice(from);
        }
        let last = self.bytes.len() as u64 * 8;
        (self.regions..last).for_each(|region| self.put(region, false));
    }

    /// Unset those that are not set in `others`.
    pub(super) fn keep(&mut self, others: &Bits) {
        let bytes = self.bytes.iter_mut().zip(&others.bytes);
        bytes.for_each(|(byte, other)| *byte &= other);
    }

    pub(super) fn get(&self, region: u64) -> bool {
        let byte = self.bytes.get((region / 8) as usize);
        byte.is_some_and(|byte| byte >> (region % 8) & 1 == 1)
    }

    pub(super) fn put(&mut self, region: u64, set: bool) {
        let Some(byte) = self.bytes.get_mut((region / 8) as usize) else {
            return;
        };
        let mask = 1 << (region % 8);
        *byte = if set { *byte | mask } else { *byte & !mask };
    }

    /// All from `first` on.
    pub(super) fn set_from(&mut self, first: u64, set: bool) {
        let mut region = first;
        while region < self.regions {
            let whole = region.is_multiple_of(8) && region + 8 <= self.regions;
            match self.bytes.get_mut((region / 8) as usize).filter(|_| whole) {
                Some(byte) => {
                    *byte = if set { 0xff } else { 0 };
                    region += 8;
                }
                None => {
                    self.put(region, set);
                    region += 1;
                }
            }
        }
    }

    /// How many are set.
    pub(super) fn count(&self) -> u64 {
        clean_regions(&self.bytes, self.regions)
    }

    /// The first run of unset ones from `first` on, at most `most` of them.
    pub(super) fn unset(&self, first: u64, most: u64) -> Option<Range<u64>> {
        let mut start = first;
        while start < self.regions && self.get(start) {
            let byte = self.bytes.get((start / 8) as usize);
            let skip = start.is_multiple_of(8) && byte == Some(&0xff);
            start += if skip { 8 } else { 1 };
        }
        if start >= self.regions {
            return None;
        }
        let last = start.saturating_add(most.max(1)).min(self.regions);
        let end = (start..last).find(|region| self.get(*region));
        Some(start..end.unwrap_or(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_unset_ones_are_found() {
        let mut bits = Bits::new(100, true).unwrap();
        assert_eq!((bits.count(), bits.unset(0, 9)), (100, None));
        for region in [3, 64, 65, 66, 99] {
            bits.put(region, false);
        }
        assert_eq!(bits.count(), 95);
        assert_eq!(bits.unset(0, 9), Some(3..4));
        assert_eq!(bits.unset(4, 2), Some(64..66));
        assert_eq!(bits.unset(66, 0), Some(66..67));
        assert_eq!(bits.unset(67, 9), Some(99..100));
        assert_eq!(bits.unset(100, 9), None);
    }

    #[test]
    fn what_is_beyond_the_regions_is_never_set() {
        let mut bits = Bits::new(11, false).unwrap();
        bits.load(&[0xff; 16]);
        assert_eq!(
            (bits.count(), bits.bytes()),
            (11, &[0xff, 7, 0, 0, 0, 0, 0, 0][..])
        );
        bits.set_from(3, false);
        assert_eq!(bits.bytes()[..2], [7, 0]);
        bits.put(1 << 40, true);
        assert!(!bits.get(1 << 40));
        assert!(Bits::new(u64::MAX / 16, false).is_err());
    }
}

//! A disk log as another program would read it: written from the kernel's format
//! (drivers/md/dm-log.c), not with our own parser.

use std::fs;

/// Bytes before the bits.
const HEADER: usize = 1024;

/// What a log says.
pub struct DiskLog {
    /// How many regions it has bits for.
    pub regions: usize,
    bits: Vec<u8>,
}

impl DiskLog {
    /// The log in a file; panics where it is none.
    pub fn read(path: &str) -> DiskLog {
        let bytes = fs::read(path).expect(path);
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
        assert_eq!((number(0), number(4)), (0x4D69_5272, 2), "magic, version");
        let regions = u64::from_le_bytes(bytes[8..16].try_into().expect("8"));
        DiskLog {
            regions: regions as usize,
            bits: bytes[HEADER..].to_vec(),
        }
    }

    /// Whether a region is the same on all legs.
    pub fn is_clean(&self, region: usize) -> bool {
        self.bits[region / 8] & 1 << (region % 8) != 0
    }

    /// The clean regions.
    pub fn clean(&self) -> Vec<usize> {
        (0..self.regions)
            .filter(|region| self.is_clean(*region))
            .collect()
    }
}

/// Panics where a region that the log calls clean differs between two files;
/// answers how many are clean. The log is read first: a copy may be under way.
pub fn assert_clean_is_equal(log: &str, legs: [&str; 2], region: usize) -> usize {
    let log = DiskLog::read(log);
    let [one, other] = legs.map(|leg| fs::read(leg).expect(leg));
    let part = |bytes: &'_ [u8], at: usize| -> Vec<u8> {
        let start = (at * region).min(bytes.len());
        bytes[start..(start + region).min(bytes.len())].to_vec()
    };
    let clean = log.clean();
    let wrong: Vec<usize> = clean
        .iter()
        .copied()
        .filter(|at| part(&one, *at) != part(&other, *at))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} clean regions differ: {wrong:?}",
        wrong.len(),
        clean.len()
    );
    clean.len()
}

//! The disk log's format (drivers/md/dm-log.c): a header at byte 0, a bitset
//! from byte 1024. Knows bytes, not where they are stored.

/// `MIRROR_MAGIC`, little endian in the first four bytes.
pub const MAGIC: u32 = 0x4D69_5272;

/// `MIRROR_DISK_VERSION`, the only version that the kernel reads.
pub const VERSION: u32 = 2;

/// Byte where the bitset begins (`LOG_OFFSET` sectors).
pub const BITSET_OFFSET: u64 = 1024;

/// The bitset's size is a multiple of so many regions (`BITS_PER_LONG`).
const BITS: u64 = 64;

/// The header of a disk log (`struct log_header_disk`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format's version; the kernel fails a log of any but [`VERSION`].
    pub version: u32,
    /// How many regions the log was last used for.
    pub regions: u64,
}

impl Header {
    /// The header at the start of `bytes`; none where there is no log.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let (magic, bytes) = bytes.split_first_chunk()?;
        let (version, bytes) = bytes.split_first_chunk()?;
        let regions = bytes.first_chunk()?;
        (u32::from_le_bytes(*magic) == MAGIC).then_some(Header {
            version: u32::from_le_bytes(*version),
            regions: u64::from_le_bytes(*regions),
        })
    }

    /// The header as it stands on the disk.
    pub fn to_bytes(&self) -> [u8; 16] {
        let number =
            u128::from(MAGIC) | u128::from(self.version) << 32 | u128::from(self.regions) << 64;
        number.to_le_bytes()
    }
}

/// Bytes that a log for `regions` regions needs on a device with logical blocks
/// of `block` bytes; none where `block` is 0 or the size overflows.
pub fn size_for(regions: u64, block: u64) -> Option<u64> {
    let bitset = regions.checked_next_multiple_of(BITS)? / 8;
    bitset
        .checked_add(BITSET_OFFSET)?
        .checked_next_multiple_of(block)
}

/// The bitset of a log whose first bytes these are; none where it is not one of as many
/// regions.
pub fn bits(bytes: &[u8], regions: u64) -> Option<Vec<u8>> {
    let header = Header::parse(bytes)?;
    let bits = bytes.get(BITSET_OFFSET as usize..)?;
    (header.version == VERSION && header.regions == regions).then(|| bits.to_vec())
}

/// How many of the first `regions` regions the bitset has as clean. Least
/// significant bit first, 1 is clean; what the bitset is too short for is not.
pub fn clean_regions(bitset: &[u8], regions: u64) -> u64 {
    let mut left = regions;
    let mut clean = 0;
    for byte in bitset {
        let bits = left.min(8) as u32;
        let mask = ((1_u32 << bits) - 1) as u8;
        clean += u64::from((byte & mask).count_ones());
        left -= u64::from(bits);
    }
    clean
}

/// Whether the bitset has a region as clean.
pub fn is_clean(bitset: &[u8], region: u64) -> bool {
    let byte = usize::try_from(region / 8)
        .ok()
        .and_then(|at| bitset.get(at));
    byte.is_some_and(|byte| byte >> (region % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_little_endian() {
        let bytes = *b"rRiM\x02\0\0\0\x80\0\0\0\0\0\0\0";
        let header = Header {
            version: VERSION,
            regions: 128,
        };
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(Header::parse(&bytes), Some(header));
        assert_eq!(Header::parse(&[0; 4096]), None);
        assert_eq!(Header::parse(&[0x72; 4096]), None);
        assert_eq!(Header::parse(&bytes[..15]), None);
        assert_eq!(Header::parse(&[]), None);
    }

    #[test]
    fn sizes_are_whole_blocks() {
        for (regions, block, size) in [
            (0, 512, Some(1024)),
            (1, 512, Some(1536)),
            (4096, 512, Some(1536)),
            (4097, 512, Some(2048)),
            (12_800, 4096, Some(4096)),
            (24_577, 4096, Some(8192)),
            (1, 0, None),
            (u64::MAX, 512, None),
            (u64::MAX - 63, u64::MAX, Some(u64::MAX)),
        ] {
            assert_eq!(size_for(regions, block), size, "{regions} {block}");
        }
    }

    #[test]
    fn one_region_is_one_bit() {
        let clean = |region| is_clean(&[0b1010_0000, 1], region);
        let found: Vec<u64> = (0..20).filter(|region| clean(*region)).collect();
        assert_eq!(found, [5, 7, 8]);
        assert!(!clean(u64::MAX));
    }

    #[test]
    fn clean_regions_are_counted_to_the_bit() {
        assert_eq!(clean_regions(&[0xff, 0xff], 16), 16);
        assert_eq!(clean_regions(&[0xff, 0xff], 11), 11);
        assert_eq!(clean_regions(&[0b1010_0000, 1], 9), 3);
        assert_eq!(clean_regions(&[0xff], 100), 8);
        assert_eq!(clean_regions(&[0xff], 0), 0);
        assert_eq!(clean_regions(&[], u64::MAX), 0);
    }
}

//! What a log of an old table says of a new one: where segments of a mirror are divided
//! or become one, what is known to be equal need not be copied again. Pure.

use crate::text::disklog::is_clean;
use crate::text::mirror::{Leg, Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// A mirror target with the bits of its log, as they are on the disk.
pub struct Kept {
    /// The target.
    pub target: Target,
    /// The bitset of its disk log.
    pub bits: Vec<u8>,
}

/// The targets of the new table whose disk logs are none of the old one's.
pub fn begun<'a>(old: &Table, new: &'a Table) -> Vec<&'a Target> {
    let before: Vec<_> = old.log_devices().collect();
    let targets = new.targets.iter();
    let is_new = |target: &&Target| {
        let log = mirror(target).and_then(Mirror::log_device);
        log.is_some_and(|log| !before.contains(&log))
    };
    targets.filter(is_new).collect()
}

/// The bitset of a new target: a region is clean where every sector of it was.
pub fn bits(new: &Target, old: &[Kept]) -> Vec<u8> {
    let Some(mirror) = mirror(new) else {
        return Vec::new();
    };
    let region = mirror.region().unwrap_or(1).max(1);
    let regions = new.length.div_ceil(region);
    let known: Vec<&Kept> = old.iter().filter(|kept| tells(&kept.target, new)).collect();
    let bytes = regions.div_ceil(64).saturating_mul(8);
    let mut bits = vec![0_u8; usize::try_from(bytes).unwrap_or_default()];
    for number in 0..regions {
        let start = new.start.saturating_add(number.saturating_mul(region));
        let end = start.saturating_add(region).min(new.end());
        let byte = usize::try_from(number / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bits.get_mut(byte).filter(|_| was_clean(&known, start, end)) {
            *byte |= 1 << (number % 8);
        }
    }
    bits
}

/// Whether all sectors from one to another were clean; what nobody kept was not.
fn was_clean(known: &[&Kept], start: u64, end: u64) -> bool {
    let mut at = start;
    while at < end {
        let inside = |kept: &&&Kept| kept.target.start <= at && at < kept.target.end();
        let Some(kept) = known.iter().find(inside) else {
            return false;
        };
        let region = region_of(&kept.target);
        let number = (at - kept.target.start) / region;
        if !is_clean(&kept.bits, number) {
            return false;
        }
        let next = kept
            .target
            .start
            .saturating_add((number + 1).saturating_mul(region));
        at = next.min(kept.target.end()).max(at + 1);
    }
    true
}

/// Whether the log of one target was kept for all legs of another, where they lie.
fn tells(old: &Target, new: &Target) -> bool {
    let (Some(was), Some(now)) = (mirror(old), mirror(new)) else {
        return false;
    };
    let base = |offset: u64, target: &Target| offset.checked_sub(target.start);
    let had = |leg: &Leg| {
        let mut legs = was.legs.iter();
        legs.any(|other| {
            other.device == leg.device && base(other.offset, old) == base(leg.offset, new)
        })
    };
    matches!(was.log, Log::Disk { .. }) && was.features.handle_errors && now.legs.iter().all(had)
}

fn region_of(target: &Target) -> u64 {
    mirror(target).and_then(Mirror::region).unwrap_or(1).max(1)
}

fn mirror(target: &Target) -> Option<&Mirror> {
    match &target.mapping {
        Mapping::Mirror(mirror) => Some(mirror),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(line: &str) -> Target {
        Target::parse(line).expect(line)
    }

    fn carried(new: &str, old: &[(&str, u8)]) -> u8 {
        let old = old.iter().map(|(line, bits)| Kept {
            target: target(line),
            bits: vec![*bits],
        });
        let old: Vec<Kept> = old.collect();
        bits(&target(new), &old).first().copied().unwrap_or(0)
    }

    #[test]
    fn a_region_is_clean_where_all_of_it_was() {
        let one = "0 64 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors";
        let behind = "24 40 mirror disk 2 7:2 8 2 8:0 28 8:1 24 1 handle_errors";
        let shifted = "27 37 mirror disk 2 7:2 8 2 8:0 31 8:1 27 1 handle_errors";
        for (new, old, wanted) in [
            (behind, &[(one, 0b1111_0111)][..], 0b0001_1110),
            // Of a region that spans two, both have to be.
            (shifted, &[(one, 0b1111_1000)], 0b0001_1111),
            (shifted, &[(one, 0b1110_1111)], 0b0001_1100),
            (one, &[(behind, 0b0001_0111)], 0b1011_1000),
            // What nobody kept is not clean, nor what was kept for other legs.
            (one, &[], 0),
            (
                "0 64 mirror disk 2 7:3 8 2 8:0 4 8:2 0 1 handle_errors",
                &[(one, 0xff)],
                0,
            ),
            (
                "0 64 mirror disk 2 7:3 8 2 8:0 4 8:1 8 1 handle_errors",
                &[(one, 0xff)],
                0,
            ),
            (
                "0 64 mirror disk 2 7:3 8 2 8:1 0 8:0 4 1 handle_errors",
                &[(one, 0x5a)],
                0x5a,
            ),
            // Without handle_errors what failed to copy is called clean.
            (
                behind,
                &[("0 64 mirror disk 2 7:1 8 2 8:0 4 8:1 0", 0xff)],
                0,
            ),
            (
                "0 72 mirror disk 2 7:3 16 2 8:0 4 8:1 0 1 handle_errors",
                &[(one, 0xff)],
                0b1111,
            ),
        ] {
            let found = carried(new, old);
            assert_eq!(found, wanted, "{new}: {found:b}");
        }
    }

    #[test]
    fn logs_are_begun_that_the_old_table_has_not() {
        let table = |lines: &[&str]| Table::parse(lines).expect("a table");
        let old = table(&["0 64 mirror disk 2 7:1 8 2 8:0 0 8:1 0"]);
        let new = table(&[
            "0 32 mirror disk 2 7:1 8 2 8:0 0 8:1 0",
            "32 8 mirror disk 2 7:2 8 2 8:0 32 8:1 32",
            "40 24 mirror core 1 8 2 8:0 40 8:1 40",
        ]);
        let starts: Vec<u64> = begun(&old, &new)
            .iter()
            .map(|target| target.start)
            .collect();
        assert_eq!(starts, [32]);
    }
}

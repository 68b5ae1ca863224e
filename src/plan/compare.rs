//! Where bytes differ, by the sector. Pure.

use crate::model::snapshot::SECTOR;
use crate::model::spots::{Spot, push, union};

/// The sectors at which these bytes differ, those that touch as one; `start` is the sector
/// that both begin with.
pub fn differing(start: u64, one: &[u8], other: &[u8]) -> Vec<Spot> {
    // All at once is a comparison that the processor is fast at.
    if one == other {
        return Vec::new();
    }
    let sector = SECTOR as usize;
    let pairs = one.chunks(sector).zip(other.chunks(sector));
    let mut found: Vec<Spot> = Vec::new();
    for (at, _) in (start..)
        .zip(pairs)
        .filter(|(_, (one, other))| one != other)
    {
        let (start, length) = (at, 1);
        push(&mut found, Spot { start, length });
    }
    found
}

/// A range in pieces that end at multiples of `size` sectors of a device, on which the
/// sector 0 is its sector `base`.
pub fn cut(spot: Spot, size: u64, base: u64) -> impl Iterator<Item = Spot> {
    let (mut at, size) = (spot.start, size.max(1));
    std::iter::from_fn(move || {
        let next = base.saturating_add(at).saturating_add(1);
        let next = next.next_multiple_of(size).saturating_sub(base);
        let piece = Spot::between(at, next.min(spot.end()))?;
        at = piece.end();
        Some(piece)
    })
}

/// These ranges, each as large as units of so many sectors that it lies in, of what has
/// `length` sectors.
pub fn grown(spots: &[Spot], unit: u64, length: u64) -> Vec<Spot> {
    let unit = unit.max(1);
    let whole = |spot: &Spot| {
        let start = spot.start - spot.start % unit;
        Spot::between(start, spot.end().next_multiple_of(unit).min(length))
    };
    union(&spots.iter().filter_map(whole).collect::<Vec<_>>(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spots::spots;

    #[test]
    fn differences_are_told_by_the_sector() {
        let one = vec![0_u8; 4 * 512];
        let mut other = one.clone();
        assert_eq!(differing(8, &one, &other), []);
        other[0] = 1;
        other[3 * 512 - 1] = 1;
        other[3 * 512] = 1;
        assert_eq!(differing(8, &one, &other), spots(&[(8, 9), (10, 12)]));
    }

    #[test]
    fn ranges_are_cut_where_the_units_of_a_device_end() {
        let pieces = |start, end, base| {
            let pieces = cut(Spot::between(start, end).expect("a range"), 8, base);
            let pieces = pieces.map(|spot| (spot.start, spot.end()));
            pieces.collect::<Vec<_>>()
        };
        assert_eq!(pieces(3, 17, 0), [(3, 8), (8, 16), (16, 17)]);
        assert_eq!(pieces(3, 9, 0), [(3, 8), (8, 9)]);
        assert_eq!(pieces(0, 12, 2), [(0, 6), (6, 12)]);
    }

    #[test]
    fn ranges_are_grown_to_units() {
        let all = spots(&[(3, 4), (7, 9), (30, 31)]);
        assert_eq!(grown(&all, 8, 31), spots(&[(0, 16), (24, 31)]));
        assert_eq!(grown(&all, 1, 31), all);
    }
}

//! What of a mirror is to be equal on its legs, and where each leg has it. Pure.

use crate::model::map::copied;
use crate::model::snapshot::{Leg, Part, SECTOR, Snapshot};
use crate::model::spots::{Spot, common};
use crate::text::device::DeviceRef;
use crate::text::mirror;

/// A stretch that each of some legs is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// What of the mirror it is.
    pub spot: Spot,
    /// The legs that are to have it, the right one first.
    pub legs: Vec<Side>,
}

/// A leg of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its number.
    pub number: usize,
    /// As the table names it.
    pub device: DeviceRef,
    /// The byte of it that is the first of the mirror, were all of that on it: before its
    /// beginning where only a later stretch is.
    base: i128,
}

impl Side {
    /// The sector of the leg that the first one of the mirror would be.
    pub fn base(&self) -> u64 {
        u64::try_from(self.base / i128::from(SECTOR)).unwrap_or(0)
    }

    /// The byte of the leg that a sector of the stretch begins with.
    pub fn byte(&self, sector: u64) -> u64 {
        let at = self.base + i128::from(sector) * i128::from(SECTOR);
        u64::try_from(at).unwrap_or(0)
    }
}

/// What of a mirror is copied, in ascending order. The right leg is the one at a place of
/// its targets, or the one that all is read from.
pub fn stretches(snapshot: &Snapshot, right: Option<usize>) -> Vec<Stretch> {
    let copied = copied(snapshot);
    let mut found = Vec::new();
    for part in &snapshot.parts {
        let whole: Vec<Spot> = Spot::between(part.start, part.end()).into_iter().collect();
        let legs = sides(part, right);
        let spots = common(&whole, &copied).into_iter();
        found.extend(spots.map(|spot| Stretch {
            spot,
            legs: legs.clone(),
        }));
    }
    found
}

fn sides(part: &Part, right: Option<usize>) -> Vec<Side> {
    let places = part.mirror.iter().flat_map(|mirror| &mirror.legs);
    let side = |(leg, place): (&Leg, &mirror::Leg)| {
        let start = i128::from(place.offset) - i128::from(part.start);
        Side {
            number: leg.number,
            device: place.device.clone(),
            base: start * i128::from(SECTOR),
        }
    };
    let mut sides: Vec<Side> = part.legs.iter().zip(places).map(side).collect();
    let source = || part.legs.iter().position(|leg| leg.source);
    let first = right.or_else(source).filter(|place| *place < sides.len());
    if let Some(first) = first {
        sides
            .get_mut(..=first)
            .into_iter()
            .for_each(|sides| sides.rotate_right(1));
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Known;
    use crate::model::tests::segments;

    fn snapshot() -> Snapshot {
        let table = [
            "0 16 mirror core 1 8 2 8:0 0 8:1 64 1 handle_errors",
            "16 8 linear 8:0 16",
            "24 16 mirror core 1 8 2 8:0 24 8:1 88 1 handle_errors",
        ];
        let status = [
            "0 16 mirror 2 8:0 8:1 2/2 1 AA 1 core",
            "16 8 linear ",
            "24 16 mirror 2 8:0 8:1 1/2 1 AA 1 core",
        ];
        segments(&table, &status, Known::default())
    }

    #[test]
    fn what_is_copied_is_comparable_from_where_each_leg_has_it() {
        let found = stretches(&snapshot(), None);
        let spots: Vec<_> = found
            .iter()
            .map(|one| (one.spot.start, one.spot.end()))
            .collect();
        assert_eq!(spots, [(0, 16), (24, 32)]);
        for stretch in &found {
            let numbers: Vec<_> = stretch.legs.iter().map(|leg| leg.number).collect();
            assert_eq!(numbers, [0, 1]);
            assert_eq!(stretch.legs[0].byte(25), 25 * 512);
            assert_eq!(stretch.legs[1].byte(25), (64 + 25) * 512);
        }
    }

    #[test]
    fn the_right_leg_comes_first() {
        let first = |right| {
            let found = stretches(&snapshot(), right);
            found[0]
                .legs
                .iter()
                .map(|leg| leg.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(first(Some(1)), [1, 0]);
        assert_eq!(first(Some(0)), [0, 1]);
        assert_eq!(first(Some(7)), [0, 1]);
    }
}

//! Places of a mirror at which legs are told apart, in ascending order.

use serde::{Deserialize, Serialize};

use super::spots::{Spot, outside};
use crate::text::size::SECTOR;

/// A range of a mirror, and legs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where.
    pub spot: Spot,
    /// The numbers of the legs.
    pub legs: Vec<usize>,
}

impl Place {
    /// What they are sorted by.
    fn key(&self) -> (u64, &[usize]) {
        (self.spot.start, &self.legs)
    }
}

/// How many places before and behind a range may meet it: at each sector there may be one for
/// each leg.
const NEAR: usize = 16;

/// Places that do not meet, but for those with other legs, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(pub Vec<Place>);

impl Places {
    /// One more, where nothing was before for these legs. What continues a neighbour with
    /// the same legs becomes one with it.
    pub fn add(&mut self, spot: Spot, legs: &[usize]) {
        let mut whole = Place {
            spot,
            legs: legs.to_vec(),
        };
        for at in self.near(spot) {
            let meets = |place: &Place| {
                let touches = place.spot.end() == spot.start || place.spot.start == spot.end();
                touches && place.legs == legs
            };
            if self.0.get(at).is_some_and(meets) {
                let other = self.0.remove(at).spot;
                let start = whole.spot.start.min(other.start);
                whole.spot.length += other.length;
                whole.spot.start = start;
            }
        }
        let at = self.0.partition_point(|place| place.key() < whole.key());
        self.0.insert(at, whole);
    }

    /// Where those are that a range may meet, the last one first.
    fn near(&self, spot: Spot) -> impl Iterator<Item = usize> + use<> {
        let at = self
            .0
            .partition_point(|place| place.spot.start < spot.start);
        (at.saturating_sub(NEAR)..at.saturating_add(NEAR)).rev()
    }

    /// Whether something is in this range.
    pub fn has(&self, range: Spot) -> bool {
        let mut places = self.0.iter();
        places.any(|place| place.spot.common(&range).is_some())
    }

    /// Nothing is in this range any more. Places of other legs may begin before it and reach
    /// into it, in any order.
    pub fn remove(&mut self, range: Spot) {
        let hits = |place: &Place| place.spot.common(&range).is_some();
        let hit: Vec<Place> = self.0.iter().filter(|place| hits(place)).cloned().collect();
        if hit.is_empty() {
            return;
        }
        self.0.retain(|place| !hits(place));
        for Place { spot, legs } in hit {
            let rest = outside(&[spot], &[range]).into_iter();
            self.0.extend(rest.map(|spot| Place {
                spot,
                legs: legs.clone(),
            }));
        }
        self.0.sort_by(|one, other| one.key().cmp(&other.key()));
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        let lengths = self.0.iter().map(|place| place.spot.length);
        let sectors = lengths.fold(0, u64::saturating_add);
        sectors.saturating_mul(SECTOR)
    }

    /// Where they are.
    pub fn spots(&self) -> Vec<Spot> {
        self.0.iter().map(|place| place.spot).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Those from one sector up to another, for tests.
#[cfg(test)]
pub(crate) fn places(places: &[(u64, u64, &[usize])]) -> Places {
    let place = |(from, to, legs): &(u64, u64, &[usize])| Place {
        spot: Spot::between(*from, *to).expect("a range"),
        legs: legs.to_vec(),
    };
    Places(places.iter().map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_continues_another_is_one_with_it() {
        let mut found = Places::default();
        let mut add = |from, to, legs: &[usize]| {
            found.add(Spot::between(from, to).expect("a range"), legs);
        };
        add(8, 9, &[0, 1]);
        add(2, 3, &[0, 1]);
        add(3, 8, &[0, 1]);
        add(9, 10, &[0, 2]);
        assert_eq!(found, places(&[(2, 9, &[0, 1]), (9, 10, &[0, 2])]));
        assert_eq!(found.bytes(), 8 * 512);
        let mut found = Places::default();
        for (from, leg) in [(0, 2), (0, 1), (1, 1), (1, 2), (3, 1)] {
            let spot = Spot::between(from, from + 1).expect("a range");
            found.add(spot, &[0, leg]);
        }
        let all: [(u64, u64, &[usize]); 3] = [(0, 2, &[0, 1]), (0, 2, &[0, 2]), (3, 4, &[0, 1])];
        assert_eq!(found, places(&all));
    }

    #[test]
    fn a_range_is_cut_out() {
        let cut = |from, to| {
            let mut found = places(&[(2, 9, &[0, 1]), (9, 10, &[0, 2]), (20, 30, &[1])]);
            let range = Spot::between(from, to).expect("a range");
            found.remove(range);
            assert!(!found.has(range));
            found
        };
        assert_eq!(cut(0, 40), Places::default());
        assert_eq!(
            cut(4, 5),
            places(&[
                (2, 4, &[0, 1]),
                (5, 9, &[0, 1]),
                (9, 10, &[0, 2]),
                (20, 30, &[1])
            ])
        );
        assert_eq!(cut(8, 21), places(&[(2, 8, &[0, 1]), (21, 30, &[1])]));
        assert_eq!(cut(10, 20).len(), 3);
        assert_eq!(cut(30, 31).len(), 3);
        let mut found = places(&[(0, 10, &[0, 1]), (2, 4, &[0, 2]), (3, 5, &[0, 3])]);
        found.remove(Spot::between(6, 7).expect("a range"));
        let all: [(u64, u64, &[usize]); 4] = [
            (0, 6, &[0, 1]),
            (2, 4, &[0, 2]),
            (3, 5, &[0, 3]),
            (7, 10, &[0, 1]),
        ];
        assert_eq!(found, places(&all));
    }
}

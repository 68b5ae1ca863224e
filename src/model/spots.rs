//! Ranges of a mirror, and what some have in common with others. Lists of them are in
//! ascending order, and none meets the next.

use serde::{Deserialize, Serialize};

/// A range of a mirror, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spot {
    /// Its first sector.
    pub start: u64,
    /// Sectors.
    pub length: u64,
}

impl Spot {
    /// From one sector up to another; none where nothing lies between.
    pub fn between(start: u64, end: u64) -> Option<Spot> {
        let length = end.checked_sub(start).filter(|length| *length > 0)?;
        Some(Spot { start, length })
    }

    /// First sector behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// What it has in common with another.
    pub fn common(&self, other: &Spot) -> Option<Spot> {
        Spot::between(self.start.max(other.start), self.end().min(other.end()))
    }
}

/// The parts of these spots that lie in others; both in ascending order.
pub fn common(spots: &[Spot], others: &[Spot]) -> Vec<Spot> {
    let mut found = Vec::new();
    for spot in spots {
        let inside = others.iter().filter_map(|other| spot.common(other));
        found.extend(inside);
    }
    found
}

/// What of these spots lies in none of the others; both in ascending order.
pub fn outside(spots: &[Spot], others: &[Spot]) -> Vec<Spot> {
    let mut found = Vec::new();
    for spot in spots {
        let mut at = spot.start;
        for other in others.iter().filter_map(|other| spot.common(other)) {
            found.extend(Spot::between(at, other.start));
            at = at.max(other.end());
        }
        found.extend(Spot::between(at, spot.end()));
    }
    found
}

/// All of these spots and others, those that touch as one.
pub fn union(spots: &[Spot], others: &[Spot]) -> Vec<Spot> {
    let mut all: Vec<Spot> = spots.iter().chain(others).copied().collect();
    all.sort_by_key(|spot| spot.start);
    let mut found: Vec<Spot> = Vec::new();
    for spot in all {
        match found.last_mut().filter(|last| spot.start <= last.end()) {
            Some(last) => last.length = last.end().max(spot.end()) - last.start,
            None => found.push(spot),
        }
    }
    found
}

/// One more, which may continue the last.
pub fn push(spots: &mut Vec<Spot>, spot: Spot) {
    match spots.last_mut().filter(|last| last.end() == spot.start) {
        Some(last) => last.length += spot.length,
        None => spots.push(spot),
    }
}

/// Sectors of spots.
pub fn sectors(spots: &[Spot]) -> u64 {
    let lengths = spots.iter().map(|spot| spot.length);
    lengths.fold(0, u64::saturating_add)
}

/// Those from one sector up to another, for tests.
#[cfg(test)]
pub(crate) fn spots(ranges: &[(u64, u64)]) -> Vec<Spot> {
    let spots = ranges
        .iter()
        .filter_map(|(from, to)| Spot::between(*from, *to));
    spots.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_are_cut_by_others() {
        let all = spots(&[(0, 10), (20, 30)]);
        let holes = spots(&[(0, 2), (5, 6), (9, 25)]);
        assert_eq!(
            common(&all, &holes),
            spots(&[(0, 2), (5, 6), (9, 10), (20, 25)])
        );
        assert_eq!(outside(&all, &holes), spots(&[(2, 5), (6, 9), (25, 30)]));
        assert_eq!(outside(&all, &[]), all);
        assert_eq!(outside(&all, &all), []);
        assert_eq!(common(&all, &[]), []);
        assert_eq!(sectors(&holes), 19);
        assert_eq!(union(&all, &holes), spots(&[(0, 30)]));
        assert_eq!(
            union(&[], &spots(&[(4, 5), (2, 4), (7, 8)])),
            spots(&[(2, 5), (7, 8)])
        );
    }

    #[test]
    fn what_continues_is_one() {
        let mut spots = Vec::new();
        for start in [0, 1, 2, 5, 6] {
            push(&mut spots, Spot { start, length: 1 });
        }
        let lengths: Vec<u64> = spots.iter().map(|spot| spot.length).collect();
        assert_eq!(lengths, [3, 2]);
    }
}

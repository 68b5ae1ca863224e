//! What of a copy has to wait: of all that is not copied yet what comes last, in whole
//! regions. Pure.

use std::cmp::Reverse;

use crate::model::map::clean;
use crate::model::spots::{Spot, outside, union};
use crate::model::whole::MOST_SEGMENTS;

/// How many regions in a row are not clean for another reason than that they are being
/// written to, where clean ones come behind them.
const LONG: u64 = 16;

/// A stretch under one mirror target.
pub(super) struct Segment {
    /// Its sectors.
    pub spot: Spot,
    /// Sectors of a region.
    pub region: u64,
    /// What of it is to be copied: whole regions, in order.
    pub todo: Vec<Spot>,
}

/// What is to be copied of a stretch whose disk log has these bits: what is behind the last
/// region that is clean, and long rows before it.
pub(super) fn todo(spot: Spot, region: u64, bits: &[u8]) -> Vec<Spot> {
    let mut todo = outside(&[spot], &clean(spot, region, bits));
    let long = region.saturating_mul(LONG);
    todo.retain(|row| row.length >= long || row.end() == spot.end());
    todo
}

/// What has to wait where only so many sectors may be copied; `gaps` are on leg 0 alone
/// already. One region stays, or it were no mirror.
pub(super) fn held_back(segments: &[Segment], gaps: usize, keep: u64) -> Vec<Spot> {
    let (mut left, mut ends, mut inner) = (keep, Vec::new(), Vec::new());
    for (number, segment) in segments.iter().enumerate() {
        for run in &segment.todo {
            let is_all = number == 0 && run.start == segment.spot.start;
            let regions = left.div_ceil(segment.region).max(u64::from(is_all));
            let kept = regions.saturating_mul(segment.region);
            let end = run.start.saturating_add(kept).min(run.end());
            left = left.saturating_sub(end - run.start);
            // A rest of less than a region stays, too.
            let rest = Spot::between(end, run.end()).filter(|rest| rest.length >= segment.region);
            let at_the_end = run.end() == segment.spot.end();
            if at_the_end { &mut ends } else { &mut inner }.extend(rest);
        }
    }
    // Each of these makes two segments of one.
    inner.sort_by_key(|rest: &Spot| Reverse(rest.length));
    inner.truncate(MOST_SEGMENTS.saturating_sub(gaps + 2));
    union(&ends, &inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spots::spots;

    fn segment(start: u64, end: u64, bits: &[u8]) -> Segment {
        let spot = Spot::between(start, end).expect("a spot");
        let todo = todo(spot, 8, bits);
        Segment {
            spot,
            region: 8,
            todo,
        }
    }

    #[test]
    fn rows_that_are_not_clean_are_to_be_copied() {
        let todo = |end, bits: &[u8]| segment(80, end, bits).todo;
        assert_eq!(todo(144, &[0b0000_0111]), spots(&[(104, 144)]));
        // What may only be written to at this moment is not.
        assert_eq!(todo(144, &[0b0010_0101]), spots(&[(128, 144)]));
        assert_eq!(todo(144, &[0xff]), []);
        assert_eq!(todo(141, &[0x7f]), spots(&[(136, 141)]));
        let long = &[1, 0, 0b0000_0010];
        assert_eq!(todo(80 + 18 * 8, long), spots(&[(88, 88 + 16 * 8)]));
    }

    #[test]
    fn the_last_of_it_waits() {
        let one = || segment(0, 144, &[1, 0, 0b0000_0010]);
        let two = || segment(160, 192, &[0b0000_0001]);
        let held = |keep, gaps| held_back(&[one(), two()], gaps, keep);
        assert_eq!(held(0, 1), spots(&[(8, 136), (168, 192)]));
        assert_eq!(held(9, 1), spots(&[(24, 136), (168, 192)]));
        assert_eq!(held(129, 1), spots(&[(176, 192)]));
        assert_eq!(held(u64::MAX, 1), []);
        // There may be no more segments.
        assert_eq!(held(0, 62), spots(&[(168, 192)]));
        // One region stays.
        let none = segment(0, 64, &[0]);
        assert_eq!(held_back(&[none], 0, 0), spots(&[(8, 64)]));
    }
}

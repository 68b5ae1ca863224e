//! The front of a copy: the place up to which it has come, what lies ahead of it on leg 0
//! alone, and how that becomes less or more. Only what is under a mirror target and not in
//! sync can be hurt by an error: so of a long copy that is never much. Pure.

use super::held_back::{Segment, held_back, todo};
use crate::model::snapshot::{Part, Snapshot};
use crate::model::spots::{Spot, outside, sectors, union};
use crate::text::disklog::is_clean;
use crate::text::letter::Letter;
use crate::text::mirror::{Log, Mirror, Sync};
use crate::text::table::{Mapping, Table, Target};

/// The regions of a part that are not in sync around the place up to which the copy has
/// come, the likeliest first. `bits` are those of its disk log; without one the regions
/// come in sync one after the other.
pub fn suspects(part: &Part, bits: Option<&[u8]>, most: usize) -> Vec<Spot> {
    let Some(region) = region_of(part) else {
        return Vec::new();
    };
    let regions = part.length.div_ceil(region);
    let done = part.status.as_ref().map_or(0, |status| status.in_sync);
    let clean = |number: u64| bits.is_some_and(|bits| is_clean(bits, number));
    let end = match bits {
        Some(_) => {
            let last = (0..regions).rev().find(|number| clean(*number));
            last.map_or(1, |last| last.saturating_add(2))
        }
        None => done.saturating_add(2),
    };
    let numbers = (0..end.min(regions)).rev().filter(|number| !clean(*number));
    let spot = |number: u64| {
        let start = part.start.saturating_add(number.saturating_mul(region));
        Spot::between(start, start.saturating_add(region).min(part.end()))
    };
    numbers.take(most).filter_map(spot).collect()
}

fn region_of(part: &Part) -> Option<u64> {
    let region = part.mirror.as_ref().and_then(Mirror::region);
    region.filter(|region| *region > 0)
}

/// The sector up to which all is copied, of a part whose regions come in sync one after the
/// other, and none of which has failed; none where that is not certain.
pub(super) fn by_order(part: &Part) -> Option<u64> {
    let (region, status) = (region_of(part)?, part.status.as_ref()?);
    let healthy = status.health.iter().all(|letter| *letter == Letter::Alive);
    let log = part.mirror.as_ref().map(|mirror| &mirror.log);
    let ordered = matches!(log, Some(Log::Core { sync, .. }) if *sync != Some(Sync::NoSync));
    let done = status.in_sync.saturating_mul(region);
    match healthy {
        true if part.is_in_sync() => Some(part.end()),
        true if ordered => Some(part.start.saturating_add(done).min(part.end())),
        _ => None,
    }
}

/// What is to be copied of a part.
fn to_copy(part: &Part, bits: Option<&[u8]>) -> Option<Segment> {
    let (region, spot) = (region_of(part)?, Spot::between(part.start, part.end())?);
    let todo = match bits {
        _ if part.is_in_sync() => Vec::new(),
        Some(bits) => todo(spot, region, bits),
        None => {
            let front = by_order(part).unwrap_or(part.start);
            Spot::between(front, part.end()).into_iter().collect()
        }
    };
    Some(Segment { spot, region, todo })
}

/// Sectors that are under a mirror target and not in sync, as far as is known.
pub fn window(snapshot: &Snapshot) -> u64 {
    let parts = snapshot.parts.iter().filter(|part| !part.is_in_sync());
    let left = |part: &Part| {
        let done = part.status.as_ref().map_or(0, |status| status.in_sync);
        let done = done.saturating_mul(region_of(part).unwrap_or(0));
        part.length.saturating_sub(done)
    };
    parts.map(left).fold(0, u64::saturating_add)
}

/// What is ahead once so many sectors more are copied: those that come first, whole regions
/// and at least one.
pub fn forward(snapshot: &Snapshot, more: u64) -> Vec<Spot> {
    let (ahead, region) = (snapshot.ahead(), largest_region(snapshot));
    let (mut left, mut taken) = (more.max(region), Vec::new());
    for spot in &ahead {
        let Some(next) = next_of(snapshot, *spot, left, region) else {
            break;
        };
        left = left.saturating_sub(next.length);
        taken.push(next);
        if next.end() < spot.end() {
            break;
        }
    }
    outside(&ahead, &taken)
}

/// The first sectors of a stretch that is ahead, at most so many: whole regions of the
/// segment before it.
fn next_of(snapshot: &Snapshot, spot: Spot, most: u64, region: u64) -> Option<Spot> {
    let adjoins = |part: &&Part| part.end() == spot.start;
    let part = snapshot.parts.iter().find(adjoins);
    let base = part.map_or(spot.start, |part| part.start);
    let whole = (spot.start - base).saturating_add(most) / region;
    let end = base.saturating_add(whole.saturating_mul(region));
    // Of less than a region a segment would have smaller ones.
    let last = spot.end().saturating_sub(end) < region;
    Spot::between(spot.start, if last { spot.end() } else { end })
}

/// What is ahead once only so many sectors are left to be copied that are under a mirror
/// target; `bits` are those of the parts' disk logs. One region stays, or it were no mirror.
pub fn back(snapshot: &Snapshot, bits: &[Option<Vec<u8>>], keep: u64) -> Vec<Spot> {
    let parts = snapshot.parts.iter().enumerate();
    let bits = |number: usize| bits.get(number).and_then(Option::as_deref);
    let segments = parts.filter_map(|(number, part)| to_copy(part, bits(number)));
    let segments: Vec<Segment> = segments.collect();
    let waits = held_back(&segments, snapshot.on_leg_0().len(), keep);
    union(&snapshot.ahead(), &waits)
}

fn largest_region(snapshot: &Snapshot) -> u64 {
    let regions = snapshot.parts.iter().filter_map(region_of);
    regions.max().unwrap_or(1)
}

/// The table of a new mirror of which so many sectors are copied at first, and what is then
/// ahead. None where that is all of it, or it is not one mirror target with two legs or more.
pub fn begin(table: &Table, sectors: u64) -> Option<(Table, Vec<Spot>)> {
    let [target] = table.targets.as_slice() else {
        return None;
    };
    let Mapping::Mirror(mirror) = &target.mapping else {
        return None;
    };
    let region = mirror.region().filter(|region| *region > 0)?;
    let to_copy = mirror.sync() != Some(Sync::NoSync);
    let end = sectors.max(1).checked_next_multiple_of(region)?;
    let rest = Spot::between(end, target.length).filter(|rest| to_copy && rest.length >= region)?;
    let source = mirror.legs.first()?;
    let first = Target {
        length: end,
        ..target.clone()
    };
    let behind = Target::on_leg(source, rest.start, rest.length);
    let targets = vec![first, behind];
    Some((Table { targets }, vec![rest]))
}

/// What is ahead of a mirror that has become longer: where what lay at its end was, all
/// that is new is.
pub fn grown(snapshot: &Snapshot, length: u64) -> Vec<Spot> {
    let (ahead, before) = (snapshot.ahead(), snapshot.table.length());
    let at_the_end = ahead.last().is_some_and(|last| last.end() == before);
    let new = Spot::between(before, length).filter(|_| at_the_end);
    union(&ahead, &new.into_iter().collect::<Vec<Spot>>())
}

/// Sectors of these spots and of what is not in sync under a mirror target.
pub fn left(snapshot: &Snapshot) -> u64 {
    window(snapshot).saturating_add(sectors(&snapshot.ahead()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::Settings;
    use crate::model::snapshot::Known;
    use crate::model::spots::spots;
    use crate::model::tests::segments;

    #[test]
    fn the_place_is_looked_for_where_the_copy_is() {
        let one = &["0 64 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors"];
        let status = &["0 64 mirror 2 8:0 8:1 3/8 1 SA 3 disk 7:1 A"];
        let snapshot = segments(one, status, Known::default());
        let suspects = |bits: Option<&[u8]>, most| {
            let found = suspects(&snapshot.parts[0], bits, most).into_iter();
            found.map(|spot| spot.start / 8).collect::<Vec<u64>>()
        };
        assert_eq!(suspects(Some(&[0b0001_0111]), 9), [5, 3]);
        assert_eq!(suspects(Some(&[0b0001_0101]), 2), [5, 3]);
        assert_eq!(suspects(Some(&[0]), 9), [0]);
        assert_eq!(suspects(Some(&[0x80]), 3), [6, 5, 4]);
        assert_eq!(suspects(None, 3), [4, 3, 2]);
    }

    /// A mirror of 64 sectors with regions of 8, of which those from one on are ahead.
    fn with_front(log: &str, status: &str, from: u64) -> Snapshot {
        let known = Known {
            settings: Settings {
                ahead: spots(&[(from, 64)]),
                ..Settings::default()
            },
            ..Known::default()
        };
        let mirror = format!("0 {from} mirror {log} 8 2 8:0 4 8:1 0 1 handle_errors");
        let linear = format!("{from} {} linear 8:0 {}", 64 - from, from + 4);
        let status = format!("0 {from} mirror 2 8:0 8:1 {status}");
        let tail = format!("{from} {} linear ", 64 - from);
        let (table, state) = ([mirror.as_str(), &linear], [status.as_str(), &tail]);
        match from {
            64 => segments(&table[..1], &state[..1], known),
            _ => segments(&table, &state, known),
        }
    }

    #[test]
    fn it_goes_forward_by_whole_regions() {
        let at = |from| with_front("disk 2 7:1", "1/2 1 AA 3 disk 7:1 A", from);
        assert_eq!(at(16).ahead(), spots(&[(16, 64)]));
        assert_eq!(forward(&at(16), 1), spots(&[(24, 64)]));
        assert_eq!(forward(&at(16), 17), spots(&[(32, 64)]));
        assert_eq!(forward(&at(16), 41), spots(&[(56, 64)]));
        assert_eq!(forward(&at(16), 48), []);
        assert_eq!(forward(&at(16), u64::MAX), []);
        assert_eq!(forward(&at(64), 8), []);
        assert_eq!((window(&at(16)), left(&at(16))), (8, 56));
        assert_eq!(grown(&at(16), 96), spots(&[(16, 96)]));
        assert_eq!(grown(&at(64), 96), []);
    }

    #[test]
    fn it_goes_back_as_far_as_nothing_is_copied() {
        let disk = with_front("disk 2 7:1", "3/8 1 AA 3 disk 7:1 A", 64);
        let kept = |snapshot: &Snapshot, bits: Option<u8>, keep| {
            back(snapshot, &[bits.map(|bits| vec![bits])], keep)
        };
        assert_eq!(kept(&disk, Some(0b0000_0111), 0), spots(&[(24, 64)]));
        assert_eq!(kept(&disk, Some(0b0000_1011), 9), spots(&[(48, 64)]));
        assert_eq!(kept(&disk, Some(0b1000_0011), 0), []);
        assert_eq!(kept(&disk, Some(0), 0), spots(&[(8, 64)]));
        // Of a log that does not answer nothing is known.
        assert_eq!(kept(&disk, None, 0), spots(&[(8, 64)]));
        let core = with_front("core 1", "3/8 1 AA 1 core", 64);
        assert_eq!(kept(&core, None, 0), spots(&[(24, 64)]));
        let hurt = with_front("core 1", "3/8 1 AS 1 core", 64);
        assert_eq!(kept(&hurt, None, 0), spots(&[(8, 64)]));
        let partly = with_front("disk 2 7:1", "1/4 1 AA 3 disk 7:1 A", 32);
        assert_eq!(kept(&partly, Some(1), 8), spots(&[(16, 64)]));
        let whole = with_front("disk 2 7:1", "8/8 1 AA 3 disk 7:1 A", 64);
        assert_eq!(kept(&whole, Some(0xff), 0), []);
    }

    #[test]
    fn a_new_mirror_begins_with_some_of_it() {
        let begun = |line: &str, sectors| {
            let table = Table::parse(&[line]).expect(line);
            let (table, ahead) = begin(&table, sectors)?;
            let lines: Vec<String> = table.to_lines().iter().map(ToString::to_string).collect();
            Some((lines.join(","), ahead))
        };
        let line = "0 64 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors";
        let wanted = "0 16 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors,16 48 linear 8:0 20";
        assert_eq!(begun(line, 9), Some((wanted.into(), spots(&[(16, 64)]))));
        assert_eq!(
            begun(line, 0).map(|(_, ahead)| ahead),
            Some(spots(&[(8, 64)]))
        );
        assert_eq!(begun(line, 57), None);
        assert_eq!(begun("0 64 linear 8:0 0", 8), None);
        let equal = "0 64 mirror core 2 8 nosync 2 8:0 4 8:1 0 1 handle_errors";
        assert_eq!(begun(equal, 8), None);
    }
}

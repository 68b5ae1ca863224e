//! One mirror of several targets that are copied at once. A target has one region under way:
//! where disks answer late, several have as many. Pure.

use std::time::Duration;

use crate::engine::Medium;
use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::model::whole::MOST_SEGMENTS;
use crate::text::device::DeviceRef;
use crate::text::mirror::{Leg, Log};
use crate::text::table::{Mapping, Table, Target};

/// A disk answers late from here on. One of this machine takes a tenth of it.
pub const LATE: Duration = Duration::from_millis(1);

/// From how late on so many segments copy faster, by measurement (docs/performance.md).
const BY_LATENESS: [(Duration, u64); 3] = [
    (Duration::from_millis(20), 16),
    (Duration::from_millis(3), 8),
    (LATE, 4),
];

/// Sectors of the smallest segment that is chosen: less is copied in a moment anyway.
const LEAST: u64 = (16 << 20) / SECTOR;

/// Whether a disk answers late.
pub fn is_late(medium: &Medium) -> bool {
    medium.late >= LATE
}

/// How many segments are chosen for so many sectors on these legs. A disk that turns would
/// have to go to and fro between them; of what is not known nothing is guessed.
pub fn by_itself(legs: &[Option<Medium>], length: u64) -> u64 {
    let known: Option<Vec<Medium>> = legs.iter().copied().collect();
    let legs = known.unwrap_or_default();
    if legs.iter().any(|leg| leg.rotational) {
        return 1;
    }
    let late = legs.iter().map(|leg| leg.late).max().unwrap_or_default();
    let row = BY_LATENESS.iter().find(|(from, _)| late >= *from);
    let wanted = row.map_or(1, |(_, segments)| *segments);
    wanted.min(length / LEAST).max(1)
}

/// Check that somebody may want so many segments.
///
/// # Errors
/// EINVAL for none, or too many.
pub fn check(segments: u64) -> Result<()> {
    let right = (1..=MOST_SEGMENTS as u64).contains(&segments);
    let sentence = || format!("segments={segments} is not auto or 1 to {MOST_SEGMENTS}");
    right
        .then_some(())
        .ok_or_else(|| Error::invalid(sentence()))
}

/// The table of one target as one of so many, of whole regions but for the last; `log` names
/// the log of each where it has one on a disk.
///
/// # Errors
/// What `log` answers.
pub fn divide(
    table: &Table,
    segments: u64,
    log: &mut dyn FnMut(usize) -> Result<Option<DeviceRef>>,
) -> Result<Table> {
    let mut targets = Vec::new();
    for target in &table.targets {
        let Mapping::Mirror(mirror) = &target.mapping else {
            targets.push(target.clone());
            continue;
        };
        let region = mirror.region().unwrap_or(1).max(1);
        for (start, length) in stretches(target.length, region, segments) {
            let at = |leg: &Leg| Leg {
                device: leg.device.clone(),
                offset: leg.offset.saturating_add(start),
            };
            let mut part = mirror.clone();
            part.legs = mirror.legs.iter().map(at).collect();
            if let Some(device) = log(targets.len())? {
                part.log = on(device, &mirror.log, region);
            }
            targets.push(Target {
                start: target.start.saturating_add(start),
                length,
                mapping: Mapping::Mirror(part),
            });
        }
    }
    Ok(Table { targets })
}

fn on(device: DeviceRef, log: &Log, region: u64) -> Log {
    let sync = match log {
        Log::Core { sync, .. } | Log::Disk { sync, .. } => *sync,
        Log::Userspace { .. } => None,
    };
    Log::Disk {
        device,
        region,
        sync,
    }
}

/// As many stretches as there are to be, or as there are regions.
fn stretches(length: u64, region: u64, segments: u64) -> Vec<(u64, u64)> {
    let regions = length.div_ceil(region).max(1);
    let each = regions.div_ceil(segments.max(1)).saturating_mul(region);
    let starts = (0..regions.div_ceil(each / region)).map(|number| number * each);
    let stretch = |start: u64| (start, each.min(length.saturating_sub(start)));
    starts
        .map(stretch)
        .filter(|(_, length)| *length > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: &Table) -> Vec<String> {
        table.to_lines().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn segments_are_of_whole_regions_and_follow_each_other() {
        let line = "0 100 mirror core 1 16 2 7:0 8 7:1 0 1 handle_errors";
        let table = Table::parse(&[line]).expect("a table");
        let core = |segments| {
            let divided = divide(&table, segments, &mut |_| Ok(None)).expect("divided");
            lines(&divided)
        };
        assert_eq!(core(1), [line]);
        assert_eq!(
            core(3),
            [
                "0 48 mirror core 1 16 2 7:0 8 7:1 0 1 handle_errors",
                "48 48 mirror core 1 16 2 7:0 56 7:1 48 1 handle_errors",
                "96 4 mirror core 1 16 2 7:0 104 7:1 96 1 handle_errors",
            ]
        );
        assert_eq!(core(64).len(), 7);
        let mut log = |number: usize| format!("7:{}", number + 5).parse().map(Some);
        let divided = divide(&table, 2, &mut log).expect("divided");
        assert_eq!(
            lines(&divided),
            [
                "0 64 mirror disk 2 7:5 16 2 7:0 8 7:1 0 1 handle_errors",
                "64 36 mirror disk 2 7:6 16 2 7:0 72 7:1 64 1 handle_errors",
            ]
        );
    }

    #[test]
    fn only_what_answers_late_and_does_not_turn_is_divided() {
        let leg = |millis: u64, rotational| {
            let late = Duration::from_millis(millis);
            Some(Medium { late, rotational })
        };
        let large = 1 << 30;
        for (legs, length, wanted) in [
            (vec![leg(0, false), leg(0, false)], large, 1),
            (vec![leg(0, false), leg(1, false)], large, 4),
            (vec![leg(50, false), leg(0, false)], large, 16),
            (vec![leg(5, false), leg(0, false)], large, 8),
            (vec![leg(50, false), leg(0, true)], large, 1),
            (vec![leg(50, false), None], large, 1),
            (vec![leg(50, false), leg(50, false)], 5 * LEAST, 5),
            (vec![leg(50, false), leg(50, false)], 1, 1),
            (Vec::new(), large, 1),
        ] {
            assert_eq!(by_itself(&legs, length), wanted, "{legs:?} {length}");
        }
        assert!(check(0).is_err() && check(65).is_err() && check(64).is_ok());
    }
}

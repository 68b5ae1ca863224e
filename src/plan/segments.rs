//! A mirror as a list of segments: one target for each stretch between what is left on
//! leg 0 alone. Pure.

use super::inherit::{copied_by_order, inherited, is_copied};
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::model::spots::{Spot, common, outside, union};
use crate::model::whole::{ERROR, MOST_SEGMENTS};
use crate::text::device::DeviceRef;
use crate::text::mirror::{Leg, Log, Mirror, Sync};
use crate::text::table::{Mapping, Table, Target};

/// The smallest region of a mirror target in sectors (`mirror_ctr`,
/// drivers/md/dm-raid1.c).
const LEAST: u64 = 2;

/// The table of a mirror of which some ranges are on leg 0 alone, and all else is
/// mirrored. A segment that is as it was keeps its log; `log` names one for each that is
/// new, where the mirror has its log on a disk; without a name it is in memory.
///
/// # Errors
/// EINVAL where the targets are not segments of one mirror; what `log` answers.
pub fn table(
    snapshot: &Snapshot,
    gaps: &[Spot],
    length: u64,
    log: &mut dyn FnMut() -> Result<Option<DeviceRef>>,
) -> Result<Table> {
    let pattern = Pattern::of(snapshot)?;
    let mut targets: Vec<Target> = Vec::new();
    for stretch in outside(&whole(length), gaps) {
        for piece in pattern.pieces(snapshot, stretch) {
            targets.push(pattern.segment(snapshot, piece, log)?);
        }
    }
    targets.extend(gaps.iter().map(|gap| pattern.gap(*gap)));
    targets.sort_by_key(|target| target.start);
    Ok(Table { targets })
}

/// The same table, where nobody can read or write what is on leg 0 alone.
pub fn closed(table: &Table) -> Table {
    let mut table = table.clone();
    for target in &mut table.targets {
        if !matches!(target.mapping, Mapping::Mirror(_)) {
            target.mapping = Mapping::Other {
                kind: ERROR.into(),
                params: String::new(),
            };
        }
    }
    table
}

/// These gaps, as far as there may be so many: the shortest stretches between them stay
/// on leg 0 alone too.
pub fn fewer(mut gaps: Vec<Spot>, length: u64) -> Vec<Spot> {
    let stretches = outside(&whole(length), &gaps);
    let mut inner: Vec<Spot> = stretches
        .into_iter()
        .filter(|stretch| stretch.start > 0 && stretch.end() < length)
        .collect();
    inner.sort_by_key(|stretch| stretch.length);
    let most = MOST_SEGMENTS.saturating_sub(2);
    inner.truncate(inner.len().saturating_sub(most));
    gaps = union(&gaps, &inner);
    gaps
}

fn whole(length: u64) -> Vec<Spot> {
    Spot::between(0, length).into_iter().collect()
}

/// What all segments have in common.
struct Pattern {
    /// The legs, where each begins.
    legs: Vec<Leg>,
    mirror: Mirror,
    region: u64,
}

impl Pattern {
    fn of(snapshot: &Snapshot) -> Result<Pattern> {
        let name = &snapshot.info.name;
        let first = snapshot.parts.first().filter(|_| snapshot.gaps.is_some());
        let found = first.and_then(|part| Some((part, part.mirror.clone()?)));
        let (part, mirror) = found.ok_or_else(|| {
            Error::invalid(format!("{name} does not consist of segments of one mirror"))
        })?;
        let mirrors = snapshot
            .parts
            .iter()
            .filter_map(|part| part.mirror.as_ref());
        let region = mirrors.filter_map(Mirror::region).max();
        let region = region.ok_or_else(|| Error::invalid(format!("{name} has no regions")))?;
        let legs = mirror.legs.iter().map(|leg| Leg {
            device: leg.device.clone(),
            offset: leg.offset.saturating_sub(part.start),
        });
        Ok(Pattern {
            legs: legs.collect(),
            mirror,
            region,
        })
    }

    /// The target of what is on leg 0 alone.
    fn gap(&self, gap: Spot) -> Target {
        let source = self.legs.first();
        let target = source.map(|leg| Target::on_leg(leg, gap.start, gap.length));
        target.unwrap_or_else(|| at(gap, Mapping::Mirror(self.mirror.clone())))
    }

    /// The segments of a stretch. A log on a disk may be of one that is partly copied;
    /// one in memory is of what is all copied, or of what is all to be copied.
    fn pieces(&self, snapshot: &Snapshot, stretch: Spot) -> Vec<Spot> {
        if !matches!(self.mirror.log, Log::Core { .. }) {
            return vec![stretch];
        }
        let (known, stretch) = (copied_by_order(snapshot), [stretch]);
        let mut pieces = common(&stretch, &known);
        pieces.extend(outside(&stretch, &known));
        pieces.sort_by_key(|piece| piece.start);
        pieces
    }

    fn segment(
        &self,
        snapshot: &Snapshot,
        stretch: Spot,
        log: &mut dyn FnMut() -> Result<Option<DeviceRef>>,
    ) -> Result<Target> {
        if stretch.length < LEAST {
            return Ok(self.gap(stretch));
        }
        let largest = 1 << stretch.length.ilog2();
        let region = self.region.min(largest);
        let log = match &self.mirror.log {
            Log::Disk { .. } => match inherited(snapshot, stretch, region) {
                Some(log) => log,
                None => fresh(log()?, region),
            },
            Log::Core { .. } => Log::Core {
                region,
                sync: is_copied(snapshot, stretch).then_some(Sync::NoSync),
            },
            Log::Userspace { .. } => {
                return Err(Error::invalid("a userspace log cannot be divided"));
            }
        };
        let legs = self.legs.iter().map(|leg| Leg {
            device: leg.device.clone(),
            offset: leg.offset.saturating_add(stretch.start),
        });
        let mirror = Mirror {
            log,
            legs: legs.collect(),
            features: self.mirror.features,
        };
        Ok(at(stretch, Mapping::Mirror(mirror)))
    }
}

/// A log that nothing is in yet: on a device, or in memory.
fn fresh(device: Option<DeviceRef>, region: u64) -> Log {
    let sync = None;
    device.map_or(Log::Core { region, sync }, |device| Log::Disk {
        device,
        region,
        sync,
    })
}

fn at(stretch: Spot, mapping: Mapping) -> Target {
    Target {
        start: stretch.start,
        length: stretch.length,
        mapping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sight;
    use crate::model::snapshot::Known;
    use crate::model::spots::spots;
    use crate::model::tests::segments;

    /// Its new logs are 7:201 and on.
    fn lines(snapshot: &Snapshot, gaps: &[(u64, u64)], length: u64) -> Vec<String> {
        let mut next = 200;
        let mut log = || {
            next += 1;
            format!("7:{next}").parse().map(Some)
        };
        let table = table(snapshot, &spots(gaps), length, &mut log).expect("a table");
        table.to_lines().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_lies_between_is_mirrored_and_what_is_as_it_was_keeps_its_log() {
        let one = &["0 64 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors"];
        let status = &["0 64 mirror 2 8:0 8:1 3/8 1 SA 3 disk 7:1 A"];
        let snapshot = segments(one, status, Known::default());
        let wanted = [
            "0 24 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors",
            "24 8 linear 8:0 28",
            "32 32 mirror disk 2 7:201 8 2 8:0 36 8:1 32 1 handle_errors",
        ];
        assert_eq!(lines(&snapshot, &[(24, 32)], 64), wanted);
        let status = &[
            "0 24 mirror 2 8:0 8:1 3/3 1 AA 3 disk 7:1 A",
            "24 8 linear ",
            "32 32 mirror 2 8:0 8:1 2/4 1 AA 3 disk 7:201 A",
        ];
        let snapshot = segments(&wanted, status, Known::default());
        assert_eq!(snapshot.gaps, Some(spots(&[(24, 32)])));
        // The segment in front is the same, the one behind is longer.
        let narrower = lines(&snapshot, &[(24, 27)], 64);
        assert_eq!(
            narrower,
            [
                wanted[0],
                "24 3 linear 8:0 28",
                "27 37 mirror disk 2 7:201 8 2 8:0 31 8:1 27 1 handle_errors",
            ]
        );
        // Without a gap it is one again, and may be longer.
        let whole = "0 80 mirror disk 2 7:201 8 2 8:0 4 8:1 0 1 handle_errors";
        assert_eq!(lines(&snapshot, &[], 80), [whole]);
        // Where the log of the first segment has room for that, and none knows more, it stays.
        let ahead = [wanted[0], "24 40 linear 8:0 28"];
        let mut roomy = segments(&ahead, &[status[0], "24 40 linear "], Known::default());
        assert_eq!(lines(&roomy, &[], 80), [whole]);
        roomy.logs[0].facts = Some(Sight {
            node: "/dev/loop1".into(),
            file: None,
            autoclear: true,
            size: 4096,
        });
        let kept = whole.replace("7:201", "7:1");
        assert_eq!(lines(&roomy, &[], 80), [kept]);
        // At both ends, and where no region fits between.
        let ends = lines(&snapshot, &[(0, 1), (2, 3), (63, 64)], 64);
        let kinds = ends.iter().filter(|line| line.contains("linear")).count();
        assert_eq!((ends.len(), kinds), (5, 4));
    }

    #[test]
    fn there_are_as_many_as_the_kernel_bears() {
        let spot = |n: u64| Spot {
            start: 10 + n * (10 + n),
            length: 1,
        };
        let gaps: Vec<Spot> = (0..200).map(spot).collect();
        let fewer = fewer(gaps.clone(), 1 << 20);
        assert!(fewer.len() < MOST_SEGMENTS, "{}", fewer.len());
        assert_eq!(common(&gaps, &fewer), gaps);
        let some = spots(&[(0, 1), (5, 6), (63, 64)]);
        assert_eq!(super::fewer(some.clone(), 64), some);
    }

    #[test]
    fn what_is_in_memory_is_believed_where_it_is_whole() {
        let table = [
            "0 32 mirror core 1 8 2 8:0 0 8:1 0 1 handle_errors",
            "32 8 linear 8:0 32",
            "40 24 mirror core 1 8 2 8:0 40 8:1 40 1 handle_errors",
        ];
        let status = &[
            "0 32 mirror 2 8:0 8:1 4/4 1 AA 1 core",
            "32 8 linear ",
            "40 24 mirror 2 8:0 8:1 1/3 1 SA 1 core",
        ];
        let snapshot = segments(&table, status, Known::default());
        let found = lines(&snapshot, &[(32, 40), (48, 56)], 64);
        let logs: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split_once("mirror ")?.1.split_once(" 2 8:0"))
            .map(|(log, _)| log)
            .collect();
        assert_eq!(logs, ["core 2 8 nosync", "core 1 8", "core 1 8"]);
    }
}

//! Several targets that are one mirror: segments over the same legs, one behind the
//! other, with what lies between them on leg 0 alone. Pure.

use super::parts::{Leg, Part, SECTOR};
use super::spots::Spot;
use crate::text::device::DeviceRef;
use crate::text::letter::Letter;
use crate::text::linear::Linear;
use crate::text::table::{Mapping, Table, Target};

/// A target that maps nothing: what could not be read, while `finish lossy` is under way.
pub const ERROR: &str = "error";

/// How many mirror targets a device may consist of. Each costs about a MiB of the
/// kernel's memory and two of its threads.
pub const MOST_SEGMENTS: usize = 64;

/// Where each leg would begin if the mirror were one target.
type Bases = Vec<(DeviceRef, u64)>;

/// What lies between the segments, on leg 0 alone; none where the targets are not
/// segments of one mirror, but several mirrors, or a mirror beside something else.
pub(super) fn gaps(table: &Table, parts: &[Part]) -> Option<Vec<Spot>> {
    let first = bases(parts.first()?)?;
    let same = |part: &Part| bases(part).as_ref() == Some(&first);
    if !parts.iter().all(same) {
        return None;
    }
    let (source, base) = first.first()?;
    let others = table.targets.iter();
    let others = others.filter(|target| !matches!(target.mapping, Mapping::Mirror(_)));
    let gap = |target: &Target| {
        let on_source = match &target.mapping {
            Mapping::Linear(Linear { device, offset }) => {
                device == source && offset.checked_sub(target.start) == Some(*base)
            }
            Mapping::Other { kind, .. } => kind == ERROR,
            Mapping::Mirror(_) => false,
        };
        let (start, length) = (target.start, target.length);
        on_source.then_some(Spot { start, length })
    };
    others.map(gap).collect()
}

fn bases(part: &Part) -> Option<Bases> {
    let legs = part.mirror.as_ref()?.legs.iter();
    let base = |offset: u64| offset.checked_sub(part.start);
    legs.map(|leg| Some((leg.device.clone(), base(leg.offset)?)))
        .collect()
}

/// The legs of all segments together: each as bad as it is in the worst of them.
pub(super) fn legs_of_all(parts: &[Part], length: u64) -> Vec<Leg> {
    let Some(first) = parts.first() else {
        return Vec::new();
    };
    let legs = first.legs.iter().map(|leg| {
        let same = parts.iter().filter_map(|part| part.legs.get(leg.number));
        let worst = same.clone().map(|leg| leg.letter).max_by_key(badness);
        let begins = first.start.saturating_mul(SECTOR);
        Leg {
            letter: worst.unwrap_or(Letter::Unknown),
            source: same.clone().any(|leg| leg.source),
            offset: leg.offset.saturating_sub(begins),
            length: length.saturating_mul(SECTOR),
            ..leg.clone()
        }
    });
    legs.collect()
}

/// The higher, the less can be done with a leg.
fn badness(letter: &Letter) -> u8 {
    match letter {
        Letter::Alive => 0,
        Letter::ReadFailed => 1,
        Letter::SyncFailed => 2,
        Letter::FlushFailed | Letter::WriteFailed => 3,
        Letter::Unknown | Letter::Other(_) => 4,
    }
}

/// The same table with linear targets that continue each other as one.
pub fn joined(table: Table) -> Table {
    let mut targets: Vec<Target> = Vec::new();
    for target in table.targets {
        match targets.last_mut().filter(|last| continues(last, &target)) {
            Some(last) => last.length = last.length.saturating_add(target.length),
            None => targets.push(target),
        }
    }
    Table { targets }
}

fn continues(one: &Target, next: &Target) -> bool {
    match (&one.mapping, &next.mapping) {
        (Mapping::Linear(one_on), Mapping::Linear(next_on)) => {
            let end = one_on.offset.checked_add(one.length);
            one_on.device == next_on.device && end == Some(next_on.offset)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_targets_that_continue_each_other_are_one() {
        for (lines, wanted) in [
            (&["0 8 linear 8:0 4", "8 8 linear 8:0 12"][..], 1),
            (&["0 8 linear 8:0 4", "8 8 linear 8:0 13"], 2),
            (&["0 8 linear 8:0 4", "8 8 linear 8:1 12"], 2),
            (&["0 8 linear 8:0 4", "8 8 zero", "16 8 linear 8:0 20"], 3),
        ] {
            let table = Table::parse(lines).expect("a table");
            let length = table.length();
            let joined = joined(table);
            assert_eq!(
                (joined.targets.len(), joined.length()),
                (wanted, length),
                "{lines:?}"
            );
        }
    }
}

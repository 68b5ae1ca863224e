//! Whether a disk log tells the truth of a table that it was not kept for. It has a bit
//! for each region and knows neither their size nor the legs: of a leg that it has never
//! seen it would say that it is equal, and nothing would ever be copied there. Pure.

use crate::text::mirror::{Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// Whether a log of the old table would lie about the new one, and has to begin afresh.
/// Where a sync word says what the regions are, the log is not asked.
pub fn misleads(old: &Table, new: &Table) -> bool {
    let mirrors = |table: &Table| -> Vec<(Target, Mirror)> {
        let targets = table.targets.iter();
        let mirror = |target: &Target| match &target.mapping {
            Mapping::Mirror(mirror) => Some((target.clone(), mirror.clone())),
            _ => None,
        };
        targets.filter_map(mirror).collect()
    };
    let old = mirrors(old);
    mirrors(new).iter().any(|(target, mirror)| {
        let before = old
            .iter()
            .find(|(_, other)| other.log_device() == mirror.log_device());
        let asked = matches!(mirror.log, Log::Disk { sync: None, .. });
        asked && before.is_some_and(|before| differs(before, (target, mirror)))
    })
}

fn differs(before: &(Target, Mirror), (target, mirror): (&Target, &Mirror)) -> bool {
    let (old, was) = before;
    let region = was.region().unwrap_or(1).max(1);
    let new_leg = mirror.legs.iter().any(|leg| !was.legs.contains(leg));
    // The bit of a last region that was a short one says nothing of what it gets.
    let grown = target.length > old.length && !old.length.is_multiple_of(region);
    new_leg || grown || was.region() != mirror.region() || old.start != target.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_believed_of_what_it_was_kept_for() {
        let table = |line: &str| Table::parse(&[line]).expect(line);
        let old = table("0 1000 mirror disk 2 8:9 128 2 8:1 0 8:2 0 1 handle_errors");
        for (line, wanted) in [
            ("0 1000 mirror disk 2 8:9 128 2 8:1 0 8:2 0", false),
            ("0 1000 mirror disk 2 8:9 128 2 8:2 0 8:1 0", false),
            ("0 900 mirror disk 2 8:9 128 2 8:1 0 8:2 0", false),
            ("0 1024 mirror disk 2 8:9 128 2 8:1 0 8:2 0", true),
            ("0 1000 mirror disk 2 8:9 256 2 8:1 0 8:2 0", true),
            ("0 1000 mirror disk 2 8:9 128 2 8:1 0 8:3 0", true),
            ("0 1000 mirror disk 2 8:9 128 2 8:1 0 8:2 8", true),
            ("0 1000 mirror disk 2 8:9 128 3 8:1 0 8:2 0 8:3 0", true),
            ("0 1000 mirror disk 3 8:9 128 nosync 2 8:1 0 8:3 0", false),
            ("0 1000 mirror disk 2 8:8 128 2 8:1 0 8:3 0", false),
            ("0 1000 mirror core 1 128 2 8:1 0 8:3 0", false),
            ("0 1000 linear 8:1 0", false),
        ] {
            assert_eq!(misleads(&old, &table(line)), wanted, "{line}");
        }
    }
}

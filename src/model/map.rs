//! Which bytes of a mirror are copied. What is not certain counts as not copied.

use super::parts::{Part, SECTOR};
use super::snapshot::Snapshot;
use super::spots::{Spot, outside, union};
use crate::text::disklog::is_clean;
use crate::text::letter::Letter;
use crate::text::mapfile::{Block, Status};
use crate::text::mirror::{Log, Mirror};
use crate::text::units::amount;

/// Lines of the picture, and characters of a line.
const LINES: u64 = 16;
const WIDTH: u64 = 64;

/// The ranges of the whole mirror, in ascending order.
pub fn map(snapshot: &Snapshot) -> Vec<Block> {
    let length = snapshot.table.length();
    let whole: Vec<Spot> = Spot::between(0, length).into_iter().collect();
    let copied = if snapshot.known.absent.is_some() {
        Vec::new()
    } else if snapshot.parts.is_empty() {
        whole.clone()
    } else {
        copied(snapshot)
    };
    let rest = outside(&outside(&whole, &copied), &snapshot.bad);
    let of = |spots: &[Spot], status: Status| -> Vec<Block> {
        let block = |spot: &Spot| Block {
            start: spot.start.saturating_mul(SECTOR),
            size: spot.length.saturating_mul(SECTOR),
            status,
        };
        spots.iter().map(block).collect()
    };
    let mut blocks = of(&copied, Status::Finished);
    blocks.extend(of(&rest, Status::Untried));
    blocks.extend(of(&snapshot.bad, Status::Bad));
    blocks.sort_by_key(|block| block.start);
    blocks
}

/// What each leg has, in ascending order.
pub fn copied(snapshot: &Snapshot) -> Vec<Spot> {
    let none = None;
    let bits = snapshot.bits.iter().chain(std::iter::repeat(&none));
    let parts = snapshot.parts.iter().zip(bits);
    let spots: Vec<Spot> = parts
        .flat_map(|(part, bits)| of_part(part, bits.as_deref()))
        .collect();
    union(&spots, &[])
}

fn of_part(part: &Part, bits: Option<&[u8]>) -> Vec<Spot> {
    let region = part.mirror.as_ref().and_then(Mirror::region);
    let (Some(region), Some(status)) = (region.filter(|region| *region > 0), &part.status) else {
        return Vec::new();
    };
    if part.is_in_sync() {
        return Spot::between(part.start, part.end()).into_iter().collect();
    }
    let log = part.mirror.as_ref().map(|mirror| &mirror.log);
    let healthy = status.health.iter().all(|letter| *letter == Letter::Alive);
    match bits {
        Some(bits) => {
            let part = Spot::between(part.start, part.end());
            part.map_or_else(Vec::new, |part| clean(part, region, bits))
        }
        // In memory one region comes in sync after the other, and none has failed.
        None if healthy && matches!(log, Some(Log::Core { sync: None, .. })) => {
            let done = status.in_sync.saturating_mul(region);
            let end = part.start.saturating_add(done).min(part.end());
            Spot::between(part.start, end).into_iter().collect()
        }
        None => Vec::new(),
    }
}

/// What is clean of a stretch whose disk log has these bits, in ascending order.
pub fn clean(stretch: Spot, region: u64, bits: &[u8]) -> Vec<Spot> {
    let regions = stretch.length.div_ceil(region.max(1));
    let at = |number: u64| {
        let start = stretch.start.saturating_add(number.saturating_mul(region));
        start.min(stretch.end())
    };
    let clean = (0..regions).filter(|number| is_clean(bits, *number));
    let spots = clean.filter_map(|number| Spot::between(at(number), at(number + 1)));
    union(&spots.collect::<Vec<Spot>>(), &[])
}

/// The map as a picture: each character is the worst of its stretch.
pub fn picture(snapshot: &Snapshot) -> String {
    let blocks = map(snapshot);
    let sectors = snapshot.table.length();
    let stretch = sectors.div_ceil(LINES * WIDTH).max(1);
    let characters = sectors.div_ceil(stretch);
    let mut picture = vec![Status::Finished; characters as usize];
    for block in &blocks {
        let (start, end) = (block.start / SECTOR, (block.start + block.size) / SECTOR);
        let places = (start / stretch) as usize..end.div_ceil(stretch) as usize;
        let stretches = picture.get_mut(places).unwrap_or_default();
        stretches
            .iter_mut()
            .for_each(|worst| *worst = block.status.max(*worst));
    }
    let lines = picture.chunks(WIDTH as usize);
    let line = |line: &[Status]| {
        line.iter()
            .map(|status| status.letter())
            .collect::<String>()
    };
    let mut lines: Vec<String> = lines.map(line).collect();
    let each = amount(stretch.saturating_mul(SECTOR));
    lines.push(format!(
        "+ in sync   ? not copied yet   - cannot be read   each {each}"
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::Settings;
    use crate::model::snapshot::Known;
    use crate::model::tests::segments;

    /// A mirror of 64 sectors with a gap from sector 24 on, of which some is bad.
    fn snapshot(status: [&str; 2], log: &str, bits: [Option<u8>; 2]) -> Snapshot {
        let table = [
            &format!("0 24 mirror {log} 8 2 8:0 0 8:1 0 1 handle_errors"),
            "24 8 linear 8:0 24",
            &format!("32 32 mirror {log} 8 2 8:0 32 8:1 32 1 handle_errors"),
        ];
        let [one, other] = status;
        let status = [
            &format!("0 24 mirror 2 8:0 8:1 {one} 1 core"),
            "24 8 linear ",
            &format!("32 32 mirror 2 8:0 8:1 {other} 1 core"),
        ];
        let known = Known {
            settings: Settings {
                bad: Spot::between(26, 27).into_iter().collect(),
                ..Settings::default()
            },
            ..Known::default()
        };
        let bits = bits.map(|bits| bits.map(|bits| vec![bits])).to_vec();
        Snapshot {
            bits,
            ..segments(&table, &status, known)
        }
    }

    fn shown(snapshot: &Snapshot) -> String {
        let text = picture(snapshot);
        text.lines().next().unwrap_or_default().into()
    }

    #[test]
    fn what_is_not_certain_is_not_copied() {
        let (none, disk, core) = ([None, None], "disk 2 7:1", "core 1");
        let gap = "??-?????";
        for (status, log, bits, first, last) in [
            (["3/3 1 AA", "4/4 1 AA"], core, none, "+++", "++++"),
            (["3/3 1 AA", "2/4 1 AA"], core, none, "+++", "++??"),
            (["3/3 1 AA", "2/4 1 SA"], core, none, "+++", "????"),
            (["2/3 1 AA", "4/4 1 AA"], disk, none, "???", "++++"),
            (
                ["2/3 1 AA", "2/4 1 AA"],
                disk,
                [Some(5), Some(9)],
                "+?+",
                "+??+",
            ),
        ] {
            let snapshot = snapshot(status, log, bits);
            let each = |letters: &str| {
                letters
                    .chars()
                    .map(|c| c.to_string().repeat(8))
                    .collect::<String>()
            };
            let wanted = format!("{}{gap}{}", each(first), each(last));
            assert_eq!(shown(&snapshot), wanted, "{status:?} {log}");
            let sizes = map(&snapshot).iter().map(|block| block.size).sum::<u64>();
            assert_eq!(sizes, 64 * 512);
        }
    }

    #[test]
    fn the_picture_shows_the_worst_of_each_stretch() {
        let table = "0 2097152 mirror core 1 8192 2 8:0 0 8:1 0 1 handle_errors";
        let status = "0 2097152 mirror 2 8:0 8:1 100/256 1 AA 1 core";
        let half = segments(&[table], &[status], Known::default());
        let text = picture(&half);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 17);
        assert!(lines[..16].iter().all(|line| line.len() == 64), "{text}");
        assert_eq!(lines[6], "+".repeat(16) + &"?".repeat(48));
        assert!(lines[16].ends_with("each 1.00 MiB"), "{text}");
    }
}

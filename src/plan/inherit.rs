//! What a segment takes over from those that were there before it, so that nothing is copied
//! twice. Pure.

use super::front::by_order;
use crate::model::snapshot::{LogView, Part, Snapshot};
use crate::model::spots::{Spot, outside, union};
use crate::text::disklog;
use crate::text::mirror::{Log, Mirror};

/// The largest logical block of a log's device, in bytes: its bitset ends at one.
const BLOCK: u64 = 4096;

/// The log that a segment goes on with. Its region is no other, and a last one that was a
/// short one does not become longer: its bit would say more than it knows. What is new
/// is to be copied, the kernel sees to that itself (`disk_resume`, drivers/md/dm-log.c): so
/// of that no other log may know more.
pub(super) fn inherited(snapshot: &Snapshot, stretch: Spot, region: u64) -> Option<Log> {
    let parts = snapshot.parts.iter().zip(&snapshot.logs);
    let mut before = parts.filter(|(part, _)| part.start == stretch.start);
    let (part, log) = before.next()?;
    let mirror = part.mirror.as_ref()?;
    let had = mirror.region().filter(|had| *had > 0)?;
    let same = part.length == stretch.length;
    let longer = stretch.length > part.length;
    let fits = had == region && (!longer || part.length.is_multiple_of(had));
    let is_new = |part: &Part| part.start <= stretch.start || part.start >= stretch.end();
    let has_room =
        || !longer || has_room(log, mirror, stretch.length) && snapshot.parts.iter().all(is_new);
    let mut inherited = mirror.log.clone();
    match &mut inherited {
        Log::Disk { sync, .. } if same || fits && has_room() => *sync = None,
        _ => return None,
    }
    Some(inherited)
}

fn has_room(log: &LogView, mirror: &Mirror, length: u64) -> bool {
    let regions = mirror.regions(length);
    let need = regions.and_then(|regions| disklog::size_for(regions, BLOCK));
    let has = log.facts.as_ref().map(|facts| facts.size);
    need.zip(has).is_some_and(|(need, has)| need <= has)
}

/// What is copied for certain of segments whose log is in memory: it is lost with the table.
pub(super) fn copied_by_order(snapshot: &Snapshot) -> Vec<Spot> {
    let copied = snapshot.parts.iter().filter_map(|part| {
        let log = part.mirror.as_ref().map(|mirror| &mirror.log);
        let in_memory = matches!(log, Some(Log::Core { .. }));
        let end = by_order(part).filter(|_| in_memory && part.tracks_errors())?;
        Spot::between(part.start, end)
    });
    union(&copied.collect::<Vec<Spot>>(), &[])
}

/// Whether that is so of all of a stretch.
pub(super) fn is_copied(snapshot: &Snapshot, stretch: Spot) -> bool {
    outside(&[stretch], &copied_by_order(snapshot)).is_empty()
}

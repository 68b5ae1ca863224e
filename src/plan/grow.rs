//! Making a mirror longer, once its legs are. The kernel looks at their size only at
//! the resume, and leaves the device suspended where it is too small: so it is looked
//! at before.

use super::change::Change;
use super::legs::check_idle;
use super::steps::without_sync_words;
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::{Leg, SECTOR, Snapshot};
use crate::text::disklog;
use crate::text::letter::Letter;
use crate::text::mirror::Mirror;
use crate::text::table::{Mapping, Table, Target};

/// Grow to `length` sectors, as far as all legs reach where none is named. A disk
/// log knows what is new, and only that is copied; without one all is, and where the
/// last region was a short one. `block` is what a logical block of the log's device has,
/// in bytes.
///
/// # Errors
/// ENOSPC where a leg or the log is too small; EINVAL where it would not grow; EBUSY
/// where a leg has failed or it is suspended.
pub fn grow(snapshot: &Snapshot, length: Option<u64>, block: u64) -> Result<Change> {
    check_idle(snapshot)?;
    let target = last_target(snapshot)?;
    if let Some(leg) = snapshot.legs.iter().find(|leg| leg.letter != Letter::Alive) {
        let (number, node) = (leg.number, leg.node());
        return Err(Error::busy(format!("leg {number} {node} has errors")));
    }
    let legs = last_legs(snapshot);
    let rooms = legs.iter().map(|leg| room(leg, snapshot, target.start));
    let rooms = rooms.collect::<Result<Vec<u64>>>()?;
    let most = rooms.iter().min().copied().unwrap_or(0);
    let length = length.unwrap_or(most);
    let mut small = legs.iter().zip(&rooms);
    if let Some((leg, room)) = small.find(|(_, room)| **room < length) {
        let (number, node) = (leg.number, leg.node());
        let sentence = format!("leg {number} {node} has room for {room} sectors, not {length}");
        return Err(Error::new(Errno::ENOSPC, sentence));
    }
    let now = target.end();
    if length <= now {
        let sentence = format!("{length} is not larger than the current {now} sectors");
        return Err(Error::invalid(sentence));
    }
    let grown = length - target.start;
    if let Mapping::Mirror(mirror) = &target.mapping {
        check_log(snapshot, mirror, (grown, block))?;
    }
    let afresh = has_short_region(target);
    let mut table = Table::clone(&snapshot.table);
    let last = table.targets.last_mut();
    last.into_iter().for_each(|last| last.length = grown);
    Ok(Change {
        table: without_sync_words(table, false),
        afresh,
        ..Change::default()
    })
}

/// The target that becomes longer.
fn last_target(snapshot: &Snapshot) -> Result<&Target> {
    let last = snapshot.table.targets.last();
    let name = &snapshot.info.name;
    last.ok_or_else(|| Error::invalid(format!("{name} has no table")))
}

/// The legs that its last target is on: of segments all of them.
fn last_legs(snapshot: &Snapshot) -> Vec<&Leg> {
    let last = snapshot.parts.last().map(|part| &part.legs);
    let numbers: Vec<usize> = last.into_iter().flatten().map(|leg| leg.number).collect();
    let legs = snapshot.legs.iter();
    legs.filter(|leg| numbers.contains(&leg.number)).collect()
}

/// Whether the last region is longer afterwards: the log keeps its bit, and would call
/// clean what no leg but the first has (`disk_resume`, drivers/md/dm-log.c).
fn has_short_region(target: &Target) -> bool {
    let region = match &target.mapping {
        Mapping::Mirror(mirror) => mirror.region(),
        _ => None,
    };
    region.is_some_and(|region| !target.length.is_multiple_of(region.max(1)))
}

/// The sector of the device at which a leg ends, which has a target that starts at
/// `start`: a leg of segments begins where the device does.
fn room(leg: &Leg, snapshot: &Snapshot, start: u64) -> Result<u64> {
    let facts = leg.facts.as_ref();
    let facts = facts.ok_or_else(|| {
        let sentence = format!("leg {} {}: its size is not known", leg.number, leg.node());
        Error::new(Errno::ENODEV, sentence)
    })?;
    let room = facts.size.saturating_sub(leg.offset) / SECTOR;
    let before = if snapshot.gaps.is_some() { 0 } else { start };
    Ok(room.saturating_add(before))
}

fn check_log(snapshot: &Snapshot, mirror: &Mirror, (length, block): (u64, u64)) -> Result<()> {
    let facts = snapshot.logs.last().and_then(|log| log.facts.as_ref());
    let (Some(facts), Some(regions)) = (facts, mirror.regions(length)) else {
        return Ok(());
    };
    let need = disklog::size_for(regions, block);
    if need.is_some_and(|need| need <= facts.size) {
        Ok(())
    } else {
        Err(Error::new(
            Errno::ENOSPC,
            format!(
                "the log {} is too small for {regions} regions: give the mirror a `table` with another log",
                facts.node.display()
            ),
        ))
    }
}

//! Changing what a mirror is made of while it is in use: cut over, go back, take a
//! leg out, bring one in, copy everything again. Each is a table to switch to, and
//! what has to be so for that.

use super::change::Change;
use super::leg_name;
use super::missing::{check_in_sync, check_nothing_bad};
use super::simple_request::region;
use super::steps::without_sync_words;
use crate::error::{Error, Result};
use crate::model::failure::{self, Switch};
use crate::model::snapshot::{Leg, SECTOR, Snapshot};
use crate::model::whole::joined;
use crate::text::linear::Linear;
use crate::text::mirror::{self, Features, Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// Legs that a mirror may have (drivers/md/dm-raid1.c, `mirror_ctr`).
const MOST: usize = 9;

/// Cut over to a leg of each mirror target; `lossy`: although some of the source could
/// not be read.
///
/// # Errors
/// EBUSY while anything is missing, has failed or was not tracked; EINVAL for a leg
/// that it does not have.
pub fn finish(snapshot: &Snapshot, leg: usize, lossy: bool) -> Result<Change> {
    check_idle(snapshot)?;
    if !snapshot.tracks_errors() {
        return Err(Error::busy(format!(
            "{} does not track errors (no handle_errors): what failed to copy counts as in sync",
            snapshot.info.name
        )));
    }
    check_nothing_bad(snapshot, lossy)?;
    check_in_sync(&snapshot.status)?;
    Ok(Change {
        table: alone(snapshot, leg)?,
        must_be_in_sync: true,
        equal: true,
        ..Change::default()
    })
}

/// Go back to the source alone.
///
/// # Errors
/// EBUSY where it has failed.
pub fn abort(snapshot: &Snapshot) -> Result<Change> {
    check_idle(snapshot)?;
    if let Some(leg) = first_legs(snapshot).find(|leg| leg.is_dead()) {
        return Err(Error::busy(format!(
            "the source {} has failed: nothing can go back to it",
            leg.node()
        )));
    }
    Ok(Change {
        table: alone(snapshot, 0)?,
        equal: true,
        ..Change::default()
    })
}

/// Take a leg out.
///
/// # Errors
/// EBUSY for the only whole copy, EINVAL for a leg that it does not have.
pub fn drop(snapshot: &Snapshot, leg: usize) -> Result<Change> {
    check_idle(snapshot)?;
    let Switch {
        table, was_in_sync, ..
    } = survivors(snapshot, leg)?;
    Ok(Change {
        table,
        equal: was_in_sync,
        ..Change::default()
    })
}

/// Bring a leg in: everything is copied to it, and to the others once more.
///
/// # Errors
/// EBUSY where a leg has failed, EINVAL where there are as many as can be.
pub fn add(snapshot: &Snapshot, new: mirror::Leg) -> Result<Change> {
    check_usable(snapshot)?;
    if let Some(leg) = snapshot.legs.iter().find(|leg| leg.is_dead()) {
        return Err(Error::busy(format!(
            "leg {} {} has failed: `drop {}` first",
            leg.number,
            leg.node(),
            leg.number
        )));
    }
    check_new(&new, snapshot.legs.iter())?;
    with(snapshot, failure::again(snapshot), &new)
}

/// A device that is linear on its source, as a mirror without another leg yet.
fn mirrored(target: &Target, linear: &Linear) -> Mirror {
    Mirror {
        log: Log::Core {
            region: region(target.length, false),
            sync: None,
        },
        legs: vec![mirror::Leg {
            device: linear.device.clone(),
            offset: linear.offset,
        }],
        features: Features {
            handle_errors: true,
            keep_log: false,
        },
    }
}

/// Put a leg in another one's place.
///
/// # Errors
/// As those of [`drop`] and [`add`].
pub fn replace(snapshot: &Snapshot, leg: usize, new: mirror::Leg) -> Result<Change> {
    check_idle(snapshot)?;
    // A disk that works again may replace itself.
    let stays = |other: &&Leg| {
        !snapshot
            .numbers_at(leg)
            .any(|number| number == other.number)
    };
    check_new(&new, snapshot.legs.iter().filter(stays))?;
    let Switch { table: left, .. } = survivors(snapshot, leg)?;
    let mut table = failure::again(snapshot);
    for target in &mut table.targets {
        if let Mapping::Mirror(mirror) = &mut target.mapping {
            mirror.legs = left_of(&left, target.start)?;
        }
    }
    with(snapshot, table, &new)
}

/// The legs that a table has for what begins at a sector.
fn left_of(table: &Table, start: u64) -> Result<Vec<mirror::Leg>> {
    let mut targets = table.targets.iter();
    let found = targets.find(|target| target.start <= start && start < target.end());
    match found.map(|target| (target, &target.mapping)) {
        Some((_, Mapping::Mirror(left))) => Ok(left.legs.clone()),
        Some((target, Mapping::Linear(Linear { device, offset }))) => Ok(vec![mirror::Leg {
            device: device.clone(),
            offset: offset.saturating_add(start - target.start),
        }]),
        _ => Err(Error::invalid("it has no legs")),
    }
}

/// Check that a new leg is none of these.
///
/// # Errors
/// EINVAL with the number of the leg that it is.
fn check_new<'a>(new: &mirror::Leg, mut legs: impl Iterator<Item = &'a Leg>) -> Result<()> {
    let path = new.device.path();
    let is_it = |leg: &&Leg| {
        let named = path.is_some_and(|path| leg_name::is_at(leg, path));
        leg.offset == new.offset.saturating_mul(SECTOR) && (named || leg.device == new.device)
    };
    match legs.find(is_it) {
        Some(leg) => {
            let (device, number) = (&new.device, leg.number);
            Err(Error::invalid(format!("{device} is leg {number} already")))
        }
        None => Ok(()),
    }
}

/// Copy everything again from the source.
///
/// # Errors
/// EBUSY where the source has failed.
pub fn resync(snapshot: &Snapshot) -> Result<Change> {
    check_idle(snapshot)?;
    if let Some(leg) = snapshot.legs.iter().find(|leg| leg.source && leg.is_dead()) {
        return Err(Error::busy(format!("the source {} has failed", leg.node())));
    }
    Ok(Change {
        table: without_sync_words(failure::again(snapshot), false),
        afresh: true,
        ..Change::default()
    })
}

pub(super) fn check_idle(snapshot: &Snapshot) -> Result<()> {
    if snapshot.parts.is_empty() {
        let name = &snapshot.info.name;
        let sentence = match snapshot.legs.first() {
            Some(leg) => format!(
                "{name} is linear on {}: `add DEVICE` mirrors it again, `remove` ends it",
                leg.path()
            ),
            None => format!("{name} has no mirror target"),
        };
        return Err(Error::invalid(sentence));
    }
    check_usable(snapshot)
}

fn check_usable(snapshot: &Snapshot) -> Result<()> {
    let name = &snapshot.info.name;
    if !snapshot.info.live {
        Err(Error::invalid(format!("{name} has no table")))
    } else if snapshot.info.suspended {
        Err(Error::busy(format!(
            "{name} is suspended: write `resume` first"
        )))
    } else {
        Ok(())
    }
}

/// The table with one leg of each mirror target in its place.
fn alone(snapshot: &Snapshot, leg: usize) -> Result<Table> {
    let mut table = alone_in(&snapshot.table, leg).ok_or_else(|| no_leg(snapshot, leg))?;
    let Some(leg) = snapshot.legs.get(leg).filter(|_| snapshot.gaps.is_some()) else {
        return Ok(table);
    };
    // What lies between the segments goes where they go.
    for target in &mut table.targets {
        target.mapping = Mapping::Linear(Linear {
            device: leg.device.clone(),
            offset: (leg.offset / SECTOR).saturating_add(target.start),
        });
    }
    Ok(joined(table))
}

/// The same of a table; none where a mirror target has no such leg.
pub fn alone_in(table: &Table, leg: usize) -> Option<Table> {
    let mut table = table.clone();
    for target in &mut table.targets {
        let Mapping::Mirror(mirror) = &target.mapping else {
            continue;
        };
        let chosen = mirror.legs.get(leg)?;
        target.mapping = Mapping::Linear(Linear {
            device: chosen.device.clone(),
            offset: chosen.offset,
        });
    }
    Some(table)
}

fn no_leg(snapshot: &Snapshot, leg: usize) -> Error {
    let (name, count) = (&snapshot.info.name, snapshot.legs.len());
    Error::invalid(format!(
        "{name} has no leg {leg}: it has {count}, from 0 on"
    ))
}

/// The first leg of each mirror target.
fn first_legs(snapshot: &Snapshot) -> impl Iterator<Item = &Leg> {
    let numbers = snapshot.numbers_at(0);
    numbers.filter_map(|number| snapshot.legs.get(number))
}

fn survivors(snapshot: &Snapshot, leg: usize) -> Result<Switch> {
    if !snapshot.parts.iter().all(|part| leg < part.legs.len()) {
        return Err(no_leg(snapshot, leg));
    }
    failure::without(snapshot, leg).map_err(Error::busy)
}

/// The table with one more leg for each mirror target, to which all is copied. Where
/// there is none, what is linear becomes one.
fn with(snapshot: &Snapshot, mut table: Table, new: &mirror::Leg) -> Result<Change> {
    let plain = snapshot.parts.is_empty();
    for target in &mut table.targets {
        let mut mirror = match &target.mapping {
            Mapping::Mirror(mirror) => mirror.clone(),
            Mapping::Linear(linear) if plain => mirrored(target, linear),
            _ if snapshot.gaps.is_some() => continue,
            mapping => {
                let (kind, start) = (mapping.kind(), target.start);
                let sentence = format!("the {kind} target at {start} has no legs: write a `table`");
                return Err(Error::invalid(sentence));
            }
        };
        if mirror.legs.len() >= MOST {
            return Err(Error::invalid(format!("a mirror has at most {MOST} legs")));
        }
        mirror.legs.push(mirror::Leg {
            device: new.device.clone(),
            offset: new.offset.saturating_add(target.start),
        });
        target.mapping = Mapping::Mirror(mirror);
    }
    Ok(Change {
        table: without_sync_words(table, false),
        afresh: true,
        ..Change::default()
    })
}

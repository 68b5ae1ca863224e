//! Changing what a mirror is made of while it is in use: cut over, go back, take a
//! leg out, bring one in, copy everything again. Each is a table to switch to, and
//! what has to be so for that.

use super::change::Change;
use super::leg_name;
use super::simple_request::region;
use super::steps::without_sync_words;
use crate::error::{Error, Result};
use crate::model::failure::{self, Switch};
use crate::model::snapshot::{Leg, SECTOR, Snapshot};
use crate::text::letter::Letter;
use crate::text::linear::Linear;
use crate::text::mirror::{self, Features, Log, Mirror};
use crate::text::status::MirrorStatus;
use crate::text::table::{Line, Mapping, Table, Target};

/// Legs that a mirror may have (drivers/md/dm-raid1.c, `mirror_ctr`).
const MOST: usize = 9;

/// Cut over to a leg of each mirror target.
///
/// # Errors
/// EBUSY while anything is missing, has failed or was not tracked; EINVAL for a leg
/// that it does not have.
pub fn finish(snapshot: &Snapshot, leg: usize) -> Result<Change> {
    check_idle(snapshot)?;
    if !snapshot.tracks_errors() {
        return Err(Error::busy(format!(
            "{} does not track errors (no handle_errors): what failed to copy counts as in sync",
            snapshot.info.name
        )));
    }
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
    let target = only_target(snapshot)?;
    let mirror = match &target.mapping {
        Mapping::Mirror(_) => again(snapshot)?,
        Mapping::Linear(linear) => Mirror {
            log: Log::Core {
                region: region(target.length),
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
        },
        Mapping::Other { kind, .. } => {
            return Err(Error::invalid(format!("a {kind} target has no legs")));
        }
    };
    with(target, mirror, new)
}

/// Put a leg in another one's place.
///
/// # Errors
/// As those of [`drop`] and [`add`].
pub fn replace(snapshot: &Snapshot, leg: usize, new: mirror::Leg) -> Result<Change> {
    check_idle(snapshot)?;
    // A disk that works again may replace itself.
    check_new(
        &new,
        snapshot.legs.iter().filter(|other| other.number != leg),
    )?;
    let target = only_target(snapshot)?;
    let Switch { table, .. } = survivors(snapshot, leg)?;
    let left = table.targets.first().map(|target| target.mapping.clone());
    let mut mirror = again(snapshot)?;
    mirror.legs = match left {
        Some(Mapping::Mirror(left)) => left.legs,
        Some(Mapping::Linear(Linear { device, offset })) => vec![mirror::Leg { device, offset }],
        _ => return Err(Error::invalid("it has no legs")),
    };
    with(target, mirror, new)
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

/// Check that every mirror target is in sync and has no error.
///
/// # Errors
/// EBUSY with what is missing.
pub fn check_in_sync(status: &[Line]) -> Result<()> {
    let mirrors = status.iter().filter(|line| line.kind == "mirror");
    for line in mirrors {
        let status = MirrorStatus::parse(&line.params)?;
        if status.in_sync != status.total {
            return Err(Error::busy(format!(
                "not in sync: {} of {} regions are; `cat follow` waits for the rest",
                status.in_sync, status.total
            )));
        }
        if let Some(leg) = status
            .health
            .iter()
            .position(|letter| *letter != Letter::Alive)
        {
            let letter = status.health.get(leg).copied().unwrap_or(Letter::Unknown);
            return Err(Error::busy(format!("leg {leg} has an error ({letter})")));
        }
    }
    Ok(())
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
    alone_in(&snapshot.table, leg).ok_or_else(|| no_leg(snapshot, leg))
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
    let starts = snapshot.parts.iter().scan(0, |next, part| {
        let start = *next;
        *next += part.leg_count();
        Some(start)
    });
    starts.filter_map(|start| snapshot.legs.get(start))
}

fn survivors(snapshot: &Snapshot, leg: usize) -> Result<Switch> {
    only_target(snapshot)?;
    if leg >= snapshot.legs.len() {
        return Err(no_leg(snapshot, leg));
    }
    failure::without(snapshot, leg).map_err(Error::busy)
}

pub(super) fn only_target(snapshot: &Snapshot) -> Result<&Target> {
    match snapshot.table.targets.as_slice() {
        [target] => Ok(target),
        targets => Err(Error::invalid(format!(
            "{} has {} targets: write its `table`",
            snapshot.info.name,
            targets.len()
        ))),
    }
}

/// The mirror with its best leg first.
fn again(snapshot: &Snapshot) -> Result<Mirror> {
    let table = failure::again(snapshot);
    let mirror = table.mirrors().next().map(|(_, mirror)| mirror.clone());
    mirror.ok_or_else(|| Error::invalid("it has no mirror target"))
}

/// The target with one more leg, to which all is copied.
fn with(target: &Target, mut mirror: Mirror, new: mirror::Leg) -> Result<Change> {
    if mirror.legs.len() >= MOST {
        return Err(Error::invalid(format!("a mirror has at most {MOST} legs")));
    }
    mirror.legs.push(new);
    let target = Target {
        mapping: Mapping::Mirror(mirror),
        ..target.clone()
    };
    Ok(Change {
        table: copied_anew(target),
        afresh: true,
        ..Change::default()
    })
}

/// A table of this target alone, without a word that declares legs equal.
pub(super) fn copied_anew(target: Target) -> Table {
    let targets = vec![target];
    without_sync_words(Table { targets }, false)
}

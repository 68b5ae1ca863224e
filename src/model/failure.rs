//! A leg or the log has failed: which table goes on, or why none may. Pure.
//!
//! With `handle_errors` the kernel holds every write that a leg did not take, so
//! that what was acknowledged is on all legs of a region that was in sync; in one
//! that never was, on leg 0 alone (drivers/md/dm-raid1.c, `do_writes`). A read or
//! sync error holds nothing.

use super::snapshot::{Leg, LogView, Part, Snapshot};
use super::whole::joined;
use crate::text::letter::Letter;
use crate::text::linear::Linear;
use crate::text::mirror::{self, Log, Mirror, Sync};
use crate::text::table::{Mapping, Table, Target};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing holds writes.
    Healthy,
    /// Go on with what is left.
    Switch(Switch),
    /// Writes wait, and no table is safe: why.
    Hold(String),
}

/// A table that goes on without what has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The table without what has failed.
    pub table: Table,
    /// The legs that it no longer has.
    pub legs: Vec<usize>,
    /// Whether a failed log was replaced by one in memory.
    pub log: bool,
    /// Whether all that is left holds all that was acknowledged.
    pub was_in_sync: bool,
}

/// What errors do that take no leg out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurt {
    /// Nothing.
    None,
    /// Writes to regions that are not in sync are held (`do_writes`).
    Targets,
    /// Reads of such regions fail too (`do_reads`).
    Source,
}

/// What sync and read errors do to a mirror: until all is in sync, any leg's error
/// counts for every region that is not.
pub fn hurt(snapshot: &Snapshot) -> Hurt {
    let parts = snapshot.parts.iter();
    let hurt = parts.filter(|part| part.status.is_some() && !part.is_in_sync());
    let hurt = hurt.filter(|part| part.tracks_errors());
    let legs: Vec<&Leg> = hurt.flat_map(|part| &part.legs).collect();
    let has = |leg: &&Leg| leg.letter != Letter::Alive;
    if legs.iter().any(|leg| leg.source && has(leg)) {
        Hurt::Source
    } else if legs.iter().any(has) {
        Hurt::Targets
    } else {
        Hurt::None
    }
}

/// A mirror target with its legs and log as they are now.
struct View<'a> {
    part: &'a Part,
    legs: Vec<&'a Leg>,
    log: &'a LogView,
}

/// What is to be done about a mirror.
pub fn assess(snapshot: &Snapshot) -> Verdict {
    let views = views(snapshot);
    if !views.iter().any(holds_writes) {
        return Verdict::Healthy;
    }
    match survive(snapshot, &views, snapshot.was_in_sync, &Leg::is_dead) {
        Ok(switch) => Verdict::Switch(switch),
        Err(reason) => Verdict::Hold(reason),
    }
}

/// What is left of a mirror without one of its legs, and without those that have
/// failed.
///
/// # Errors
/// Why that cannot be.
pub fn without(snapshot: &Snapshot, number: usize) -> Result<Switch, String> {
    // Without `handle_errors` what failed to copy counts as in sync.
    let was_in_sync = snapshot.was_in_sync && snapshot.tracks_errors();
    let chosen: Vec<usize> = snapshot.numbers_at(number).collect();
    let gone = |leg: &Leg| chosen.contains(&leg.number) || leg.is_dead();
    if number == 0 && !snapshot.on_leg_0().is_empty() {
        return Err("some of it is on leg 0 alone: look at `map`".into());
    }
    survive(snapshot, &views(snapshot), was_in_sync, &gone)
}

fn survive(
    snapshot: &Snapshot,
    views: &[View<'_>],
    was_in_sync: bool,
    gone: &dyn Fn(&Leg) -> bool,
) -> Result<Switch, String> {
    let mut switch = Switch {
        table: Table::default(),
        legs: Vec::new(),
        log: false,
        was_in_sync,
    };
    let mut views = views.iter();
    for target in &snapshot.table.targets {
        let mapping = match &target.mapping {
            Mapping::Mirror(_) => match views.next() {
                Some(view) => survive_part(view, &mut switch, gone)?,
                None => target.mapping.clone(),
            },
            other => other.clone(),
        };
        switch.table.targets.push(Target {
            mapping,
            ..target.clone()
        });
    }
    if snapshot.gaps.is_some() {
        switch.table = joined(switch.table);
    }
    Ok(switch)
}

fn views(snapshot: &Snapshot) -> Vec<View<'_>> {
    let parts = snapshot.parts.iter().zip(&snapshot.logs);
    let view = |(part, log)| View {
        part,
        legs: legs_of(snapshot, part),
        log,
    };
    parts.map(view).collect()
}

/// The legs of a part, each as bad as it is in the worst segment.
fn legs_of<'a>(snapshot: &'a Snapshot, part: &Part) -> Vec<&'a Leg> {
    let legs = part.legs.iter();
    legs.filter_map(|leg| snapshot.legs.get(leg.number))
        .collect()
}

/// Without a status nothing is known, and without `handle_errors` nothing held. Nor by
/// a leg that did not answer when it was tried, as long as the kernel has met no error
/// on it.
fn holds_writes(view: &View<'_>) -> bool {
    let dead = |leg: &&Leg| leg.is_dead() && leg.letter != Letter::Alive;
    let dead = view.legs.iter().any(dead) || view.log.letter != Letter::Alive;
    dead && view.part.status.is_some() && view.part.tracks_errors()
}

/// The target without what has failed, or why there is none.
fn survive_part(
    view: &View<'_>,
    switch: &mut Switch,
    gone: &dyn Fn(&Leg) -> bool,
) -> Result<Mapping, String> {
    let Some(mirror) = &view.part.mirror else {
        return Err("its target type is unknown".into());
    };
    if mirror.features.keep_log {
        return Err("keep_log: the leg with the newest data is unknown".into());
    }
    if matches!(mirror.log, Log::Userspace { .. }) {
        return Err("its log is kept by a daemon that other machines may share".into());
    }
    let order = order(view, switch.was_in_sync, gone)?;
    let dead = view.legs.iter().filter(|leg| gone(leg));
    switch.legs.extend(dead.map(|leg| leg.number));
    switch.legs.sort_unstable();
    switch.legs.dedup();
    switch.log |= view.log.letter != Letter::Alive;
    let equal = switch.was_in_sync
        && order
            .iter()
            .all(|(_, leg)| leg.letter != Letter::SyncFailed);
    switch.was_in_sync &= equal || order.len() == 1;
    let legs: Vec<mirror::Leg> = order
        .iter()
        .filter_map(|(number, _)| mirror.legs.get(*number).cloned())
        .collect();
    Ok(match legs.as_slice() {
        [last] => Mapping::Linear(Linear {
            device: last.device.clone(),
            offset: last.offset,
        }),
        _ => Mapping::Mirror(Mirror {
            log: log(&mirror.log, view.log.letter == Letter::Alive, equal),
            legs,
            features: mirror.features,
        }),
    })
}

/// The same table with the best leg first and no sync word that would be believed:
/// a disk log says what is left to copy, and without one all is copied.
pub fn again(snapshot: &Snapshot) -> Table {
    let mut table = Table::clone(&snapshot.table);
    let mirrors = table.targets.iter_mut();
    let mirrors = mirrors.filter_map(|target| match &mut target.mapping {
        Mapping::Mirror(mirror) => Some(mirror),
        _ => None,
    });
    for (mirror, view) in mirrors.zip(views(snapshot)) {
        let mut legs: Vec<(usize, &&Leg)> = view.legs.iter().enumerate().collect();
        legs.sort_by_key(|(number, leg)| rank(*number, leg, snapshot.was_in_sync));
        let order = legs.iter().map(|(number, _)| *number);
        mirror.legs = order
            .filter_map(|number| mirror.legs.get(number).cloned())
            .collect();
        let healthy = view.legs.iter().all(|leg| leg.letter == Letter::Alive);
        match &mut mirror.log {
            Log::Core { .. } if healthy && snapshot.was_in_sync => {}
            Log::Core { sync, .. } | Log::Disk { sync, .. } => *sync = None,
            Log::Userspace { .. } => {}
        }
    }
    table
}

/// The legs that are left, the best one first: a new table copies from it.
fn order<'a>(
    view: &View<'a>,
    was_in_sync: bool,
    gone: &dyn Fn(&Leg) -> bool,
) -> Result<Vec<(usize, &'a Leg)>, String> {
    let legs = view.legs.iter().copied().enumerate();
    let mut left: Vec<(usize, &Leg)> = legs.filter(|(_, leg)| !gone(leg)).collect();
    if left.is_empty() {
        return Err("all legs have failed".into());
    }
    if !was_in_sync && let Some(first) = view.legs.first().filter(|leg| gone(leg)) {
        let (number, node) = (first.number, first.node());
        let since = if first.is_dead() {
            " when it failed"
        } else {
            ""
        };
        return Err(format!(
            "leg {number} {node} is the only whole copy: the others were not in sync{since}"
        ));
    }
    left.sort_by_key(|(number, leg)| rank(*number, leg, was_in_sync));
    Ok(left)
}

/// The lower, the better: until all is in sync, only the first leg has everything.
fn rank(number: usize, leg: &Leg, was_in_sync: bool) -> u8 {
    match leg.letter {
        _ if !was_in_sync && number == 0 => 0,
        _ if leg.is_dead() => 4,
        Letter::Alive => 1,
        Letter::ReadFailed => 2,
        _ => 3,
    }
}

/// A disk log that works knows what is left to copy. Where all that is left is
/// equal, a sync word says so: until it were copied again, what is written to a
/// region that is not in sync would be on the first leg alone.
fn log(old: &Log, works: bool, equal: bool) -> Log {
    let sync = equal.then_some(Sync::NoSync);
    match old {
        Log::Disk { device, region, .. } if works => Log::Disk {
            device: device.clone(),
            region: *region,
            sync,
        },
        Log::Disk { region, .. } | Log::Core { region, .. } => Log::Core {
            region: *region,
            sync,
        },
        Log::Userspace { .. } => old.clone(),
    }
}

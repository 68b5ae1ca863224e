//! The health of a mirror: one word, and the lines that explain it.

use std::time::Duration;

use super::check::Check;
use super::failure::{Hurt, Switch, Verdict, assess, hurt};
use super::policy::OnFailure;
use super::progress::{Progress, SyncState};
use super::snapshot::{Away, Leg, Owner, SECTOR, Snapshot};
use super::spots::{outside, sectors};
use crate::error::one_line;
use crate::text::letter::Letter;

/// A verb that has run this long is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

/// A read that has taken this long is that of a disk which tries again by itself.
pub const SLOW_READ: Duration = Duration::from_secs(2);

/// The words of the interface, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In sync, all legs and the log healthy.
    Ok,
    /// Cut over or aborted: linear, nothing left to mirror.
    Finished,
    /// No table yet.
    Empty,
    /// Copying.
    Syncing,
    /// I/O is held on purpose.
    Suspended,
    /// A leg has failed, or regions could not be copied.
    Degraded,
    /// Nothing can serve: all legs, the source before the end, or the log.
    Failed,
}

impl State {
    /// All of them, best first.
    pub const ALL: [State; 7] = [
        State::Ok,
        State::Finished,
        State::Empty,
        State::Syncing,
        State::Suspended,
        State::Degraded,
        State::Failed,
    ];

    /// The word of the interface.
    pub fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Finished => "finished",
            State::Empty => "empty",
            State::Syncing => "syncing",
            State::Suspended => "suspended",
            State::Degraded => "degraded",
            State::Failed => "failed",
        }
    }

    /// The state of a snapshot.
    pub fn of(snapshot: &Snapshot) -> State {
        if let Some(away) = &snapshot.known.absent {
            if away.starting {
                State::Empty
            } else {
                State::Failed
            }
        } else if !snapshot.info.live {
            State::Empty
        } else if snapshot.info.suspended {
            State::Suspended
        } else if has_failed(snapshot) {
            State::Failed
        } else if is_degraded(snapshot) {
            State::Degraded
        } else if snapshot.parts.is_empty() {
            State::Finished
        } else {
            match Progress::of(snapshot).state {
                SyncState::InSync | SyncState::None => State::Ok,
                SyncState::Syncing => State::Syncing,
                SyncState::Stopped if snapshot.is_paused() => State::Syncing,
                SyncState::Stopped => State::Degraded,
            }
        }
    }
}

/// Until all is in sync the source is the only whole copy; then the last leg is.
fn has_failed(snapshot: &Snapshot) -> bool {
    if snapshot.parts.is_empty() {
        return false;
    }
    let source_dead = snapshot.legs.iter().any(|leg| leg.source && leg.is_dead());
    let all_dead = snapshot.legs.iter().all(|leg| leg.is_dead());
    let log_dead = snapshot.logs.iter().any(|log| log.letter != Letter::Alive);
    log_dead || all_dead || (source_dead && !snapshot.was_in_sync)
}

fn is_degraded(snapshot: &Snapshot) -> bool {
    let hurt = |leg: &Leg| leg.letter != Letter::Alive || leg.unresponsive || leg.gone;
    let settings = &snapshot.known.settings;
    !settings.dropped.is_empty()
        || snapshot.legs.iter().any(hurt)
        || !snapshot.bad.is_empty()
        || !snapshot.aside().is_empty()
}

/// The text of the file `health`.
pub fn text(snapshot: &Snapshot) -> String {
    let mut lines = vec![State::of(snapshot).word().to_string()];
    // Of what is not there no letter is known.
    let there = snapshot.known.absent.is_none();
    lines.extend(snapshot.legs.iter().filter(|_| there).map(|leg| {
        let words = if snapshot.parts.is_empty() {
            "linear, errors are not tracked"
        } else {
            leg.letter.leg_words()
        };
        let (number, node, letter) = (leg.number, leg.node(), leg.letter);
        format!("leg {number} {node} {letter} {words}{}", plight(leg))
    }));
    lines.extend(snapshot.logs.iter().filter(|_| there).map(|log| {
        let words = log.letter.log_words();
        let late = log.late.map_or_else(String::new, unanswered);
        format!(
            "log {} {} {} {words}{late}",
            log.kind,
            log.node(),
            log.letter
        )
    }));
    lines.extend(bad(snapshot));
    let dropped = snapshot.known.settings.dropped.iter();
    lines.extend(dropped.map(|what| format!("{}, dropped", what.line())));
    lines.extend(
        warnings(snapshot)
            .iter()
            .map(|text| format!("warning {text}")),
    );
    let lines = lines.iter().map(|line| one_line(line) + "\n");
    lines.collect()
}

/// What of the source could not be read.
fn bad(snapshot: &Snapshot) -> Option<String> {
    let bytes = sectors(&snapshot.bad).saturating_mul(SECTOR);
    let spots = snapshot.bad.len();
    (spots > 0).then(|| format!("bad {bytes} bytes in {spots} spots"))
}

/// What is known of a leg that the kernel does not know.
fn plight(leg: &Leg) -> String {
    if leg.gone {
        " is gone".into()
    } else if leg.unresponsive {
        ", does not answer".into()
    } else if let Some(slow) = leg.slow.filter(|slow| *slow >= SLOW_READ) {
        format!(", slow, a read has taken {} s", slow.as_secs())
    } else {
        leg.late.map_or_else(String::new, unanswered)
    }
}

/// What is known of a file whose file system does not answer.
fn unanswered(since: Duration) -> String {
    let seconds = since.as_secs();
    format!(", unknown: its file system has not answered for {seconds} s")
}

/// What a person should know beside the letters.
pub fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(away) = &snapshot.known.absent {
        let Away { reason, remedy, .. } = away;
        warnings.push(if away.starting {
            format!("not started yet: {reason}")
        } else {
            format!("not started: {reason}; {remedy}")
        });
    }
    warnings.extend(snapshot.known.notes.iter().cloned());
    if !snapshot.parts.is_empty() && !snapshot.tracks_errors() {
        warnings.push(
            "errors are not tracked (no handle_errors): regions that failed to copy \
             are counted as in sync"
                .into(),
        );
    }
    let beside = snapshot.beside.iter();
    warnings.extend(beside.map(|other| format!("{other}: its writes bypass the mirror")));
    warnings.extend(held(snapshot));
    warnings.extend(set_aside(snapshot));
    warnings.extend(alone(snapshot));
    warnings.extend(paused(snapshot));
    warnings.extend(differs(snapshot));
    if snapshot.info.deferred {
        warnings.push("the device is removed at its last close".into());
    }
    if let Some(running) = snapshot.known.running.as_ref().filter(|r| r.since >= SLOW) {
        let seconds = running.since.as_secs();
        warnings.push(format!(
            "`{}` has been running for {seconds} s",
            running.verb
        ));
    }
    warnings
}

/// What was set aside and not tried, or not all of it.
fn set_aside(snapshot: &Snapshot) -> Option<String> {
    let aside = sectors(&snapshot.aside()).saturating_mul(SECTOR);
    let what = format!("{aside} bytes around what could not be copied are on leg 0 alone");
    let when = if snapshot.leaves_aside() {
        "tries them before all else is copied"
    } else {
        "tries them again"
    };
    (aside > 0).then(|| format!("{what}: `retry` {when}"))
}

/// What is under no mirror target for another reason: somebody's table has it so.
fn alone(snapshot: &Snapshot) -> Option<String> {
    let others = outside(&snapshot.uncopied(), &snapshot.aside());
    let bytes = sectors(&outside(&others, &snapshot.ahead())).saturating_mul(SECTOR);
    (bytes > 0).then(|| format!("{bytes} bytes are on leg 0 alone: `retry` mirrors them"))
}

/// That nothing is copied because somebody has said so.
fn paused(snapshot: &Snapshot) -> Option<String> {
    let waits = snapshot.is_paused() && !snapshot.ahead().is_empty();
    waits.then(|| "copying is paused: sync/limit is 0".into())
}

/// What the last check has found, as long as there are legs that can be made equal.
fn differs(snapshot: &Snapshot) -> Vec<String> {
    let check = snapshot.check().filter(|_| !snapshot.parts.is_empty());
    let found = |check: &Check| {
        let (differs, lost) = (&check.differs, &check.unreadable);
        let differs = (!differs.is_empty()).then(|| {
            let (bytes, places) = (differs.bytes(), differs.len());
            format!(
                "{bytes} bytes differ between the legs in {places} places: look at `check`, \
                 `repair` copies them from the source"
            )
        });
        let lost = (!lost.is_empty()).then(|| {
            let bytes = lost.bytes();
            format!(
                "{bytes} bytes of a leg cannot be read: look at `check`, `repair` writes them anew"
            )
        });
        differs.into_iter().chain(lost).collect()
    };
    check.map_or_else(Vec::new, found)
}

/// Why writes are held, where they are.
fn held(snapshot: &Snapshot) -> Option<String> {
    let name = &snapshot.info.name;
    if !snapshot.known.holds_writes {
        return None;
    }
    match assess(snapshot) {
        Verdict::Healthy => hurting(snapshot),
        Verdict::Hold(reason) => Some(format!("writes are held: {reason}")),
        Verdict::Switch(_) if snapshot.owner() == Owner::Lvm => {
            Some("writes are held until LVM repairs it: lvconvert --repair".into())
        }
        Verdict::Switch(switch) if snapshot.known.settings.on_failure == OnFailure::Drop => {
            let what = left_out(&switch);
            let pending_failure = snapshot.known.pending_failure.as_ref();
            let pending_failure = pending_failure.filter(|reason| !reason.is_empty());
            let why = pending_failure.map_or_else(String::new, |reason| format!(": {reason}"));
            Some(format!("writes are held until {what} is removed{why}"))
        }
        Verdict::Switch(switch) => Some(format!(
            "writes are held (on_failure): `echo drop > {name}/on_failure` continues without {}",
            left_out(&switch)
        )),
    }
}

fn hurting(snapshot: &Snapshot) -> Option<String> {
    let words = match hurt(snapshot) {
        Hurt::None => return None,
        Hurt::Targets => "writes to regions not in sync may be held for seconds",
        Hurt::Source => {
            "in regions not in sync reads fail and writes are held: write `retry` to ctl after the repair"
        }
    };
    Some(format!("a leg has errors: {words}"))
}

/// What a table no longer has, as a sentence names it.
pub fn left_out(switch: &Switch) -> String {
    let mut parts: Vec<String> = switch
        .legs
        .iter()
        .map(|number| format!("leg {number}"))
        .collect();
    parts.extend(switch.log.then(|| "the log".into()));
    parts.join(" and ")
}

//! The health of a mirror: one word, and the lines that explain it.

use std::time::Duration;

use super::progress::{Progress, SyncState};
use super::snapshot::Snapshot;
use crate::text::status::{leg_words, log_words};

/// A verb that has run this long is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

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
        match () {
            () if snapshot.known.absent.is_some() => State::Failed,
            () if !snapshot.info.live => State::Empty,
            () if snapshot.info.suspended => State::Suspended,
            () if snapshot.parts.is_empty() => State::Finished,
            () if has_failed(snapshot) => State::Failed,
            () if is_degraded(snapshot) => State::Degraded,
            () => match Progress::of(snapshot).state {
                SyncState::InSync | SyncState::None => State::Ok,
                SyncState::Syncing => State::Syncing,
                SyncState::Stopped => State::Degraded,
            },
        }
    }
}

/// Letters after which a leg no longer takes writes (drivers/md/dm-raid1.c,
/// `enum dm_raid1_error`): a sync or read error leaves it in use.
fn is_dead(letter: char) -> bool {
    !matches!(letter, 'A' | 'S' | 'R')
}

/// Until all is in sync the source is the only whole copy; then the last leg is.
fn has_failed(snapshot: &Snapshot) -> bool {
    let source_dead = snapshot
        .legs
        .iter()
        .any(|leg| leg.source && is_dead(leg.letter));
    let all_dead = snapshot.legs.iter().all(|leg| is_dead(leg.letter));
    let log_dead = snapshot.logs.iter().any(|log| log.letter != 'A');
    log_dead || all_dead || (source_dead && !snapshot.whole)
}

fn is_degraded(snapshot: &Snapshot) -> bool {
    snapshot.legs.iter().any(|leg| leg.letter != 'A')
}

/// The text of the file `health`.
pub fn text(snapshot: &Snapshot) -> String {
    let mut lines = vec![State::of(snapshot).word().to_string()];
    // Of what is not there no letter is known.
    let there = snapshot.known.absent.is_none();
    lines.extend(snapshot.legs.iter().filter(|_| there).map(|leg| {
        let words = leg_words(leg.letter);
        format!("leg {} {} {} {words}", leg.number, leg.node(), leg.letter)
    }));
    lines.extend(snapshot.logs.iter().filter(|_| there).map(|log| {
        let words = log_words(log.letter);
        format!("log {} {} {} {words}", log.kind, log.node(), log.letter)
    }));
    lines.extend(
        warnings(snapshot)
            .iter()
            .map(|text| format!("warning {text}")),
    );
    lines.join("\n") + "\n"
}

/// What a person should know beside the letters.
pub fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(reason) = &snapshot.known.absent {
        warnings.push(format!(
            "not started: {reason}; write `resume` to ctl to try again, `remove` to forget it"
        ));
    }
    warnings.extend(snapshot.known.notes.iter().cloned());
    if !snapshot.parts.is_empty() && !snapshot.tracks_errors() {
        warnings.push(
            "errors are not tracked (no handle_errors): regions that failed to copy \
             are counted as in sync"
                .into(),
        );
    }
    if snapshot.info.deferred {
        warnings.push("the device is removed when its last user closes it".into());
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

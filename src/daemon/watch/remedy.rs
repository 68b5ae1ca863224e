//! What is to be done about a mirror on which something failed, decided without doing it.

use std::time::{Duration, Instant};

use crate::daemon::mirrors::entry::Entry;
use crate::model::failure::{Hurt, Verdict, assess, hurt};
use crate::model::policy::OnFailure;
use crate::model::snapshot::{Leg, Owner, Snapshot};
use crate::plan::steps;
use crate::text::letter::Letter;

/// Between two attempts, where one failed.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// For how long nothing may have happened before a sync word is taken out: until
/// its regions are in sync again, what is written is on one leg alone.
const CALM: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing, or somebody is at it.
    Nothing,
    /// Look once more, after a while.
    LookAgain(Duration),
    /// Resume what a failed step has left suspended.
    Free,
    /// See which legs answer.
    Listen,
    /// See whether writes are held by a target's errors, and let them go.
    ReleaseIfStuck,
    /// Let writes go that were held by what works again.
    Requeue,
    /// Take the sync word out of the table.
    LoseWord,
    /// Go on without what failed.
    GoOnWithout,
    /// Say that writes wait for the administrator.
    TellHeld,
}

/// Decide; `carries_io`: whether writes can wait on mirrors of this engine at all.
pub(super) fn remedy(entry: &Entry, snapshot: &Snapshot, carries_io: bool) -> Remedy {
    let works = entry.pending_failure.as_ref().is_some_and(|t| t.working);
    if snapshot.owner() == Owner::Lvm || works || entry.switching.is_some() {
        return Remedy::Nothing;
    }
    if snapshot.info.suspended {
        let free = entry.left_suspended && !is_early(entry);
        return if free { Remedy::Free } else { Remedy::Nothing };
    }
    if !carries_io {
        return Remedy::Nothing;
    }
    match assess(snapshot) {
        Verdict::Healthy => match of_healthy(entry, snapshot) {
            // Nobody's writes wait for these: a verb goes first, and looks by itself.
            Remedy::Listen | Remedy::LoseWord if entry.running.is_some() => Remedy::Nothing,
            remedy => remedy,
        },
        Verdict::Hold(_) => Remedy::TellHeld,
        Verdict::Switch(_) if snapshot.known.settings.on_failure == OnFailure::Hold => {
            Remedy::TellHeld
        }
        Verdict::Switch(_) if is_early(entry) && entry.pending_failure.is_some() => Remedy::Nothing,
        Verdict::Switch(_) => Remedy::GoOnWithout,
    }
}

/// The same, where no leg has to go.
fn of_healthy(entry: &Entry, snapshot: &Snapshot) -> Remedy {
    let asleep = |leg: &Leg| leg.unresponsive && leg.letter == Letter::Alive;
    let asleep = snapshot.legs.iter().any(asleep);
    match hurt(snapshot) {
        // It may be back.
        Hurt::None if asleep && entry.due.is_none() => Remedy::LookAgain(AGAIN),
        Hurt::None if asleep && entry.listening => Remedy::Nothing,
        Hurt::None if asleep && !is_early(entry) => Remedy::Listen,
        Hurt::Targets | Hurt::Source if !entry.has_listened(snapshot) && !entry.listening => {
            Remedy::Listen
        }
        Hurt::Targets if is_early(entry) => Remedy::Nothing,
        Hurt::Targets if snapshot.known.settings.on_failure == OnFailure::Drop => {
            Remedy::ReleaseIfStuck
        }
        Hurt::Targets | Hurt::Source => Remedy::Nothing,
        // What was held is let go by a resume alone.
        Hurt::None if is_early(entry) => Remedy::Nothing,
        Hurt::None if entry.pending_failure.is_some() => Remedy::Requeue,
        Hurt::None if !steps::has_word_to_lose(snapshot) => Remedy::Nothing,
        Hurt::None if entry.due.is_none() => Remedy::LookAgain(CALM),
        Hurt::None => Remedy::LoseWord,
    }
}

/// Whether it is to be looked at again, but not yet.
pub(super) fn is_early(entry: &Entry) -> bool {
    entry.due.is_some_and(|due| due > Instant::now())
}

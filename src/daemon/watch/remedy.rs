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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::mirrors::entry::PendingFailure;
    use crate::daemon::mirrors::registry::Registry;
    use crate::model::snapshot::{Known, Unresponsive};
    use crate::model::tests::snapshot;

    /// What is to be done about a mirror of two legs with these letters, with a verb or a
    /// switch under way.
    fn of(status: &str, verb: bool, switch: bool, change: fn(&mut Entry)) -> Remedy {
        let known = Known {
            in_sync_life: Some(1),
            holds_writes: true,
            ..Known::default()
        };
        let snapshot = snapshot("core 1 8", 2, status, known);
        let registry = Registry::default();
        let mirror_id = registry.note(&snapshot.info);
        let _verb = verb.then(|| registry.begin(mirror_id, "table"));
        let _switch = switch.then(|| registry.exclude(mirror_id, Some("retry")));
        registry.update(mirror_id, change);
        remedy(&registry.get(mirror_id).expect("an entry"), &snapshot, true)
    }

    #[test]
    fn what_failed_goes_first_and_one_at_a_time() {
        let nothing = |_: &mut Entry| {};
        assert_eq!(of("8/8 AD", false, false, nothing), Remedy::GoOnWithout);
        assert_eq!(of("8/8 AD", true, false, nothing), Remedy::GoOnWithout);
        assert_eq!(of("8/8 AD", false, true, nothing), Remedy::Nothing);
        let working = |entry: &mut Entry| {
            entry.pending_failure = Some(PendingFailure {
                working: true,
                ..PendingFailure::default()
            });
        };
        assert_eq!(of("8/8 AD", false, false, working), Remedy::Nothing);
    }

    #[test]
    fn a_look_holds_up_nothing_and_is_left_to_a_verb() {
        let nothing = |_: &mut Entry| {};
        let listens = |entry: &mut Entry| entry.listening = true;
        assert_eq!(of("4/8 AS", false, false, nothing), Remedy::Listen);
        assert_eq!(of("4/8 AS", true, false, nothing), Remedy::Nothing);
        assert_eq!(of("4/8 AS", false, false, listens), Remedy::ReleaseIfStuck);
        assert_eq!(of("8/8 AD", false, false, listens), Remedy::GoOnWithout);
        let heard = |entry: &mut Entry| {
            let life = Some(1);
            let legs = Vec::new();
            entry.unresponsive = (
                Unresponsive { legs, life },
                vec![Letter::Alive, Letter::SyncFailed],
            );
        };
        assert_eq!(of("4/8 AS", true, false, heard), Remedy::ReleaseIfStuck);
    }
}

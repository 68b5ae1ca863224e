//! What is to be done about a mirror on which something failed, decided without doing it.

use std::time::{Duration, Instant};

use crate::daemon::mirrors::entry::Entry;
use crate::model::failure::{Hurt, Verdict, assess, hurt};
use crate::model::policy::OnFailure;
use crate::model::snapshot::{Leg, Owner, Snapshot};
use crate::model::spots::{common, outside};
use crate::plan::pace::{Pace, pace};
use crate::plan::steps;
use crate::text::letter::Letter;

/// Between two attempts, where one failed.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// How often a copy with its log in memory may begin anew because of an error of the source
/// for which no bad spot was found.
const SPOTLESS: u32 = 6;

/// For how long nothing may have happened before what was set aside is read, and before a
/// sync word is taken out: until its regions are in sync again, what is written is on one
/// leg alone.
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
    /// Leave what cannot be read to the source alone.
    SetAside,
    /// Find what is bad of what was set aside.
    Narrow,
    /// Let writes go that were held by what works again.
    Requeue,
    /// Take the sync word out of the table.
    LoseWord,
    /// See whether the front of the copy is to move, after a while.
    StepIn(Duration),
    /// Move the front of the copy.
    Move(Pace),
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
    let remedy = of_running(entry, snapshot);
    // Where nobody writes, nothing waits, and only what is to be copied counts.
    match remedy {
        _ if carries_io => remedy,
        Remedy::SetAside if hurt(snapshot) != Hurt::Source => Remedy::Nothing,
        Remedy::SetAside | Remedy::Narrow | Remedy::StepIn(_) | Remedy::Move(_) => remedy,
        Remedy::LookAgain(_) if is_to_narrow(entry, snapshot) => remedy,
        _ => Remedy::Nothing,
    }
}

/// The same of one that nobody has suspended.
fn of_running(entry: &Entry, snapshot: &Snapshot) -> Remedy {
    match assess(snapshot) {
        Verdict::Healthy => match of_healthy(entry, snapshot) {
            // Nobody's writes wait for these: a verb goes first, and looks by itself.
            Remedy::Listen | Remedy::LoseWord | Remedy::Narrow | Remedy::Move(_)
                if entry.running.is_some() =>
            {
                Remedy::Nothing
            }
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
        Hurt::Source if is_source_bad(snapshot) && may_set_aside(entry, snapshot) => {
            if entry.spotless > 0 && is_early(entry) {
                Remedy::Nothing
            } else {
                Remedy::SetAside
            }
        }
        Hurt::Targets | Hurt::Source if !entry.has_listened(snapshot) && !entry.listening => {
            Remedy::Listen
        }
        // A look that found nothing is not repeated: what waits is let go in time.
        Hurt::Targets
            if entry.has_listened(snapshot)
                && entry.spotless == 0
                && may_set_aside(entry, snapshot) =>
        {
            Remedy::SetAside
        }
        Hurt::Targets if is_early(entry) => Remedy::Nothing,
        Hurt::Targets if snapshot.known.settings.on_failure == OnFailure::Drop => {
            Remedy::ReleaseIfStuck
        }
        Hurt::Targets | Hurt::Source => Remedy::Nothing,
        // What was held is let go by a resume alone.
        // The next spot may come at once, and one table is enough for both: as long as
        // something is copied it is waited for.
        Hurt::None if is_to_narrow(entry, snapshot) && snapshot.is_copied() => Remedy::Narrow,
        Hurt::None if is_early(entry) => Remedy::Nothing,
        Hurt::None if entry.pending_failure.is_some() => Remedy::Requeue,
        Hurt::None if is_to_narrow(entry, snapshot) && entry.due.is_none() => {
            Remedy::LookAgain(CALM)
        }
        Hurt::None if is_to_narrow(entry, snapshot) => Remedy::Narrow,
        Hurt::None if !steps::has_word_to_lose(snapshot) => move_front(entry, snapshot),
        Hurt::None if entry.due.is_none() => Remedy::LookAgain(CALM),
        Hurt::None => Remedy::LoseWord,
    }
}

/// Whether an error of the source may be one of a bad spot: not where the whole disk does
/// not answer.
fn is_source_bad(snapshot: &Snapshot) -> bool {
    let source = snapshot.legs.first();
    source.is_some_and(|leg| leg.letter != Letter::Alive && !leg.unresponsive)
}

/// Whether what failed to be copied may be left to the source alone.
fn may_set_aside(entry: &Entry, snapshot: &Snapshot) -> bool {
    let drops = snapshot.known.settings.on_failure == OnFailure::Drop;
    // With a log in memory each attempt begins the copy anew.
    let patient = snapshot.log().is_some_and(|log| match log.kind.as_str() {
        "disk" => true,
        "core" => entry.spotless < SPOTLESS,
        _ => false,
    });
    drops && patient && snapshot.gaps.is_some()
}

/// Whether something that was set aside is yet to be tried, now.
fn is_to_narrow(entry: &Entry, snapshot: &Snapshot) -> bool {
    let aside = common(snapshot.on_leg_0(), &snapshot.known.settings.aside);
    let early = entry.narrow_failed.1.is_some_and(|at| at > Instant::now());
    let later = early || snapshot.leaves_aside();
    !entry.narrowing && !later && !outside(&aside, &entry.tried(snapshot)).is_empty()
}

/// What is to be done about the front of a copy in which nothing has failed.
fn move_front(entry: &Entry, snapshot: &Snapshot) -> Remedy {
    let tried = entry.front.unmoved.is_some() && entry.front.unmoved == snapshot.life;
    match pace(snapshot, &entry.front.allowance) {
        _ if entry.front.moving || entry.front.waits() => Remedy::Nothing,
        Pace::Stay => Remedy::Nothing,
        Pace::Look(after) => Remedy::StepIn(after),
        Pace::Back(_) | Pace::Join if tried => Remedy::Nothing,
        pace => Remedy::Move(pace),
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
    use crate::model::settings::Settings;
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
    fn a_front_that_cannot_move_is_not_tried_at_once() {
        let known = Known {
            settings: Settings {
                limit: Some(0),
                ..Settings::default()
            },
            ..Known::default()
        };
        let snapshot = snapshot("core 1 8", 2, "4/8 AA", known);
        let registry = Registry::default();
        let mirror_id = registry.note(&snapshot.info);
        let now = || {
            let entry = registry.get(mirror_id).expect("an entry");
            remedy(&entry, &snapshot, true)
        };
        assert_eq!(now(), Remedy::Move(Pace::Back(0)));
        registry.update(mirror_id, |entry| entry.front.reason = "no room".into());
        registry.step_in(mirror_id, AGAIN);
        assert_eq!(now(), Remedy::Nothing);
        registry.step_in(mirror_id, Duration::ZERO);
        assert_eq!(now(), Remedy::Move(Pace::Back(0)));
        registry.update(mirror_id, |entry| entry.front.unmoved = Some(1));
        assert_eq!(now(), Remedy::Nothing);
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
        assert_eq!(of("4/8 AS", true, false, heard), Remedy::SetAside);
        let nothing_found = |entry: &mut Entry| {
            let life = Some(1);
            let legs = Vec::new();
            entry.unresponsive = (
                Unresponsive { legs, life },
                vec![Letter::Alive, Letter::SyncFailed],
            );
            entry.spotless = 1;
        };
        assert_eq!(
            of("4/8 AS", true, false, nothing_found),
            Remedy::ReleaseIfStuck
        );
    }
}

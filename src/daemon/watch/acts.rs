//! What the watch has others do: it may wait for devices and for the records, so it is
//! behind an [`Apart`], and no call of it can be made on the watch's own thread.
//!
//! [`Apart`]: crate::daemon::tasks::hands::Apart

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::remedy::AGAIN;
use crate::daemon::checks::state::Checks;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::away::Absent;
use crate::daemon::mirrors::entry::Entry;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::switch::act::Switcher;
use crate::daemon::switch::change::{Aftermath, Turn};
use crate::engine::bell::Bell;
use crate::error::{Errno, Error, Result};
use crate::model::failure::{Switch, Verdict, assess};
use crate::model::id::MirrorId;
use crate::model::policy::Dropped;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::change::Change;
use crate::plan::pace::Pace;
use crate::text::letter::Letter;
use crate::text::table::Table;

/// How long until it is tried again where a verb came first.
const SOON: Duration = Duration::from_secs(1);

/// How often it is tried to find what is bad of what was set aside.
const NARROWINGS: u32 = 3;

/// The verb that stands in `health` meanwhile.
const VERB: &str = "on_failure drop";

/// What is to be done on a thread of the mirror's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Resume what a failed step has left suspended.
    Free,
    /// Leave what cannot be read to the source alone.
    SetAside,
    /// Let writes go that were held by what works again.
    Requeue,
    /// Let writes go that are held because of a target's errors.
    Release,
    /// Take the sync word out of the table.
    LoseWord,
    /// Go on without what failed.
    GoOnWithout,
}

/// Does it.
pub(super) struct Acts {
    registry: Arc<Registry>,
    mirrors: Arc<Mirrors>,
    journal: Arc<Journal>,
    switcher: Arc<Switcher>,
    checks: Arc<Checks>,
    events: Arc<Events>,
    bell: Arc<Bell>,
}

impl Acts {
    /// By `switcher` and `checks`.
    pub(super) fn new(switcher: &Arc<Switcher>, checks: &Arc<Checks>) -> Acts {
        Acts {
            registry: Arc::clone(&switcher.registry),
            mirrors: Arc::clone(&switcher.mirrors),
            journal: Arc::clone(&switcher.journal),
            switcher: Arc::clone(switcher),
            checks: Arc::clone(checks),
            events: Arc::clone(&switcher.events),
            bell: Arc::clone(&switcher.bell),
        }
    }

    /// Record a mirror as it is: no verb has changed it.
    pub(super) fn keep_seen(&self, mirror_id: MirrorId) {
        self.journal.keep_seen(mirror_id);
    }

    /// A mirror that was away is there again: what was under way goes on.
    pub(super) fn go_on(&self, mirror_id: MirrorId) {
        self.checks.go_on(mirror_id, true);
    }

    /// See which legs answer.
    pub(super) fn listen(&self, mirror_id: MirrorId) {
        let heard = self.switcher.listen(mirror_id);
        heard.unwrap_or_else(|error| log::debug!("{error}"));
        self.registry
            .update(mirror_id, |entry| entry.listening = false);
        self.bell.ring();
    }

    /// Find what is bad of what was set aside. Where that cannot be it is tried twice more,
    /// then it waits for `retry`.
    pub(super) fn narrow(&self, mirror_id: MirrorId) {
        let done = self.switcher.narrow(mirror_id, false);
        let busy = matches!(&done, Err(error) if error.errno() == Errno::EBUSY);
        let after = if busy { SOON } else { AGAIN };
        let again = self.registry.update(mirror_id, |entry| {
            entry.narrowing = false;
            let failed = entry.narrow_failed.0 + u32::from(done.is_err() && !busy);
            entry.narrow_failed = match done {
                Err(_) if failed < NARROWINGS => (failed, Some(Instant::now() + after)),
                _ => (0, None),
            };
            if done.is_err() && failed == NARROWINGS {
                let aside = entry.settings.as_ref().map(|kept| kept.aside.clone());
                entry.note_aside_tried(&aside.unwrap_or_default());
            }
            entry.narrow_failed.1.is_some()
        });
        if again == Some(true) {
            self.registry.look_again(mirror_id, after);
        }
        if busy {
            return;
        }
        let name = self.registry.name_of(mirror_id);
        if let Some(aftermath) = self.events.report(&name, done).ok().flatten() {
            self.switcher.settle(aftermath);
        }
        self.bell.ring();
    }

    /// Move the front of a copy. Where that cannot be, it is tried again.
    pub(super) fn move_front(&self, mirror_id: MirrorId, pace: Pace) {
        let done = self.switcher.move_front(mirror_id, pace);
        let reason = done.as_ref().err().map_or("", Error::sentence);
        let news = self.registry.update(mirror_id, |entry| {
            entry.front.moving = false;
            match &done {
                Ok(Some((_, bytes))) => entry.front.allowance.spend(*bytes),
                Ok(None) => entry.front.unmoved = entry.seen.life,
                Err(_) => {}
            }
            let before = std::mem::replace(&mut entry.front.reason, reason.into());
            before != entry.front.reason
        });
        match done {
            Ok(Some((aftermath, _))) => self.switcher.settle(aftermath),
            Ok(None) => {}
            Err(error) => {
                self.registry.step_in(mirror_id, AGAIN);
                // A verb came first, most likely.
                if news == Some(true) && error.errno() != Errno::EBUSY {
                    let name = self.registry.name_of(mirror_id);
                    let _ = self.events.report(&name, Err::<(), _>(error));
                }
            }
        }
        self.bell.ring();
    }

    /// Do what is to be done about a failure; where that cannot be, it is tried again.
    pub(super) fn act(&self, mirror_id: MirrorId, act: Act) {
        let done = self.act_now(mirror_id, act);
        self.registry.update(mirror_id, |entry| match &done {
            Ok(_) => entry.pending_failure = None,
            Err(error) => {
                let pending_failure = entry.pending_failure.get_or_insert_default();
                pending_failure.working = false;
                pending_failure.reason = error.sentence().into();
            }
        });
        match done.as_ref().map_err(Error::errno) {
            Ok(_) | Err(Errno::ENODEV) => {}
            // A verb came first, most likely.
            Err(Errno::EBUSY) => self.registry.look_again(mirror_id, SOON),
            Err(_) => {
                self.registry.look_again(mirror_id, AGAIN);
                let name = self.registry.name_of(mirror_id);
                let _ = self
                    .events
                    .report(&name, done.as_ref().map_err(Error::clone));
            }
        }
        self.bell.ring();
        // What fails next does not wait for this, which may take as long as a disk does.
        if let Ok(Some(aftermath)) = done {
            let switcher = Arc::clone(&self.switcher);
            self.journal.hands.apart("settle", move || {
                switcher.admission.earlier.remember(aftermath.before());
                switcher.settle(aftermath);
            });
        }
    }

    fn act_now(&self, mirror_id: MirrorId, act: Act) -> Result<Option<Aftermath>> {
        let switcher = &self.switcher;
        match act {
            Act::Free => switcher.free(mirror_id)?,
            Act::Requeue => switcher.requeue(mirror_id)?,
            Act::Release => switcher.release(mirror_id)?,
            Act::LoseWord => switcher.lose_word(mirror_id)?,
            Act::SetAside => return self.set_aside(mirror_id),
            Act::GoOnWithout => return switcher.planned(|| self.go_on_without(mirror_id)),
        }
        Ok(None)
    }

    /// Leave what cannot be read to the source alone. Where nothing is found that cannot,
    /// it is copied once more, after a while that grows.
    fn set_aside(&self, mirror_id: MirrorId) -> Result<Option<Aftermath>> {
        let found = self.switcher.set_aside(mirror_id)?;
        let times = self.registry.update(mirror_id, |entry| {
            entry.spotless = found.as_ref().map_or(entry.spotless + 1, |_| 0);
            entry.spotless
        });
        if found.is_none() {
            self.switcher.requeue(mirror_id)?;
            let pause = SOON * (1 << times.unwrap_or(0).min(6));
            self.registry.look_again(mirror_id, pause);
        }
        Ok(found)
    }

    /// Switch to what is left of a mirror.
    fn go_on_without(&self, mirror_id: MirrorId) -> Result<Option<Aftermath>> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let Verdict::Switch(switch) = assess(&snapshot) else {
            return Ok(None);
        };
        let gone = dropped(&snapshot, &switch);
        let before = snapshot.known.settings.dropped.iter();
        let edit = SettingsEdit {
            dropped: Some(before.chain(&gone).cloned().collect()),
            ..SettingsEdit::default()
        };
        let change = Change {
            table: switch.table,
            equal: switch.was_in_sync,
            ..Change::default()
        };
        let announcements = gone.iter().map(|what| (Kind::Dropped, what.line()));
        let turn = Turn {
            change,
            edit,
            announcements: announcements.collect(),
            own: Some(VERB),
        };
        let changed = self.switcher.change(mirror_id, &snapshot, &turn, &[]);
        let changed = changed.map(Some);
        changed.map_err(|error| error.context("continuing without what has failed"))
    }

    /// See off a mirror that another program has removed: whether it stays in the tree its
    /// record says.
    pub(super) fn see_off(&self, entry: &Entry) {
        let (gone, mirror_id) = (entry.clone(), entry.mirror_id);
        let kept = self.journal.within(move |journal| journal.withdraw(&gone));
        if self.mirrors.is_there(mirror_id) {
            // It has come again, and its record is to be one of a mirror that is there.
            self.registry
                .update(mirror_id, |entry| entry.leaving = false);
            return self.journal.keep_seen(mirror_id);
        }
        match kept.flatten().filter(|_| !self.registry.has_another(entry)) {
            // It is not started any more by itself: whoever removed it may use its legs
            // for something else.
            Some(record) => self
                .registry
                .set_absent(mirror_id, Absent::withdrawn(record)),
            None => drop(self.registry.forget(mirror_id)),
        }
        if entry.announced.is_some() {
            let text = "by another program, or closed at last";
            self.events.add(&entry.name, Kind::Removed, text);
            let lines: Vec<&str> = entry.seen.table.iter().map(String::as_str).collect();
            if let Ok(mut table) = Table::parse(&lines) {
                let devices = table.devices().map(|device| device.clone());
                self.journal.release.of_all(devices);
            }
        }
    }
}

fn dropped(snapshot: &Snapshot, switch: &Switch) -> Vec<Dropped> {
    let legs = snapshot.legs.iter();
    let legs = legs.filter(|leg| switch.legs.contains(&leg.number));
    let legs = legs.map(|leg| Dropped {
        leg: Some(leg.number),
        node: leg.node(),
        letter: leg.letter,
    });
    let logs = snapshot.logs.iter();
    let logs = logs.filter(|log| switch.log && log.letter != Letter::Alive);
    let logs = logs.map(|log| Dropped {
        leg: None,
        node: log.node(),
        letter: log.letter,
    });
    legs.chain(logs).collect()
}

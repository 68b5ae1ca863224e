//! What the watch has others do: it may wait for devices and for the records, so it is
//! behind an [`Apart`], and no call of it can be made on the watch's own thread.
//!
//! [`Apart`]: crate::daemon::tasks::hands::Apart

use std::sync::Arc;
use std::time::Duration;

use super::remedy::AGAIN;
use crate::daemon::admission::admit::Admission;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::entry::{Absent, Entry};
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
use crate::text::letter::Letter;
use crate::text::table::Table;

/// How long until it is tried again where a verb came first.
const SOON: Duration = Duration::from_secs(1);

/// The verb that stands in `health` meanwhile.
const VERB: &str = "on_failure drop";

/// What is to be done on a thread of the mirror's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Resume what a failed step has left suspended.
    Free,
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
    admission: Arc<Admission>,
    switcher: Arc<Switcher>,
    events: Arc<Events>,
    bell: Arc<Bell>,
}

impl Acts {
    /// By `switcher`.
    pub(super) fn new(switcher: &Arc<Switcher>) -> Acts {
        Acts {
            registry: Arc::clone(&switcher.registry),
            mirrors: Arc::clone(&switcher.mirrors),
            journal: Arc::clone(&switcher.journal),
            admission: Arc::clone(&switcher.admission),
            switcher: Arc::clone(switcher),
            events: Arc::clone(&switcher.events),
            bell: Arc::clone(&switcher.bell),
        }
    }

    /// Record a mirror as it is: no verb has changed it.
    pub(super) fn keep_seen(&self, mirror_id: MirrorId) {
        self.journal.keep_seen(mirror_id);
    }

    /// See which legs answer.
    pub(super) fn listen(&self, mirror_id: MirrorId) {
        let heard = self.switcher.listen(mirror_id);
        heard.unwrap_or_else(|error| log::debug!("{error}"));
        self.registry
            .update(mirror_id, |entry| entry.listening = false);
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
            self.admission.earlier.remember(aftermath.before());
            self.switcher.settle(aftermath);
        }
    }

    fn act_now(&self, mirror_id: MirrorId, act: Act) -> Result<Option<Aftermath>> {
        let switcher = &self.switcher;
        match act {
            Act::Free => switcher.free(mirror_id)?,
            Act::Requeue => switcher.requeue(mirror_id)?,
            Act::Release => switcher.release(mirror_id)?,
            Act::LoseWord => switcher.lose_word(mirror_id)?,
            Act::GoOnWithout => return switcher.planned(|| self.go_on_without(mirror_id)),
        }
        Ok(None)
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

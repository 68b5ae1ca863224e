//! A mirror that another program has removed: whether it stays in the tree its record
//! says, which may not answer.

use std::sync::Arc;

use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::entry::{Absent, Entry};
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::tasks::hands::Hands;
use crate::model::id::MirrorId;
use crate::text::table::Table;

/// Sees mirrors off.
pub(super) struct Leaving {
    registry: Arc<Registry>,
    mirrors: Arc<Mirrors>,
    journal: Arc<Journal>,
    events: Arc<Events>,
    hands: Arc<Hands>,
}

impl Leaving {
    /// That of a journal's mirrors.
    pub(super) fn new(journal: &Arc<Journal>, hands: &Arc<Hands>) -> Leaving {
        Leaving {
            registry: Arc::clone(&journal.registry),
            mirrors: Arc::clone(&journal.mirrors),
            journal: Arc::clone(journal),
            events: Arc::clone(&journal.events),
            hands: Arc::clone(hands),
        }
    }

    /// Forget a mirror that is gone; the verb that removes one tells it itself,
    /// and one that was renamed meanwhile is not gone.
    pub(super) fn forget_removed(self: &Arc<Self>, mirror_id: MirrorId) {
        if self.registry.absent(mirror_id).is_some() {
            return;
        }
        if self.is_there(mirror_id) || self.registry.is_running(mirror_id) {
            return;
        }
        let before = self.registry.update(mirror_id, |entry| {
            let entry_before = entry.clone();
            entry.leaving = true;
            entry_before
        });
        let Some(entry) = before.filter(|entry| !entry.leaving) else {
            return;
        };
        let leaving = Arc::clone(self);
        self.hands.apart("leaving", move || leaving.see_off(&entry));
    }

    fn is_there(&self, mirror_id: MirrorId) -> bool {
        let there = self.mirrors.snapshot(mirror_id, Detail::Kernel);
        there.is_ok_and(|there| self.mirrors.shows(&there.info, &there.lines))
    }

    fn see_off(&self, entry: &Entry) {
        let gone = entry.clone();
        let kept = self.journal.within(move |journal| journal.withdraw(&gone));
        let mirror_id = entry.mirror_id;
        if self.is_there(mirror_id) {
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
                self.journal
                    .release
                    .of_all(table.devices().map(|device| device.clone()));
            }
        }
    }
}

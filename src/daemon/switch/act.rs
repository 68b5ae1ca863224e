//! Acting on a mirror, so that none is left suspended: what a failed step leaves so
//! is freed by the watch.

use std::cell::Cell;
use std::sync::Arc;

use crate::daemon::admission::admit::Admission;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::mark::Excluded;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::tasks::realtime::{First, first};
use crate::engine::bell::Bell;
use crate::engine::{Devices, Engine, Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::grounds::moved_on;
use crate::model::id::MirrorId;
use crate::model::snapshot::{Part, Snapshot};
use crate::plan::execute::{Bookkeeper, EngineOnly, execute, resume_live};
use crate::plan::step::Step;

/// Switches mirrors to other tables.
pub struct Switcher {
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) devices: Arc<dyn Devices>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) events: Arc<Events>,
    pub(crate) bell: Arc<Bell>,
}

impl Switcher {
    /// That of a journal's mirrors.
    pub fn new(journal: &Arc<Journal>, admission: &Arc<Admission>, bell: &Arc<Bell>) -> Switcher {
        Switcher {
            mirrors: Arc::clone(&journal.mirrors),
            journal: Arc::clone(journal),
            admission: Arc::clone(admission),
            engine: Arc::clone(&journal.engine),
            devices: Arc::clone(&journal.devices),
            registry: Arc::clone(&journal.registry),
            events: Arc::clone(&journal.events),
            bell: Arc::clone(bell),
        }
    }

    /// Do steps on a mirror that need nobody but the engine. The watch frees one that
    /// they leave suspended.
    ///
    /// # Errors
    /// The failed step's.
    pub fn act(&self, mirror_id: MirrorId, snapshot: &Snapshot, steps: &[Step]) -> Result<()> {
        let _alone = self.exclude(mirror_id, snapshot, None)?;
        self.act_with(mirror_id, snapshot, steps, &EngineOnly)
    }

    /// Be the only one who changes the mirror's tables, which are those of the snapshot.
    ///
    /// # Errors
    /// EAGAIN where it is no longer what it was, EBUSY where somebody does not end.
    pub(super) fn exclude(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        own: Option<&str>,
    ) -> Result<Excluded<'_>> {
        let alone = self.registry.exclude(mirror_id, own)?;
        let now = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        match moved_on(snapshot, &now) {
            Some(what) => Err(changed(&now, what)),
            None => Ok(alone),
        }
    }

    pub(super) fn act_with(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        steps: &[Step],
        books: &dyn Bookkeeper,
    ) -> Result<()> {
        let id = snapshot.info.id();
        // Whether a resume may have switched to a table with the text of the old one.
        let another = |step: &Step| match step {
            Step::Load { table, .. } => *table.to_lines() != *snapshot.lines,
            _ => false,
        };
        let watched = Watched {
            books,
            engine: self.engine.as_ref(),
            id: &id,
            another: steps.iter().any(another),
            switched: Cell::new(false),
            first: Cell::new(None),
        };
        let done = execute(self.engine.as_ref(), &id, steps, &watched);
        let held = || self.engine.info(&id).is_ok_and(|info| info.suspended);
        if done.is_err() && !snapshot.info.suspended && held() {
            self.registry
                .update(mirror_id, |entry| entry.left_suspended = true);
        } else if !watched.switched.get() {
            self.carry_over(mirror_id, snapshot);
        }
        done
    }

    /// A resume of the very table that was live begins a new life of it, in which the
    /// legs may have what they had, and what was compared is so still. Only of a resume of
    /// our own that is known: what another program resumed may have been loaded anew.
    fn carry_over(&self, mirror_id: MirrorId, before: &Snapshot) {
        let keeps = before.parts.iter().all(Part::keeps_sync);
        let whole = before.is_whole();
        if !keeps && !whole {
            return;
        }
        let dev = before.info.dev;
        let live = self.engine.table(&before.info.id(), Slot::Live);
        let same = live.is_ok_and(|(_, lines)| *lines == *before.lines);
        let (Some(then), Ok(now)) = (before.life, self.engine.life(dev)) else {
            return;
        };
        if same && now == then + 1 {
            self.registry.update(mirror_id, |entry| {
                if keeps && entry.in_sync_life == Some(then) {
                    entry.in_sync_life = Some(now);
                }
                if whole {
                    entry.checking.carry_over(then, now);
                }
            });
        }
    }

    /// Free a mirror that a failed step has left suspended, on its old table.
    pub(crate) fn free(&self, mirror_id: MirrorId) -> Result<()> {
        let _alone = self.registry.exclude(mirror_id, Some("resume"))?;
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        let info = &snapshot.info;
        if info.suspended {
            self.back_to_old_table(info)?;
            self.carry_over(mirror_id, &snapshot);
            let text = "it was left suspended by a failed step";
            self.events.add(&info.name, Kind::Resumed, text);
        }
        self.registry
            .update(mirror_id, |entry| entry.left_suspended = false);
        Ok(())
    }

    /// Resume a suspended device on its old table: whether the new one is good,
    /// nobody knows.
    ///
    /// # Errors
    /// What device-mapper answers.
    pub(crate) fn back_to_old_table(&self, info: &Info) -> Result<()> {
        let id = info.id();
        if info.inactive {
            self.engine.clear(&id)?;
        }
        resume_live(self.engine.as_ref(), &id)
    }
}

/// The error of a plan that is for what a mirror no longer is.
pub(super) fn changed(now: &Snapshot, what: &str) -> Error {
    let name = &now.info.name;
    let sentence = format!("{name} has changed meanwhile: {what}");
    Error::new(Errno::EAGAIN, sentence)
}

/// A bookkeeper, and whether the resume switches to a table that somebody loaded.
struct Watched<'a> {
    books: &'a dyn Bookkeeper,
    engine: &'a dyn Engine,
    id: &'a Id,
    another: bool,
    switched: Cell<bool>,
    /// While I/O is held.
    first: Cell<Option<First>>,
}

impl Bookkeeper for Watched<'_> {
    fn check_held(&self) -> Result<()> {
        self.books.check_held()
    }

    fn record(&self) -> Result<()> {
        self.books.record()
    }

    fn confirm(&self) -> Result<()> {
        self.books.confirm()
    }

    fn check_alone(&self) -> Result<()> {
        self.books.check_alone()
    }

    fn clear_logs(&self) -> Result<()> {
        self.books.clear_logs()
    }

    fn carry_logs(&self) -> Result<()> {
        self.books.carry_logs()
    }

    fn meanwhile(&self) -> Result<()> {
        self.books.meanwhile()
    }

    fn hurries(&self) -> bool {
        self.books.hurries()
    }

    /// Whoever writes waits for this thread, however many others have something to do.
    fn before_suspend(&self) {
        self.books.before_suspend();
        self.first.set(first());
    }

    fn before_resume(&self) {
        self.books.before_resume();
        let loaded = self.engine.info(self.id).map_or(true, |info| info.inactive);
        self.switched.set(loaded && !self.another);
    }
}

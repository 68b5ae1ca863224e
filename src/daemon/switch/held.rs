//! Doing something with the legs of a mirror while its I/O is held: nothing that anybody
//! writes is under way then, and the same table goes on afterwards.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Switcher, changed};
use crate::daemon::journal::begun::Begun;
use crate::daemon::mirrors::query::Detail;
use crate::engine::Suspend;
use crate::error::Result;
use crate::model::grounds::Grounds;
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;
use crate::plan::execute::Bookkeeper;
use crate::plan::step::Step;

/// What `health` calls it.
const CHECK: Option<&str> = Some("check");

/// What is done meanwhile, with the mirror as it is then.
pub type Work<'a> = dyn Fn(&Snapshot) -> Result<()> + 'a;

impl Switcher {
    /// Do something while the I/O of a mirror is held; answers for how long it was.
    ///
    /// # Errors
    /// EAGAIN where the mirror is no longer what it was, EBUSY where somebody else changes
    /// it, what device-mapper answers, and those of `work`.
    pub fn while_held(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        how: Suspend,
        work: &Work<'_>,
    ) -> Result<Duration> {
        let books = Held {
            switcher: self,
            mirror_id,
            grounds: Grounds::of(snapshot),
            work,
            since: Cell::new(Instant::now()),
            held: Cell::new(Duration::ZERO),
        };
        let steps = [
            Step::Record,
            Step::Suspend(how),
            Step::Meanwhile,
            Step::Resume,
        ];
        let alone = self.exclude(mirror_id, snapshot, CHECK)?;
        let done = self.act_with(mirror_id, snapshot, &steps, &books);
        drop(alone);
        self.note_held(mirror_id, false);
        self.journal.keep_seen(mirror_id);
        done.map(|()| books.held.get())
    }

    /// Say in the settings that I/O is held for a check, or no more. What a verb has begun
    /// beside it is not touched.
    fn note_held(&self, mirror_id: MirrorId, held: bool) {
        self.registry.update(mirror_id, |entry| {
            let check = entry.settings.as_mut()?.check.as_mut()?;
            Arc::make_mut(check).held = held;
            Some(())
        });
    }
}

struct Held<'a> {
    switcher: &'a Switcher,
    mirror_id: MirrorId,
    grounds: Grounds,
    work: &'a Work<'a>,
    since: Cell<Instant>,
    held: Cell<Duration>,
}

impl Bookkeeper for Held<'_> {
    /// A daemon that is killed with all its children leaves I/O held. The next one lets it go
    /// where the record says whose doing it was.
    fn record(&self) -> Result<()> {
        self.switcher.note_held(self.mirror_id, true);
        self.switcher
            .journal
            .keep_soon(self.mirror_id, Begun::Still);
        Ok(())
    }

    fn before_suspend(&self) {
        self.since.set(Instant::now());
    }

    fn meanwhile(&self) -> Result<()> {
        let mirrors = &self.switcher.mirrors;
        let now = mirrors.snapshot(self.mirror_id, Detail::Kernel)?;
        match self.grounds.differ(&Grounds::of(&now)) {
            Some(what) => Err(changed(&now, what)),
            None => (self.work)(&now),
        }
    }

    fn before_resume(&self) {
        self.held.set(self.since.get().elapsed());
    }
}

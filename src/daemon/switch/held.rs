//! Doing something with the legs of a mirror while its I/O is held: nothing that anybody
//! writes is under way then, and the same table goes on afterwards.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::act::{Switcher, changed};
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Stage, Unfinished};
use crate::engine::Suspend;
use crate::engine::home::Lying;
use crate::error::Result;
use crate::model::grounds::Grounds;
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
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
        self.journal.keep_changed(mirror_id);
        done.map(|()| books.held.get())
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
    /// A daemon that is killed meanwhile leaves I/O held, which the next one lets go where
    /// the record says that it was at work.
    fn record(&self) -> Result<()> {
        let journal = &self.switcher.journal;
        let entry = self.switcher.registry.get(self.mirror_id)?;
        if journal.lies_on(entry.dev) == Lying::OnIt {
            return Ok(());
        }
        let begun = Unfinished::of(Stage::Reloading, Vec::new());
        let edit = SettingsEdit::default();
        if let Err(error) = journal.keep_inactive(self.mirror_id, edit, begun) {
            log::warn!("{error}");
        }
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

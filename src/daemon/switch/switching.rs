//! A switch to another table, from the record of what comes to what is known of it
//! afterwards. Between the look that it was planned from and its resume a leg may fail
//! and another program may do as it likes: so the look is repeated while nothing can
//! happen, and where it finds something else the old table goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::act::{Switcher, changed};
use crate::daemon::admission::{log_carry, log_trust};
use crate::daemon::mirrors::entry::Entry;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::Unfinished;
use crate::engine::Slot;
use crate::engine::home::Lying;
use crate::error::{Errno, Error, Result};
use crate::model::grounds::Grounds;
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::execute::Bookkeeper;
use crate::plan::step::Step;
use crate::text::table::{Mapping, Table, Target};

/// How often a plan is made anew whose mirror has become another one meanwhile.
const PLANS: usize = 5;

/// What `health` calls it while what cannot be copied is set aside.
pub(super) const ASIDE: Option<&str> = Some("set aside");

/// And while the front of its copy is moved.
pub(super) const FRONT: Option<&str> = Some("front");

/// A switch to another table.
pub(crate) struct Switching<'a> {
    /// What it was planned from.
    pub snapshot: &'a Snapshot,
    /// The plan, with the load of the new table where there is one.
    pub steps: Vec<Step>,
    /// What it changes of what is kept.
    pub edit: SettingsEdit,
    /// What the record says meanwhile.
    pub begun: Unfinished,
    /// Whether the legs of the new table are equal from the start.
    pub equal: bool,
    /// What it is called where the daemon does it by itself.
    pub own: Option<&'static str>,
}

impl Switching<'_> {
    /// The table that is loaded; none where it is the same once more.
    fn table(&self) -> Option<&Table> {
        self.steps.iter().find_map(|step| match step {
            Step::Load { table, .. } => Some(table),
            _ => None,
        })
    }

    /// Whether what one leg did not take is to be tried on others.
    fn has_other_legs(&self) -> bool {
        let legs = |table: &Table| {
            let legs = table.mirrors().flat_map(|(_, mirror)| &mirror.legs);
            legs.map(|leg| leg.device.to_string())
                .collect::<BTreeSet<_>>()
        };
        let before = legs(&self.snapshot.table);
        self.table().is_some_and(|table| legs(table) != before)
    }
}

impl Switcher {
    /// Do something that is planned from what a mirror is like, and plan it anew where
    /// that was no longer so.
    ///
    /// # Errors
    /// Its own; EBUSY where the mirror does not stay as it is.
    pub(crate) fn planned<T>(&self, mut what: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 1..PLANS {
            match what() {
                Err(error) if error.errno() == Errno::EAGAIN => log::debug!("{error}"),
                done => return done,
            }
        }
        what().map_err(|error| match error.errno() {
            Errno::EAGAIN => Error::busy(error.sentence()),
            _ => error,
        })
    }

    /// Do the steps of a switch.
    ///
    /// # Errors
    /// The failed step's, EAGAIN where the mirror is no longer what was planned for; the
    /// old table then goes on.
    pub(crate) fn switch_to(&self, mirror_id: MirrorId, switch: &Switching<'_>) -> Result<()> {
        let books = Books {
            switcher: self,
            mirror_id,
            switch,
            grounds: Grounds::of(switch.snapshot),
            undo: RefCell::new(None),
        };
        let _alone = self.exclude(mirror_id, switch.snapshot, switch.own)?;
        let done = self.act_with(mirror_id, switch.snapshot, &switch.steps, &books);
        match &done {
            Ok(()) => self.switched(mirror_id, switch),
            Err(_) => {
                self.registry.update(mirror_id, |entry| {
                    let undo = books.undo.take();
                    undo.map(|undo| undo.apply(&mut entry.settings))
                });
            }
        }
        done
    }

    /// Check that the mirror is what the switch was planned for, and that its resume
    /// comes to the plan's table.
    fn confirm(
        &self,
        mirror_id: MirrorId,
        grounds: &Grounds,
        switch: &Switching<'_>,
    ) -> Result<()> {
        let now = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        if let Some(what) = grounds.differ(&Grounds::of(&now)) {
            return Err(changed(&now, what));
        }
        let (_, loaded) = self.engine.table(&now.info.id(), Slot::Inactive)?;
        match switch.table() {
            Some(table) if !is_same(table, &Table::from_lines(&loaded)) => {
                Err(changed(&now, "another program has loaded a table"))
            }
            _ => Ok(()),
        }
    }

    /// What is known of the new table from the start: nobody may have to see it in
    /// sync first, since it may lose a leg at once. That holds where no resume but our
    /// own has come since.
    fn switched(&self, mirror_id: MirrorId, switch: &Switching<'_>) {
        let then = switch.snapshot.life.map(|life| life + 1);
        let now = self.engine.life(switch.snapshot.info.dev).ok();
        let equal = switch.equal && switch.table().is_some() && now.is_some() && now == then;
        self.registry.update(mirror_id, |entry| {
            // The kernel tells of no event: look all the same.
            entry.event_nr = None;
            if switch.own != FRONT {
                entry.meter.clear();
            }
            entry.pending_failure = None;
            if switch.has_other_legs() {
                entry.aside_tried.clear();
            }
            if equal {
                entry.in_sync_life = now;
            }
        });
    }

    /// Record what is about to be switched to.
    ///
    /// # Errors
    /// What the file system answers, where the mirror would come back by its record.
    fn record_next(&self, mirror_id: MirrorId, switch: &Switching<'_>) -> Result<()> {
        let entry = self.registry.get(mirror_id)?;
        // Where it is not known whether the record lies on what is held, it is tried: one
        // that is not written before the writes are let go is the worse fault.
        if self.journal.lies_on(entry.dev) == Lying::OnIt {
            log::debug!("the record lies on the mirror itself and is written afterwards");
            return Ok(());
        }
        let (persist, fresh) = (
            entry.settings.is_some_and(|kept| kept.persist),
            switch.edit.fresh.as_ref().map(|kept| kept.persist),
        );
        // With the same table nothing comes back that should not.
        let needed = fresh.unwrap_or(persist) && switch.table().is_some();
        let (edit, begun) = (switch.edit.clone(), switch.begun.clone());
        match self.journal.keep_inactive(mirror_id, edit, begun) {
            Err(error) if !needed => {
                log::warn!("{error}");
                Ok(())
            }
            written => written,
        }
    }
}

/// What the steps of a switch need beside the engine.
struct Books<'a> {
    switcher: &'a Switcher,
    mirror_id: MirrorId,
    switch: &'a Switching<'a>,
    grounds: Grounds,
    /// What takes the edit of the settings back.
    undo: RefCell<Option<SettingsEdit>>,
}

impl Bookkeeper for Books<'_> {
    fn check_held(&self) -> Result<()> {
        let info = &self.switch.snapshot.info;
        let admission = &self.switcher.admission;
        self.switch.table().map_or(Ok(()), |table| {
            admission.check_loaded(&info.id(), table, info.read_only)
        })
    }

    fn record(&self) -> Result<()> {
        self.switcher.record_next(self.mirror_id, self.switch)
    }

    fn confirm(&self) -> Result<()> {
        self.switcher
            .confirm(self.mirror_id, &self.grounds, self.switch)
    }

    /// Asked of the kernel alone: nothing may be waited for now.
    fn check_alone(&self) -> Result<()> {
        let mirrors = &self.switcher.mirrors;
        mirrors.check_nobody_beside(self.switch.snapshot)
    }

    /// A log knows no legs: what it calls clean would never be copied to a new one.
    fn clear_logs(&self) -> Result<()> {
        let devices = self.switcher.devices.as_ref();
        let table = self.switch.table();
        table.map_or(Ok(()), |table| log_trust::clear_all(devices, table))
    }

    /// Nothing is written meanwhile, so that the old logs say all there is to say.
    fn carry_logs(&self) -> Result<()> {
        let (devices, before) = (self.switcher.devices.as_ref(), self.switch.snapshot);
        let table = self.switch.table();
        table.map_or(Ok(()), |table| log_carry::carry(devices, before, table))
    }

    /// The next spot may have to be set aside at once.
    fn hurries(&self) -> bool {
        self.switch.own == ASIDE || self.switch.own == FRONT
    }

    /// Before it can be seen: a mirror that lost its leg is not one that was cut over.
    fn before_resume(&self) {
        let edit = |entry: &mut Entry| self.switch.edit.apply(&mut entry.settings);
        self.undo
            .replace(self.switcher.registry.update(self.mirror_id, edit));
    }
}

/// Whether two tables are one, as far as they are understood here: of what is not, the
/// kernel may print less than it was given.
fn is_same(one: &Table, other: &Table) -> bool {
    let same = |(one, other): (&Target, &Target)| match (&one.mapping, &other.mapping) {
        (Mapping::Other { kind, .. }, Mapping::Other { kind: also, .. }) => kind == also,
        (mapping, also) => mapping == also,
    };
    let (targets, others) = (&one.targets, &other.targets);
    targets.len() == others.len()
        && targets.iter().zip(others).all(|(one, other)| {
            (one.start, one.length) == (other.start, other.length) && same((one, other))
        })
}

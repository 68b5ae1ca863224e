//! Changing what a mirror is made of while it is in use: the table of a verb's plan
//! is loaded, recorded, and switched to while writes wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Daemon;
use super::admit::Admitted;
use super::desk::spawn;
use super::entry::Kept;
use super::events::Kind;
use super::record::{Stage, Unfinished};
use super::told::told;
use super::trust;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::grow::grow;
use crate::plan::legs::{self, Change};
use crate::plan::step::Step;
use crate::plan::verb::Command;

/// How long the record may take. One that takes longer stands on what is held, or
/// on what is as dead: the writes go first then.
const RECORD: Duration = Duration::from_secs(3);

impl Daemon {
    /// Do a verb that changes legs.
    ///
    /// # Errors
    /// Those of its plan; ENOENT, ENODEV, ENOSPC, EBUSY, EINVAL for a new leg that
    /// cannot be one; the old table then goes on.
    pub(super) fn change_legs(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        command: &Command,
    ) -> Result<()> {
        let mut kept = self.registry.get(serial)?.kept.unwrap_or_default();
        if !matches!(
            command,
            Command::Drop(_) | Command::Resync | Command::Grow(_)
        ) {
            kept.dropped.clear();
        }
        let change = plan(snapshot, command)?;
        if let Command::Finish(leg) = command {
            self.check_alone(snapshot, leg.unwrap_or(1))?;
        }
        match command {
            Command::Add(_) | Command::Replace(..) => {
                let admitted = self.admit_successor(snapshot, &change.table)?;
                self.change_to(serial, snapshot, change, kept, admitted)?;
            }
            _ => self.change(serial, snapshot, &change, kept, &[])?,
        }
        match command {
            Command::Abort => self.remember(snapshot),
            Command::Finish(leg) => self.forget_target(snapshot, leg.unwrap_or(1)),
            _ => {}
        }
        let (kind, text) = told(snapshot, command);
        self.events.add(&snapshot.info.name, kind, &text);
        self.let_alone(serial);
        Ok(())
    }

    /// Switch to a table whose devices were admitted; what was made for it goes
    /// again where that fails.
    ///
    /// # Errors
    /// As those of [`Daemon::change`].
    pub(super) fn change_to(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        mut change: Change,
        kept: Kept,
        admitted: Admitted<'_>,
    ) -> Result<()> {
        change.table.clone_from(&admitted.table);
        let changed = self.change(serial, snapshot, &change, kept, admitted.made());
        if changed.is_err() {
            admitted.undo();
        }
        changed
    }

    /// What everything is to stand on must answer: of a leg that nobody has read from
    /// or written to since it went, the kernel knows nothing.
    fn check_alone(&self, snapshot: &Snapshot, leg: usize) -> Result<()> {
        let (chosen, _) = snapshot.sides(leg);
        let mut chosen = chosen.into_iter();
        chosen.try_for_each(|leg| self.check_answers(leg))
    }

    /// Forget a device that is nothing to mirrorfs any more: another program's, and
    /// no mirror.
    pub(super) fn let_alone(&self, serial: u64) {
        let address = self.registry.address(serial);
        let there = address.and_then(|(id, _)| self.engine.table(&id, Slot::Live));
        if there.is_ok_and(|(info, lines)| !self.shows(&info, &lines)) {
            self.registry.forget(serial);
        }
    }

    /// Switch to another table. What is recorded beside it is `kept`; `made` are log
    /// files that were made for it.
    ///
    /// # Errors
    /// The failed step's; the old table then goes on.
    pub(super) fn change(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        change: &Change,
        mut kept: Kept,
        made: &[PathBuf],
    ) -> Result<()> {
        let name = &snapshot.info.name;
        kept.forged = build::is_forged(&change.table);
        let logs = self.own_logs(snapshot);
        let begun = Unfinished {
            stage: Stage::Reloading,
            files: [made, logs.as_slice()].concat(),
            afresh: change.afresh,
        };
        let steps = build::change(snapshot, change);
        let note = |step: &Step| match step {
            Step::Record => self.keep_next(serial, &kept, &begun),
            // A log knows no legs: what it calls clean would never be copied to a new
            // one.
            Step::ClearLogs => trust::clear_all(self.devices.as_ref(), &change.table),
            _ => Ok(()),
        };
        if let Err(error) = self.act_noting(serial, snapshot, &steps, &note) {
            self.keep_changed(name, serial);
            return Err(error);
        }
        self.switched(serial, &kept, change.equal);
        self.events
            .add(name, Kind::Reloaded, &change.table.joined());
        self.keep_new_table(name, serial, logs, begun);
        self.let_go_since(snapshot);
        Ok(())
    }

    /// Record the table that was switched to; `logs` are the mirror's own of before.
    /// The new table first, so that it is the one that comes back; then the old log,
    /// which is nobody's any more.
    pub(super) fn keep_new_table(
        &self,
        name: &str,
        serial: u64,
        logs: Vec<PathBuf>,
        begun: Unfinished,
    ) {
        if !logs.is_empty() {
            self.keep_switched(name, serial, begun);
            self.drop_logs(serial, logs);
        }
        self.keep_changed(name, serial);
    }

    /// What is known of the new table from the start: nobody may have to see it in
    /// sync first, since it may lose a leg at once.
    fn switched(&self, serial: u64, kept: &Kept, equal: bool) {
        let live = || {
            let (id, _) = self.registry.address(serial).ok()?;
            let (_, lines) = self.engine.table(&id, Slot::Live).ok()?;
            Some(lines.iter().map(ToString::to_string).collect())
        };
        let whole = if equal { live() } else { None };
        self.registry.update(serial, |entry| {
            entry.kept = Some(kept.clone());
            // The kernel tells of no event: look all the same.
            entry.event_nr = None;
            entry.pace.clear();
            entry.trouble = None;
            if let Some(lines) = whole {
                entry.whole = lines;
            }
        });
    }

    /// Record what is about to be switched to.
    ///
    /// # Errors
    /// What the file system answers, where the mirror would come back by its record.
    pub(super) fn keep_next(
        self: &Arc<Self>,
        serial: u64,
        kept: &Kept,
        begun: &Unfinished,
    ) -> Result<()> {
        let dev = self.registry.address(serial)?.1;
        let on = self.records.device();
        if on.is_some_and(|on| self.devices.stands_on(on, dev)) {
            log::debug!("the record stands on the mirror itself, and is written afterwards");
            return Ok(());
        }
        let needed = kept.persist;
        let (send, receive) = channel();
        let (daemon, kept, begun) = (Arc::clone(self), kept.clone(), begun.clone());
        let job = move || drop(send.send(daemon.keep_inactive(serial, kept, begun)));
        spawn("record", job)?;
        match receive.recv_timeout(RECORD) {
            Ok(Err(error)) if needed => Err(error),
            Ok(Err(error)) => {
                log::warn!("{error}");
                Ok(())
            }
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

fn plan(snapshot: &Snapshot, command: &Command) -> Result<Change> {
    match command {
        Command::Finish(leg) => legs::finish(snapshot, *leg),
        Command::Abort => legs::abort(snapshot),
        Command::Drop(leg) => legs::drop(snapshot, *leg),
        Command::Add(place) => legs::add(snapshot, place.into()),
        Command::Replace(leg, place) => legs::replace(snapshot, *leg, place.into()),
        Command::Resync => legs::resync(snapshot),
        Command::Grow(length) => grow(snapshot, *length),
        Command::Suspend(_) | Command::Resume | Command::Retry | Command::Remove { .. } => {
            Err(Error::invalid("it changes no legs"))
        }
    }
}

//! Changing what a mirror is made of while it is in use: the table of a verb's plan is
//! admitted, switched to, and told of.

use std::path::PathBuf;
use std::sync::Arc;

use super::Daemon;
use super::admit::Admitted;
use super::entry::Edit;
use super::events::Kind;
use super::record::{Stage, Unfinished};
use super::switch::Switching;
use super::told::told;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::grow::grow;
use crate::plan::legs::{self, Change};
use crate::plan::verb::Command;

impl Daemon {
    /// Do a verb that changes legs.
    ///
    /// # Errors
    /// Those of its plan; ENOENT, ENODEV, ENOSPC, EBUSY, EINVAL for a new leg that
    /// cannot be one; the old table then goes on. EAGAIN where the mirror is no longer
    /// what was planned for.
    pub(super) fn change_legs(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        command: &Command,
    ) -> Result<()> {
        let change = plan(snapshot, command)?;
        if let Command::Finish(leg) = command {
            self.check_alone(snapshot, leg.unwrap_or(1))?;
        }
        let edit = edit(command);
        match command {
            Command::Add(_) | Command::Replace(..) => {
                let admitted = self.admit_successor(snapshot, &change.table)?;
                self.change_to(serial, snapshot, change, edit, admitted)?;
            }
            _ => self.change(serial, snapshot, &change, edit, &[])?,
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
        edit: Edit,
        admitted: Admitted<'_>,
    ) -> Result<()> {
        change.table.clone_from(&admitted.table);
        let changed = self.change(serial, snapshot, &change, edit, admitted.made());
        if changed.is_err() {
            admitted.undo();
        }
        changed
    }

    /// What everything is to stand on must answer: of a leg that nobody has read from
    /// or written to since it went, the kernel knows nothing. And what was copied to it
    /// may be in its cache: with a log in memory nobody has flushed that yet.
    fn check_alone(&self, snapshot: &Snapshot, leg: usize) -> Result<()> {
        let (chosen, _) = snapshot.sides(leg);
        chosen.into_iter().try_for_each(|leg| {
            self.check_answers(leg)?;
            self.devices.flush(&leg.device).map_err(|error| {
                let (number, node) = (leg.number, leg.node());
                error.context(format!("leg {number} {node} does not take a flush"))
            })
        })
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

    /// Switch to another table, and change of what is kept what `edit` says; `made` are
    /// log files that were made for it.
    ///
    /// # Errors
    /// The failed step's; the old table then goes on.
    pub(super) fn change(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        change: &Change,
        edit: Edit,
        made: &[PathBuf],
    ) -> Result<()> {
        let name = &snapshot.info.name;
        let logs = self.own_logs(snapshot);
        let begun = Unfinished {
            stage: Stage::Reloading,
            files: [made, logs.as_slice()].concat(),
            afresh: change.afresh,
        };
        let switch = Switching {
            snapshot,
            steps: build::change(snapshot, change),
            edit: Edit {
                forged: Some(build::is_forged(&change.table)),
                ..edit
            },
            begun: begun.clone(),
            equal: change.equal,
        };
        if let Err(error) = self.switch_to(serial, &switch) {
            self.keep_changed(name, serial);
            return Err(error);
        }
        self.events
            .add(name, Kind::Reloaded, &change.table.joined());
        self.keep_new_table(name, serial, logs, begun);
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
}

/// What a verb changes of what is kept. A leg that was taken out because it had failed
/// is no longer told of once somebody has said what the mirror is made of.
fn edit(command: &Command) -> Edit {
    let keeps = matches!(
        command,
        Command::Drop(_) | Command::Resync | Command::Grow(_)
    );
    Edit {
        dropped: (!keeps).then(Vec::new),
        ..Edit::default()
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

//! Changing what a mirror is made of while it is in use: the table of a verb's plan is
//! admitted, switched to, and told of.

use std::path::PathBuf;
use std::sync::Arc;

use super::Daemon;
use super::admit::Admitted;
use super::caller::Caller;
use super::entry::Edit;
use super::events::Kind;
use super::own::Own;
use super::record::{Stage, Unfinished};
use super::successor::Successor;
use super::switch::Switching;
use super::told::told;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::grow::grow;
use crate::plan::legs::{self, Change};
use crate::plan::verb::Command;

/// A mirror that becomes another one.
pub(super) struct Turn {
    /// The table, and what has to be so.
    pub change: Change,
    /// What of its settings changes.
    pub edit: Edit,
    /// The events that tell of it.
    pub told: Vec<(Kind, String)>,
}

impl Daemon {
    /// Do a verb that changes legs.
    ///
    /// # Errors
    /// Those of its plan; EACCES for a part of a device that is not the caller's; ENOENT,
    /// ENODEV, ENOSPC, EBUSY, EINVAL for a new leg that cannot be one; the old table then
    /// goes on. EAGAIN where the mirror is no longer what was planned for.
    pub(super) fn change_legs(
        self: &Arc<Self>,
        caller: &Caller,
        serial: u64,
        snapshot: &Snapshot,
        command: &Command,
    ) -> Result<()> {
        let mut change = plan(snapshot, command)?;
        if !caller.is_trusted() {
            let held = self.engine.deps(&snapshot.info.id(), Slot::Live)?;
            let own = Own::of(self.devices.as_ref(), &snapshot.table, held);
            self.check_table(caller, &mut change.table, &own)?;
        }
        if let Command::Finish(leg) = command {
            self.check_nobody_beside(snapshot)?;
            self.check_alone(serial, snapshot, leg.unwrap_or(1))?;
        }
        let turn = Turn {
            change,
            edit: edit(command),
            told: vec![told(snapshot, command)],
        };
        match Successor::of(command, &turn.change.table) {
            Some(successor) => {
                let admitted = self.admit_successor(snapshot, &successor)?;
                self.change_to(serial, snapshot, turn, admitted)?;
            }
            None => self.change(serial, snapshot, &turn, &[])?,
        }
        match command {
            Command::Abort | Command::Drop(_) | Command::Replace { .. } => {
                self.remember(snapshot);
            }
            Command::Finish(leg) => self.forget_target(snapshot, leg.unwrap_or(1)),
            _ => {}
        }
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
        mut turn: Turn,
        admitted: Admitted<'_>,
    ) -> Result<()> {
        turn.change.table.clone_from(&admitted.table);
        let changed = self.change(serial, snapshot, &turn, admitted.made());
        if changed.is_err() {
            admitted.undo();
        }
        changed
    }

    /// What everything is to stand on must answer: of a leg that nobody has read from
    /// or written to since it went, the kernel knows nothing. And what was copied to it
    /// may be in its cache: with a log in memory nobody has flushed that yet.
    fn check_alone(&self, serial: u64, snapshot: &Snapshot, leg: usize) -> Result<()> {
        let (chosen, _) = snapshot.sides(leg);
        chosen.into_iter().try_for_each(|leg| {
            let answers = self.check_answers(leg);
            answers.inspect_err(|_| self.note_silent(serial, snapshot, leg))?;
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

    /// Switch to another table; `made` are log files that were made for it.
    ///
    /// # Errors
    /// The failed step's; the old table then goes on.
    pub(super) fn change(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        turn: &Turn,
        made: &[PathBuf],
    ) -> Result<()> {
        let change = &turn.change;
        let name = &snapshot.info.name;
        let logs = self.own_logs(serial, snapshot);
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
                ..turn.edit.clone()
            },
            begun: begun.clone(),
            equal: change.equal,
        };
        if let Err(error) = self.switch_to(serial, &switch) {
            self.keep_changed(name, serial);
            return Err(error);
        }
        self.note_made(serial, made);
        self.events
            .add(name, Kind::Reloaded, &change.table.joined());
        // At once: what comes now may wait for a disk.
        turn.told
            .iter()
            .for_each(|(kind, text)| self.events.add(name, *kind, text));
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
}

/// What a verb changes of what is kept. A leg that was taken out because it had failed
/// is no longer told of once somebody has said what the mirror is made of.
fn edit(command: &Command) -> Edit {
    let keeps = matches!(
        command,
        Command::Drop(_) | Command::Resync | Command::Grow { .. }
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
        Command::Add { place, .. } => legs::add(snapshot, place.into()),
        Command::Replace { leg, place, .. } => legs::replace(snapshot, *leg, place.into()),
        Command::Resync => legs::resync(snapshot),
        Command::Grow { length, .. } => grow(snapshot, *length),
        Command::Suspend(_) | Command::Resume | Command::Retry | Command::Remove { .. } => {
            Err(Error::invalid("it changes no legs"))
        }
    }
}

//! Verbs that change legs.

use super::announce::{announcement, target};
use super::rooms::Rooms;
use crate::daemon::admission::own::Own;
use crate::daemon::admission::permission::Caller;
use crate::daemon::admission::reload::Successor;
use crate::daemon::switch::change::Turn;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::plan::change::Change;
use crate::plan::grow::grow;
use crate::plan::legs;
use crate::plan::verb::Command;

/// Changes the legs of mirrors.
pub struct Legs {
    below: Rooms,
}

impl Legs {
    /// That of a daemon.
    pub fn new(below: &Rooms) -> Legs {
        Legs {
            below: below.clone(),
        }
    }

    /// Do a verb that changes legs.
    ///
    /// # Errors
    /// Those of its plan; EACCES for a part of a device that is not the caller's; ENOENT,
    /// ENODEV, ENOSPC, EBUSY, EINVAL for a new leg that cannot be one; the old table then
    /// goes on. EAGAIN where the mirror is no longer what was planned for.
    pub fn change(
        &self,
        caller: &Caller,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        command: &Command,
    ) -> Result<()> {
        let mut change = self.plan(snapshot, command)?;
        if !caller.is_trusted() {
            let held = self.below.engine.deps(&snapshot.info.id(), Slot::Live)?;
            let own = Own::of(self.below.devices.as_ref(), &snapshot.table, held);
            self.below
                .admission
                .check_table(caller, &mut change.table, &own)?;
        }
        if let Command::Finish { .. } = command {
            self.below.mirrors.check_nobody_beside(snapshot)?;
            self.check_alone(mirror_id, snapshot, target(command))?;
        }
        let turn = Turn {
            change,
            edit: edit(command),
            announcements: vec![announcement(snapshot, command)],
            own: None,
        };
        match Successor::of(command, &turn.change.table) {
            Some(successor) => {
                let admitted = self.below.admission.admit_successor(snapshot, &successor)?;
                self.below
                    .switcher
                    .change_to(mirror_id, snapshot, turn, admitted)?;
            }
            None => {
                let switcher = &self.below.switcher;
                let aftermath = switcher.change(mirror_id, snapshot, &turn, &[])?;
                switcher.settle(aftermath);
            }
        }
        match command {
            Command::Abort | Command::Drop(_) | Command::Replace { .. } => {
                self.below.admission.earlier.remember(snapshot);
            }
            Command::Finish { .. } => {
                let earlier = &self.below.admission.earlier;
                earlier.forget_target(snapshot, target(command));
            }
            _ => {}
        }
        self.below.mirrors.let_alone(mirror_id);
        Ok(())
    }

    fn plan(&self, snapshot: &Snapshot, command: &Command) -> Result<Change> {
        match command {
            Command::Finish { lossy: true, .. } => Err(Error::invalid(
                "lossy is for a mirror that is not started: this one tells itself what is copied",
            )),
            Command::Finish { .. } => legs::finish(snapshot, target(command)),
            Command::Abort => legs::abort(snapshot),
            Command::Drop(leg) => legs::drop(snapshot, leg.number()),
            Command::Add { place, .. } => legs::add(snapshot, place.into()),
            Command::Replace { leg, place, .. } => {
                legs::replace(snapshot, leg.number(), place.into())
            }
            Command::Resync => legs::resync(snapshot),
            Command::Grow { length, .. } => grow(snapshot, *length, self.log_block(snapshot)?),
            Command::Suspend(_) | Command::Resume | Command::Retry | Command::Remove { .. } => {
                Err(Error::invalid("the verb changes no legs"))
            }
        }
    }

    /// Bytes of a logical block of the log's device.
    fn log_block(&self, snapshot: &Snapshot) -> Result<u64> {
        let device = snapshot.log().and_then(|log| log.device.as_ref());
        let facts = device.map(|device| self.below.devices.facts(device));
        Ok(facts.transpose()?.map_or(SECTOR, |facts| facts.block_size))
    }

    /// What everything is to stand on must answer: of a leg that nobody has read from
    /// or written to since it went, the kernel knows nothing. And what was copied to it
    /// may be in its cache: with a log in memory nobody has flushed that yet.
    fn check_alone(&self, mirror_id: MirrorId, snapshot: &Snapshot, leg: usize) -> Result<()> {
        let (chosen, _) = snapshot.partition_legs(leg);
        chosen.into_iter().try_for_each(|leg| {
            let answers = self.below.switcher.check_answers(leg);
            answers.inspect_err(|_| {
                self.below
                    .switcher
                    .note_unresponsive(mirror_id, snapshot, leg)
            })?;
            self.below.devices.flush(&leg.device).map_err(|error| {
                let (number, node) = (leg.number, leg.node());
                error.context(format!("leg {number} {node} cannot be flushed"))
            })
        })
    }
}

/// What a verb changes of what is kept. A leg that was taken out because it had failed
/// is no longer told of once somebody has said what the mirror is made of.
fn edit(command: &Command) -> SettingsEdit {
    let keeps = matches!(
        command,
        Command::Drop(_) | Command::Resync | Command::Grow { .. }
    );
    SettingsEdit {
        dropped: (!keeps).then(Vec::new),
        ..SettingsEdit::default()
    }
}

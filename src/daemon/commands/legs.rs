//! Verbs that change legs.

use super::announce::{announcement, target};
use super::rooms::Rooms;
use crate::daemon::admission::own::Own;
use crate::daemon::admission::permission::Caller;
use crate::daemon::admission::reload::Successor;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::switch::change::Turn;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::plan::change::Change;
use crate::plan::front::grown;
use crate::plan::grow::grow;
use crate::plan::legs;
use crate::plan::missing::check_compared;
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
        match lossy_leg(snapshot, command) {
            Some(leg) => self.finish_lossy(caller, mirror_id, leg, command),
            None => self.change_to(caller, mirror_id, snapshot, command),
        }
    }

    fn change_to(
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
        let mut edit = edit(command);
        if let Command::Grow { .. } = command {
            edit.ahead = Some(grown(snapshot, change.table.length()));
        }
        let turn = Turn {
            change,
            edit,
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

    /// Cut over although some of the source cannot be read: zeros are written there first.
    fn finish_lossy(
        &self,
        caller: &Caller,
        mirror_id: MirrorId,
        leg: usize,
        command: &Command,
    ) -> Result<()> {
        let switcher = &self.below.switcher;
        let whole = |snapshot: &Snapshot| {
            self.plan(snapshot, command)?;
            self.below.mirrors.check_nobody_beside(snapshot)?;
            self.check_alone(mirror_id, snapshot, leg)
        };
        whole(&self.below.mirrors.snapshot(mirror_id, Detail::Devices)?)?;
        let closed = switcher.close_gaps(mirror_id, leg);
        let done = closed.and_then(|()| {
            switcher.planned(|| {
                let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Devices)?;
                // Else something may have been written there since it was looked at.
                if !snapshot.is_closed() {
                    let name = &snapshot.info.name;
                    return Err(Error::busy(format!(
                        "{name} has another table now: try again"
                    )));
                }
                self.change_to(caller, mirror_id, &snapshot, command)
            })
        });
        done.inspect_err(|_| switcher.open_again(mirror_id))
    }

    fn plan(&self, snapshot: &Snapshot, command: &Command) -> Result<Change> {
        match command {
            Command::Finish { lossy, checked, .. } => finish(snapshot, command, (*lossy, *checked)),
            Command::Abort => legs::abort(snapshot),
            Command::Drop(leg) => legs::drop(snapshot, leg.number()),
            Command::Add { place, .. } => legs::add(snapshot, place.into()),
            Command::Replace { leg, place, .. } => {
                legs::replace(snapshot, leg.number(), place.into())
            }
            Command::Resync => legs::resync(snapshot),
            Command::Grow { length, .. } => grow(snapshot, *length, self.log_block(snapshot)?),
            _ => Err(Error::invalid("the verb changes no legs")),
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

fn finish(
    snapshot: &Snapshot,
    command: &Command,
    (lossy, checked): (bool, bool),
) -> Result<Change> {
    let change = legs::finish(snapshot, target(command), lossy);
    let change = if lossy {
        change.map_err(|error| error.context("finish lossy"))?
    } else {
        change?
    };
    if checked {
        check_compared(snapshot)?;
    }
    Ok(change)
}

/// The leg that is to go on although something could not be read for it; none where
/// nothing is missing, or it is the source itself.
fn lossy_leg(snapshot: &Snapshot, command: &Command) -> Option<usize> {
    let has_gaps = !snapshot.on_leg_0().is_empty();
    let leg = target(command);
    let lossy = matches!(command, Command::Finish { lossy: true, .. });
    (lossy && has_gaps && leg > 0).then_some(leg)
}

/// What a verb changes of what is kept. A leg that was taken out because it had failed
/// is no longer told of once somebody has said what the mirror is made of.
fn edit(command: &Command) -> SettingsEdit {
    let keeps = matches!(
        command,
        Command::Drop(_) | Command::Resync | Command::Grow { .. }
    );
    let ends = matches!(command, Command::Finish { .. } | Command::Abort);
    SettingsEdit {
        dropped: (!keeps).then(Vec::new),
        bad: ends.then(Vec::new),
        aside: ends.then(Vec::new),
        ahead: ends.then(Vec::new),
        ..SettingsEdit::default()
    }
}

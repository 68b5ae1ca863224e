//! Changing what a mirror is made of while it is in use: the table of a verb's plan
//! is loaded, recorded, and switched to while writes wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Daemon;
use super::admit::{Admitted, admit};
use super::cycle;
use super::desk::spawn;
use super::entry::Kept;
use super::events::Kind;
use super::record::{Stage, Unfinished};
use super::trust;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::grow::grow;
use crate::plan::legs::{self, Change};
use crate::plan::step::Step;
use crate::plan::verb::{Command, Place};
use crate::text::device::DeviceRef;
use crate::text::mirror;

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
        let mut change = plan(snapshot, command)?;
        let admitted = match command.brings() {
            Some(place) => Some(self.admit_leg(snapshot, &change, place)?),
            None => None,
        };
        if let Some(admitted) = &admitted {
            change.table.clone_from(&admitted.table);
        }
        let changed = self.change(serial, snapshot, &change, kept);
        if changed.is_err()
            && let Some(admitted) = admitted
        {
            admitted.undo();
        }
        changed?;
        let (kind, text) = told(snapshot, command);
        self.events.add(&snapshot.info.name, kind, &text);
        Ok(())
    }

    /// Switch to another table. What is recorded beside it is `kept`.
    ///
    /// # Errors
    /// The failed step's; the old table then goes on.
    pub(super) fn change(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        change: &Change,
        mut kept: Kept,
    ) -> Result<()> {
        let name = &snapshot.info.name;
        kept.forged = build::is_forged(&change.table);
        let logs = self.own_logs(snapshot);
        let begun = Unfinished {
            stage: Stage::Reloading,
            files: logs.clone(),
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
        let lines = change.table.to_lines();
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        self.events.add(name, Kind::Reloaded, &lines.join(","));
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

    fn admit_leg(
        &self,
        snapshot: &Snapshot,
        change: &Change,
        place: &Place,
    ) -> Result<Admitted<'_>> {
        let devices = self.devices.as_ref();
        let (id, dev) = (snapshot.info.id(), snapshot.info.dev);
        let mut own = self.engine.deps(&id)?;
        own.push(DeviceRef::Number(dev));
        let blocks = |device: &DeviceRef| devices.facts(device).map(|facts| facts.block_size);
        let (new, sizes) = (
            blocks(&place.device)?,
            own.iter().filter_map(|d| blocks(d).ok()),
        );
        let mut others = sizes.filter(|size| *size != new);
        if let Some(other) = others.next() {
            return Err(Error::invalid(format!(
                "{} has logical blocks of {new} bytes, the mirror of {other}: \
                 they cannot differ while it is in use",
                place.device
            )));
        }
        let read_only = snapshot.info.read_only;
        let admitted = admit(devices, &self.claims, &change.table, &own, read_only)?;
        match cycle::check(self.engine.as_ref(), dev, &admitted.table) {
            Ok(()) => Ok(admitted),
            Err(error) => {
                admitted.undo();
                Err(error)
            }
        }
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
        Command::Add(place) => legs::add(snapshot, leg_at(place)),
        Command::Replace(leg, place) => legs::replace(snapshot, *leg, leg_at(place)),
        Command::Resync => legs::resync(snapshot),
        Command::Grow(length) => grow(snapshot, *length),
        Command::Suspend(_) | Command::Resume | Command::Retry | Command::Remove { .. } => {
            Err(Error::invalid("it changes no legs"))
        }
    }
}

fn leg_at(place: &Place) -> mirror::Leg {
    mirror::Leg {
        device: place.device.clone(),
        offset: place.offset,
    }
}

/// What stands in `events` of a verb that was done.
fn told(snapshot: &Snapshot, command: &Command) -> (Kind, String) {
    let node = |leg: usize| {
        let leg = snapshot.legs.get(leg);
        leg.map_or_else(|| "-".into(), |leg| leg.node())
    };
    match command {
        Command::Finish(leg) => {
            let leg = leg.unwrap_or(1);
            let others = snapshot.legs.iter().filter(|other| other.number != leg);
            let others: Vec<String> = others.map(|other| other.node()).collect();
            let others = match others.as_slice() {
                [one] => format!("{one} is"),
                many => format!("{} are", many.join(", ")),
            };
            let device = match snapshot.known.holds_writes {
                true => "; the device stays until it is closed",
                false => "",
            };
            let node = node(leg);
            let text = format!("on leg {leg} {node}; {others} no longer used and may go{device}");
            (Kind::Finished, text)
        }
        Command::Abort => (Kind::Aborted, format!("back on leg 0 {}", node(0))),
        Command::Drop(leg) => (
            Kind::Dropped,
            format!("leg {leg} {} by request", node(*leg)),
        ),
        Command::Add(place) => (Kind::Added, place.to_string()),
        Command::Replace(leg, place) => (
            Kind::Added,
            format!("{place} in place of leg {leg} {}", node(*leg)),
        ),
        _ => (
            Kind::Retried,
            "everything is copied again, by request".into(),
        ),
    }
}

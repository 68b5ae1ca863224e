//! The table that a device is to get which is there already: what must be true of
//! its devices beside what is true of those of a new one.

use std::thread::sleep;
use std::time::Duration;

use super::admit::Admission;
use super::admit::Admitted;
use super::cycle;
use super::demand::{Care, Demand};
use super::looks::Looks;
use super::own::Own;
use crate::engine::home::Lying;
use crate::engine::{Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::verb::Command;
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// udev and the like have a device open for a moment whenever it changes.
const PAUSE: Duration = Duration::from_millis(75);
const TRIES: u32 = 5;

/// A table for a device that is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Successor<'t> {
    pub table: &'t Table,
    /// How far it is looked for what somebody may still want.
    pub care: Care,
    /// Whether that may be written over.
    pub force: bool,
    /// Whether a mirror target of it is to be longer or shorter, over the same legs.
    pub grows: bool,
}

impl Successor<'_> {
    /// The table of a verb that makes bytes writable which were not.
    pub(crate) fn of<'t>(command: &Command, table: &'t Table) -> Option<Successor<'t>> {
        let (care, force, grows) = match command {
            Command::Add { force, .. } | Command::Replace { force, .. } => {
                (Care::Proved, *force, false)
            }
            Command::Grow { force, .. } => (Care::All, *force, true),
            _ => return None,
        };
        Some(Successor {
            table,
            care,
            force,
            grows,
        })
    }
}

impl Admission {
    /// Check every device of a table that a device is to get, and make it usable.
    /// What the device holds already stays its own.
    ///
    /// # Errors
    /// As those of [`Admission::admit`]; EINVAL where something stands on the device
    /// itself, or has other logical blocks than it while it is in use.
    pub(crate) fn admit_successor(
        &self,
        snapshot: &Snapshot,
        successor: &Successor<'_>,
    ) -> Result<Admitted<'_>> {
        let (devices, info) = (self.devices.as_ref(), &snapshot.info);
        let table = successor.table;
        let itself = DeviceRef::Number(info.dev);
        let mut held = self.engine.deps(&info.id(), Slot::Live)?;
        held.push(itself.clone());
        let looks = Looks::at(devices);
        self.check_homes(info, table, &held, &looks)?;
        cycle::check(self.engine.as_ref(), info.dev, &numbered(table, &looks))?;
        let blocks = devices.facts(&itself).map(|facts| facts.block_size);
        let live = blocks.ok().filter(|_| info.live);
        let mut own = Own::of(devices, &snapshot.table, held);
        own.live = live.map(|blocks| (info.name.clone(), blocks));
        own.grows = successor.grows;
        self.admit(&Demand {
            table,
            looks,
            own,
            read_only: info.read_only,
            care: successor.care,
            force: successor.force,
        })
    }

    /// What lies on the device itself, as a file in a file system there, is written
    /// through the device: as its log, or as a leg, it would wait for itself. What the
    /// device has already was looked at before.
    fn check_homes(
        &self,
        info: &Info,
        table: &Table,
        own: &[DeviceRef],
        looks: &Looks<'_>,
    ) -> Result<()> {
        let logs: Vec<DeviceRef> = table.log_devices().cloned().collect();
        // Only a log is made where there is none; of a leg that is said afterwards.
        let is_missing = |device: &DeviceRef| {
            let missing = looks.facts(device).err();
            missing.is_some_and(|error| error.errno() == Errno::ENOENT) && !logs.contains(device)
        };
        let mut table = table.clone();
        let mut new = table.devices().filter(|device| !own.contains(device));
        let lies = |device: &DeviceRef| match looks.facts(device) {
            Ok(facts) => self.lies_on(&facts.pinned(), info),
            Err(_) => self.lies_on(device, info),
        };
        new.try_for_each(|device| match lies(device) {
            Lying::Elsewhere => Ok(()),
            Lying::Unknown(_) if is_missing(device) => Ok(()),
            Lying::OnIt => Err(Error::invalid(format!(
                "{device} lies on the mirror itself and would wait for itself: use one outside the mirror"
            ))),
            Lying::Unknown(why) => Err(Error::invalid(format!(
                "{device} may lie on the mirror itself, which is in use: {why}. \
                 Use one on a known disk"
            ))),
        })
    }

    /// Whether a device or file, or one that would be made, lies on a device. Where that
    /// is unknown it does not if nobody has the device open: no file system is on it.
    pub(crate) fn lies_on(&self, device: &DeviceRef, info: &Info) -> Lying {
        let home = self.devices.home(device);
        match self.devices.lies_on(&home, info.dev) {
            Lying::Unknown(_) if !self.is_in_use(info) => Lying::Elsewhere,
            known => known,
        }
    }

    fn is_in_use(&self, info: &Info) -> bool {
        (0..TRIES).all(|turn| {
            sleep(PAUSE * turn.min(1));
            let now = self.engine.info(&info.id());
            // What cannot be asked may be.
            now.map_or(true, |info| info.open_count > 0)
        })
    }
}

/// The table with the number of each device that has one.
fn numbered(table: &Table, looks: &Looks<'_>) -> Table {
    let mut table = table.clone();
    for device in table.devices() {
        if let Ok(facts) = looks.facts(device) {
            *device = facts.device;
        }
    }
    table
}

//! The table that a device is to get which is there already: what must be true of
//! its devices beside what is true of those of a new one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Daemon;
use super::admit::{Admitted, Care, Demand};
use super::cycle;
use super::own::Own;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::verb::Command;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Table;

/// A table for a device that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Successor<'t> {
    pub table: &'t Table,
    /// How far it is looked for what somebody may still want.
    pub care: Care,
    /// Whether that may be written over.
    pub force: bool,
    /// Whether the device is to be longer, and nothing else.
    pub grows: bool,
}

impl Successor<'_> {
    /// The table of a verb that makes bytes writable which were not.
    pub(super) fn of<'t>(command: &Command, table: &'t Table) -> Option<Successor<'t>> {
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

impl Daemon {
    /// Check every device of a table that a device is to get, and make it usable.
    /// What the device holds already stays its own.
    ///
    /// # Errors
    /// As those of [`Daemon::admit`]; EINVAL where something stands on the device
    /// itself, or has other logical blocks than it while it is in use.
    pub(super) fn admit_successor(
        &self,
        snapshot: &Snapshot,
        successor: &Successor<'_>,
    ) -> Result<Admitted<'_>> {
        let (devices, info) = (self.devices.as_ref(), &snapshot.info);
        let table = successor.table;
        self.check_files(info.dev, table)?;
        cycle::check(self.engine.as_ref(), info.dev, &self.numbered(table))?;
        let itself = DeviceRef::Number(info.dev);
        let mut held = self.engine.deps(&info.id())?;
        held.push(itself.clone());
        let blocks = devices.facts(&itself).map(|facts| facts.block_size);
        let live = blocks.ok().filter(|_| info.live);
        let mut own = Own::of(devices, &snapshot.table, held);
        own.live = live.map(|blocks| (info.name.clone(), blocks));
        own.grows = successor.grows;
        self.admit(&Demand {
            table,
            own,
            read_only: info.read_only,
            care: successor.care,
            force: successor.force,
        })
    }

    /// The table with the number of each device that has one.
    fn numbered(&self, table: &Table) -> Table {
        let mut table = table.clone();
        for device in table.devices() {
            if let Ok(facts) = self.devices.facts(device) {
                *device = facts.device;
            }
        }
        table
    }

    /// A file in a file system on the device itself is written through the device:
    /// its log, or a leg, would wait for itself.
    fn check_files(&self, dev: DevNo, table: &Table) -> Result<()> {
        let mut table = table.clone();
        let mut within = table
            .devices()
            .filter(|device| self.is_within(device, dev))
            .map(|device| device.to_string());
        within.next().map_or(Ok(()), |file| {
            Err(Error::invalid(format!(
                "{file} is a file in a file system on the mirror itself: \
                 put it where the mirror does not reach"
            )))
        })
    }

    fn is_within(&self, device: &DeviceRef, dev: DevNo) -> bool {
        let facts = self.devices.facts(device).ok();
        let file = facts.and_then(|facts| facts.file);
        let path = file.as_deref().or(device.path());
        path.is_some_and(|path| self.lies_on(path, dev))
    }

    /// Whether a path is, or would be made, in a file system on the device.
    pub(super) fn lies_on(&self, path: &Path, dev: DevNo) -> bool {
        let there = path.ancestors().find_map(|path| path.metadata().ok());
        there.is_some_and(|stat| self.devices.stands_on(DevNo::of_dev_t(stat.dev()), dev))
    }
}

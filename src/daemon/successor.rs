//! The table that a device is to get which is there already: what must be true of
//! its devices beside what is true of those of a new one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Daemon;
use super::admit::{Admitted, admit};
use super::cycle;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Table;

impl Daemon {
    /// Check every device of a table that a device is to get, and make it usable.
    /// What the device holds already stays its own.
    ///
    /// # Errors
    /// As those of [`admit`]; EINVAL where something stands on the device itself, or
    /// has other logical blocks than it while it is in use.
    pub(super) fn admit_successor(
        &self,
        snapshot: &Snapshot,
        table: &Table,
    ) -> Result<Admitted<'_>> {
        let devices = self.devices.as_ref();
        let dev = snapshot.info.dev;
        let mut own = self.engine.deps(&snapshot.info.id())?;
        own.push(DeviceRef::Number(dev));
        self.check_blocks(snapshot, table, &own)?;
        self.check_files(dev, table)?;
        let read_only = snapshot.info.read_only;
        let admitted = admit(devices, &self.claims, table, &own, read_only)?;
        match cycle::check(self.engine.as_ref(), dev, &admitted.table) {
            Ok(()) => Ok(admitted),
            Err(error) => {
                admitted.undo();
                Err(error)
            }
        }
    }

    /// The kernel takes a leg with larger blocks, and the device has them too from
    /// then on: a file system that is mounted from it fails.
    fn check_blocks(&self, snapshot: &Snapshot, table: &Table, own: &[DeviceRef]) -> Result<()> {
        let blocks = |device: &DeviceRef| {
            let facts = self.devices.facts(device);
            facts.map(|facts| facts.block_size)
        };
        let has = blocks(&DeviceRef::Number(snapshot.info.dev));
        let (true, Ok(has)) = (snapshot.info.live, has) else {
            return Ok(());
        };
        let legs = table.mirrors().flat_map(|(_, mirror)| &mirror.legs);
        let new = legs.filter(|leg| !own.contains(&leg.device));
        let sizes = new.filter_map(|leg| Some((&leg.device, blocks(&leg.device).ok()?)));
        let mut others = sizes.filter(|(_, size)| *size != has);
        others.next().map_or(Ok(()), |(device, size)| {
            Err(Error::invalid(format!(
                "{device} has logical blocks of {size} bytes, {} of {has}: \
                 they cannot differ while it is in use",
                snapshot.info.name
            )))
        })
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

//! The table that a device is to get which is there already: what must be true of
//! its devices beside what is true of those of a new one.

use std::thread::sleep;
use std::time::Duration;

use super::Daemon;
use super::admit::{Admitted, admit};
use super::cycle;
use crate::engine::Info;
use crate::engine::home::Lying;
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// udev and the like have a device open for a moment whenever it changes.
const PAUSE: Duration = Duration::from_millis(75);
const TRIES: u32 = 5;

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
        self.check_homes(&snapshot.info, table, &own)?;
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

    /// What lies on the device itself, as a file in a file system there, is written
    /// through the device: as its log, or as a leg, it would wait for itself. What the
    /// device has already was looked at before.
    fn check_homes(&self, info: &Info, table: &Table, own: &[DeviceRef]) -> Result<()> {
        let logs: Vec<DeviceRef> = table.log_devices().cloned().collect();
        // Only a log is made where there is none; of a leg that is said afterwards.
        let is_missing = |device: &DeviceRef| {
            let missing = self.devices.facts(device).err();
            missing.is_some_and(|error| error.errno() == Errno::ENOENT) && !logs.contains(device)
        };
        let mut table = table.clone();
        let mut new = table.devices().filter(|device| !own.contains(device));
        new.try_for_each(|device| match self.lies_on(device, info) {
            Lying::Elsewhere => Ok(()),
            Lying::Unknown(_) if is_missing(device) => Ok(()),
            Lying::OnIt => Err(Error::invalid(format!(
                "{device} lies on the mirror itself and would wait for itself: \
                 take one that the mirror does not reach"
            ))),
            Lying::Unknown(why) => Err(Error::invalid(format!(
                "{device} may lie on the mirror itself, which is in use: {why}. \
                 Take one on a disk that is known"
            ))),
        })
    }

    /// Whether a device or file, or one that would be made, lies on a device. Where that
    /// is unknown it does not if nobody has the device open: no file system is on it.
    pub(super) fn lies_on(&self, device: &DeviceRef, info: &Info) -> Lying {
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

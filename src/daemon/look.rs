//! Looking: which mirrors there are now, and what one is like. Changes nothing
//! in device-mapper.

use super::Daemon;
use crate::engine::{Facts, Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::{Known, Snapshot, is_shown};
use crate::text::device::DeviceRef;
use crate::text::table::Line;

/// How much a file has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The engine, and no mirror.
    Engine,
    /// What device-mapper answers: two ioctls.
    Kernel,
    /// The names and sizes of devices too.
    Devices,
    /// The engine too, and how many events there were.
    All,
}

impl Daemon {
    /// The mirror that has this name now.
    ///
    /// # Errors
    /// ENOENT where there is none.
    pub fn find(&self, name: &str) -> Result<u64> {
        let gone = || Error::new(Errno::ENOENT, format!("there is no mirror {name}"));
        let id = Id::Name(name.into());
        match self.engine.table(&id, Slot::Live) {
            Ok((info, lines)) if self.shows(&info, &lines) => Ok(self.registry.note(&info)),
            Ok(_) => Err(gone()),
            Err(_) => {
                let mut absent = self.registry.absentees().into_iter();
                let found = absent.find(|(_, other)| other == name);
                found.map(|(serial, _)| serial).ok_or_else(gone)
            }
        }
    }

    /// Whether a device is shown: also what lost its mirror target with a leg.
    pub(super) fn shows(&self, info: &Info, lines: &[Line]) -> bool {
        is_shown(info, lines) || self.registry.has_dropped(info)
    }

    /// The serials and names of all mirrors, in the kernel's order; those that are
    /// only recorded come last.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn mirrors(&self) -> Result<Vec<(u64, String)>> {
        let listed = self.engine.list()?;
        let found = listed.into_iter().filter_map(|device| {
            let serial = self.find(&device.name).ok()?;
            Some((serial, device.name))
        });
        let found: Vec<(u64, String)> = found.collect();
        let absent = self.registry.absentees().into_iter();
        let hidden = |(_, name): &(u64, String)| found.iter().any(|(_, other)| other == name);
        let absent: Vec<_> = absent.filter(|one| !hidden(one)).collect();
        Ok([found, absent].concat())
    }

    /// The mirror as it is now.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn snapshot(&self, serial: u64, detail: Detail) -> Result<Snapshot> {
        if let Some(absent) = self.registry.absent(serial) {
            return Ok(self.absent_snapshot(serial, &absent));
        }
        let (id, dev) = self.registry.address(serial)?;
        let (info, lines) = self.engine.table(&id, Slot::Live)?;
        let (_, status) = self.engine.status(&id)?;
        if info.dev != dev {
            return Err(Error::new(Errno::ENODEV, format!("{dev} is gone")));
        }
        // After the status: what it shows is not of a later life.
        let life = self.engine.life(dev).ok();
        let known = Known {
            holds_writes: !self.forgets(),
            ..self.registry.known(serial)
        };
        let facts = |device: &DeviceRef| self.facts(device, detail);
        Ok(Snapshot::new(info, status, lines, life, known, &facts))
    }

    fn facts(&self, device: &DeviceRef, detail: Detail) -> Option<Facts> {
        match detail {
            Detail::Engine | Detail::Kernel => None,
            Detail::Devices | Detail::All => self.devices.facts(device).ok(),
        }
    }
}

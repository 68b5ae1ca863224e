//! The embedded engine: device-mapper's mirror in this process, over regular files
//! and block devices, without root. The same tables, statuses, letters, events and
//! log format as the kernel's; no block device, so that no I/O comes through a
//! mirror. It knows nothing of what a mirror is for, and keeps nothing beyond the
//! life of the process.

mod bits;
mod copy;
mod counter;
mod device;
pub mod devices;
mod exclusive;
mod holes;
mod leg;
mod loaded;
mod log;
mod logdisk;
mod mirror;
mod recovery;
mod resync_queue;
mod store;
mod throttle;
#[cfg(test)]
mod turns;
mod window;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use self::counter::Counter;
use self::device::Device;
use self::exclusive::Holds;
use self::loaded::{Loaded, Means};
use self::throttle::Throttle;
use super::host::Host;
use super::{
    Engine, Id, Info, Kind, Listed, PromptEngine, Slot, Suspend, Versions, check_throttle,
};
use crate::engine::bell::Bell;
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef, MAX_MINOR};
use crate::text::table::Line;

/// Device-mapper in this process. Its lock is never held while a disk is waited
/// for.
pub struct Embedded {
    host: Host,
    holds: Holds,
    throttle: Arc<Throttle>,
    bell: Arc<Bell>,
    devices: Mutex<Vec<Device>>,
    /// How often any device was resumed, renamed or removed.
    lives: AtomicU64,
}

impl Embedded {
    /// An engine without devices.
    ///
    /// # Errors
    /// EMFILE, ENFILE where no descriptor can be had.
    pub fn new() -> Result<Embedded> {
        Ok(Embedded {
            host: Host::new(),
            holds: Holds::default(),
            throttle: Arc::default(),
            bell: Bell::new()?,
            devices: Mutex::default(),
            lives: AtomicU64::new(0),
        })
    }

    /// The name of the device that uses a file or device, other than those that
    /// are in `own`.
    fn user(&self, key: &str, own: &[DeviceRef]) -> Option<String> {
        let devices = self.devices.lock();
        let others = devices
            .iter()
            .filter(|device| !own.contains(&DeviceRef::Number(device.dev())));
        let mut users = others.filter(|device| {
            let mut tables = device.live.iter().chain(&device.inactive);
            tables.any(|table| table.uses(key))
        });
        users.next().map(|device| device.name.clone())
    }

    /// Begin a life of a table, or end one.
    fn next_life(&self) -> u64 {
        self.lives.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Look at or change one device, for a moment.
    fn with<T>(&self, id: &Id, look: impl FnOnce(&mut Device) -> T) -> Result<T> {
        let mut devices = self.devices.lock();
        let found = devices.iter_mut().find(|device| device.is(id));
        found.map(look).ok_or_else(|| missing(id))
    }

    /// Switch to the inactive table. The old one has stopped before the new one
    /// reads the log that they may share, and stays where the new one cannot start.
    fn switch(&self, id: &Id, old: Option<&Loaded>, new: Arc<Loaded>) -> Result<()> {
        if let Some(old) = old {
            old.stop();
            self.with(id, |device| device.suspended = true)?;
        }
        self.with(id, |device| device.inactive = None)?;
        new.start()?;
        // What was live goes when no lock is held: its threads are waited for.
        let gone = self.with(id, |device| {
            device.suspended = false;
            device.life = self.next_life();
            device.live.replace(new)
        })?;
        drop(gone);
        Ok(())
    }
}

fn missing(id: &Id) -> Error {
    let sentence = format!("looking up {id}: there is no such device");
    Error::new(Errno::ENODEV, sentence)
}

impl PromptEngine for Embedded {
    fn kind(&self) -> Kind {
        Kind::Embedded
    }

    fn versions(&self) -> Result<Versions> {
        Ok(Versions {
            dm: "none".into(),
            mirror: None,
        })
    }

    fn list(&self) -> Result<Arc<[Listed]>> {
        let devices = self.devices.lock();
        let listed = devices.iter().map(|device| Listed {
            name: device.name.clone(),
            dev: device.dev(),
            event_nr: device.events.get(),
            life: Some(device.life),
        });
        let mut listed: Vec<Listed> = listed.collect();
        // As the kernel has them (`list_devices`, dm-ioctl.c).
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed.into())
    }

    fn info(&self, id: &Id) -> Result<Info> {
        self.with(id, |device| device.info())
    }

    fn status(&self, id: &Id) -> Result<(Info, Vec<Line>)> {
        let (info, live) = self.with(id, |device| (device.info(), device.live.clone()))?;
        Ok((info, live.map(|table| table.status()).unwrap_or_default()))
    }

    fn table(&self, id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)> {
        self.with(id, |device| (device.info(), device.lines(slot)))
    }

    fn deps(&self, id: &Id, slot: Slot) -> Result<Vec<DeviceRef>> {
        let table = self.with(id, |device| match slot {
            Slot::Live => device.live.clone(),
            Slot::Inactive => device.inactive.clone(),
        })?;
        Ok(table.map(|table| table.deps()).unwrap_or_default())
    }

    fn arm(&self) -> Result<()> {
        self.bell.silence();
        Ok(())
    }

    fn events(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.bell.fd()]
    }

    fn life(&self, dev: DevNo) -> Result<u64> {
        let devices = self.devices.lock();
        let found = devices.iter().find(|device| device.dev() == dev);
        let gone = || Error::new(Errno::ENODEV, format!("there is no device {dev}"));
        found.map(|device| device.life).ok_or_else(gone)
    }

    fn lives(&self) -> Result<u64> {
        Ok(self.lives.load(Ordering::Relaxed))
    }

    fn throttle(&self) -> Result<u32> {
        Ok(self.throttle.percent())
    }
}

impl Engine for Embedded {
    fn create(&self, name: &str, uuid: &str, minor: Option<u32>) -> Result<Info> {
        let mut devices = self.devices.lock();
        let taken = |what: &str| Error::new(Errno::EEXIST, format!("{what} is taken"));
        if devices.iter().any(|device| device.name == name) {
            return Err(taken(&format!("the name {name}")));
        }
        if devices
            .iter()
            .any(|device| device.is(&Id::Uuid(uuid.into())))
        {
            return Err(taken(&format!("the UUID {uuid}")));
        }
        let used = |minor: &u32| devices.iter().any(|device| device.minor == *minor);
        let minor = match minor {
            Some(minor) if used(&minor) || minor > MAX_MINOR => {
                let sentence = format!("creating {name}: minor number {minor} is in use");
                return Err(Error::busy(sentence));
            }
            Some(minor) => minor,
            None => (0..=MAX_MINOR)
                .find(|minor| !used(minor))
                .ok_or_else(|| Error::busy("no minor number is free"))?,
        };
        let (events, life) = (Counter::new(&self.bell), self.next_life());
        let device = Device::new(name, uuid, minor, events, life);
        let info = device.info();
        devices.push(device);
        self.bell.ring();
        Ok(info)
    }

    fn load(&self, id: &Id, table: &[Line], read_only: bool) -> Result<()> {
        let (name, events) =
            self.with(id, |device| (device.name.clone(), device.events.clone()))?;
        let means = Means {
            host: &self.host,
            holds: &self.holds,
            throttle: &self.throttle,
            events: &events,
            read_only,
        };
        let loaded = Loaded::open(table, &means)
            .map_err(|error| error.context(format!("loading a table into {name}")))?;
        let gone = self.with(id, |device| device.inactive.replace(Arc::new(loaded)))?;
        drop(gone);
        Ok(())
    }

    fn clear(&self, id: &Id) -> Result<()> {
        let gone = self.with(id, |device| device.inactive.take())?;
        drop(gone);
        Ok(())
    }

    fn suspend(&self, id: &Id, _how: Suspend) -> Result<()> {
        if let Some(live) = self.with(id, |device| device.live.clone())? {
            live.stop();
        }
        self.with(id, |device| device.suspended = true)
    }

    fn resume(&self, id: &Id) -> Result<()> {
        let (device, live, inactive) = self.with(id, |device| {
            (device.info(), device.live.clone(), device.inactive.clone())
        })?;
        match (live, inactive) {
            (live, Some(new)) => self.switch(id, live.as_deref(), new),
            (Some(live), None) if device.suspended => {
                live.start()?;
                self.with(id, |device| {
                    device.suspended = false;
                    device.life = self.next_life();
                })
            }
            (Some(_), None) => Ok(()),
            (None, None) => Err(Error::invalid(format!(
                "resuming {}: it has no table",
                device.name
            ))),
        }
    }

    fn remove(&self, id: &Id, _deferred: bool) -> Result<()> {
        // Stopped first: a disk that hangs must not be waited for with the lock.
        if let Some(live) = self.with(id, |device| device.live.clone())? {
            live.stop();
        }
        let mut devices = self.devices.lock();
        let place = devices.iter().position(|device| device.is(id));
        let gone = devices.remove(place.ok_or_else(|| missing(id))?);
        self.next_life();
        drop(devices);
        drop(gone);
        self.bell.ring();
        Ok(())
    }

    fn rename(&self, id: &Id, name: &str) -> Result<()> {
        let mut devices = self.devices.lock();
        if devices.iter().any(|device| device.name == name) {
            let sentence = format!("renaming {id}: the name {name} is taken");
            return Err(Error::new(Errno::EEXIST, sentence));
        }
        let device = devices.iter_mut().find(|device| device.is(id));
        let device = device.ok_or_else(|| missing(id))?;
        device.name = name.into();
        device.life = self.next_life();
        match device.live {
            Some(_) => device.events.raise(),
            None => self.bell.ring(),
        }
        Ok(())
    }

    fn set_throttle(&self, percent: u32) -> Result<()> {
        check_throttle(percent)?;
        self.throttle.set(percent);
        Ok(())
    }

    fn close(&self) {
        // Stopped, and let go of what they held, for the next who mounts.
        let gone = std::mem::take(&mut *self.devices.lock());
        drop(gone);
    }
}

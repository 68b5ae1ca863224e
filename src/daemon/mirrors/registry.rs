//! Which mirrors there are, under which serial number, and what the daemon
//! remembers of each. A serial is never given twice, so that a reused name or
//! device number is not mistaken for what had it before.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::entry::{Absent, Entry};
use crate::daemon::events::counts::NONE;
use crate::engine::{Id, Info};
use crate::error::{Errno, Error, Result};
use crate::model::look::Look;
use crate::model::snapshot::Known;
use crate::text::device::DevNo;

#[derive(Debug, Default)]
pub(crate) struct Inner {
    last: u64,
    pub(crate) entries: HashMap<u64, Entry>,
    by_id: HashMap<(Id, DevNo), u64>,
    /// The names of mirrors that are being made.
    pub(crate) reserved: HashSet<String>,
}

/// The mirrors that the daemon knows.
#[derive(Debug, Default)]
pub struct Registry {
    pub(crate) inner: Mutex<Inner>,
    /// Something that ran on a mirror has come to its end.
    pub(crate) ended: Condvar,
}

impl Registry {
    /// The serial of the device that answered `info`, new if it is.
    pub fn note(&self, info: &Info) -> u64 {
        let mut inner = self.inner.lock();
        let key = (info.id(), info.dev);
        if let Some(serial) = inner.by_id.get(&key).copied() {
            if let Some(entry) = inner.entries.get_mut(&serial) {
                entry.name.clone_from(&info.name);
            }
            return serial;
        }
        inner.insert(key, &info.name)
    }

    /// The entry of `serial`.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn get(&self, serial: u64) -> Result<Entry> {
        let entry = self.inner.lock().entries.get(&serial).cloned();
        entry.ok_or_else(gone)
    }

    /// Its name, for who tells of it; `-` where it is gone.
    pub fn name_of(&self, serial: u64) -> String {
        self.get(serial)
            .map_or_else(|_| NONE.into(), |entry| entry.name)
    }

    /// Whether the mirror is known: cheaper than [`Registry::get`], and asked for
    /// each request.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn check(&self, serial: u64) -> Result<()> {
        let known = self.inner.lock().entries.contains_key(&serial);
        known.then_some(()).ok_or_else(gone)
    }

    /// How to address the mirror, and its number.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn address(&self, serial: u64) -> Result<(Id, DevNo)> {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&serial).ok_or_else(gone)?;
        Ok((entry.id.clone(), entry.dev))
    }

    /// Change what is remembered of `serial`; nothing where it is gone.
    pub fn update<T>(&self, serial: u64, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.inner.lock().entries.get_mut(&serial).map(change)
    }

    /// All serials.
    pub fn serials(&self) -> Vec<u64> {
        self.inner.lock().entries.keys().copied().collect()
    }

    /// The device of `serial` answers as `info` from now on: it was renamed.
    pub fn renamed(&self, serial: u64, info: &Info) {
        let mut inner = self.inner.lock();
        inner.by_id.retain(|_, other| *other != serial);
        inner.by_id.insert((info.id(), info.dev), serial);
        if let Some(entry) = inner.entries.get_mut(&serial) {
            entry.id = info.id();
            entry.name.clone_from(&info.name);
            entry.announced = Some(info.name.clone());
        }
    }

    /// Whether legs were taken out of a device.
    pub fn has_dropped(&self, info: &Info) -> bool {
        let inner = self.inner.lock();
        let serial = inner.by_id.get(&(info.id(), info.dev));
        let entry = serial.and_then(|serial| inner.entries.get(serial));
        let kept = entry.and_then(|entry| entry.settings.as_ref());
        kept.is_some_and(|kept| !kept.dropped.is_empty())
    }

    /// When the first mirror is to be looked at again, of those that were not due
    /// yet at the last look.
    pub fn next_due(&self, last: Instant) -> Option<Instant> {
        let inner = self.inner.lock();
        let due = inner.entries.values().filter_map(|entry| entry.due);
        due.filter(|due| *due > last).min()
    }

    /// Forget a mirror that is gone, and say what was known of it.
    pub fn forget(&self, serial: u64) -> Option<Entry> {
        let mut inner = self.inner.lock();
        inner.by_id.retain(|_, other| *other != serial);
        inner.entries.remove(&serial)
    }

    /// What a snapshot shows of what the daemon remembers.
    pub fn known(&self, serial: u64) -> Known {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&serial);
        entry.map(Entry::known).unwrap_or_default()
    }

    /// Enter a mirror that is recorded and not there.
    pub fn enter_absent(&self, absent: Absent) -> u64 {
        let mut inner = self.inner.lock();
        let id = Id::Uuid(absent.record.uuid.clone());
        let nowhere = DevNo { major: 0, minor: 0 };
        let name = absent.record.name.clone();
        let serial = inner.insert((id.clone(), nowhere), &name);
        // A device that comes under this UUID is another entry.
        inner.by_id.remove(&(id, nowhere));
        if let Some(entry) = inner.entries.get_mut(&serial) {
            entry.settings = Some(absent.record.settings.clone());
            entry.announced = Some(name);
            entry.absent = Some(absent);
        }
        serial
    }

    /// Owner and mode of a mirror's file, as far as they were changed. Asked for
    /// each `stat`: the path is made only where something was changed.
    pub fn look(&self, serial: u64, path: impl FnOnce() -> String) -> Look {
        let inner = self.inner.lock();
        let kept = inner
            .entries
            .get(&serial)
            .and_then(|entry| entry.settings.as_ref());
        let looks = kept
            .map(|kept| &kept.looks)
            .filter(|looks| !looks.is_empty());
        looks
            .and_then(|looks| looks.get(&path()).copied())
            .unwrap_or_default()
    }

    /// What is known of a mirror that is not there; none of one that is.
    pub fn absent(&self, serial: u64) -> Option<Absent> {
        self.inner.lock().entries.get(&serial)?.absent.clone()
    }

    /// The mirrors that are recorded and not there: serials and names.
    pub fn absentees(&self) -> Vec<(u64, String)> {
        let inner = self.inner.lock();
        let absent = inner
            .entries
            .values()
            .filter(|entry| entry.absent.is_some());
        let mut absent: Vec<_> = absent
            .map(|entry| (entry.serial, entry.name.clone()))
            .collect();
        absent.sort();
        absent
    }
}

impl Inner {
    fn insert(&mut self, key: (Id, DevNo), name: &str) -> u64 {
        self.last += 1;
        let entry = Entry::new(self.last, key.clone(), name);
        self.entries.insert(self.last, entry);
        self.by_id.insert(key, self.last);
        self.last
    }
}

pub(crate) fn gone() -> Error {
    Error::new(Errno::ENODEV, "the mirror is gone")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn info(name: &str, uuid: &str, minor: u32) -> Info {
        Info {
            name: name.into(),
            uuid: uuid.into(),
            dev: DevNo { major: 254, minor },
            event_nr: 0,
            open_count: 0,
            suspended: false,
            read_only: false,
            live: true,
            inactive: false,
            deferred: false,
        }
    }

    #[test]
    fn a_serial_outlives_a_rename_and_is_never_given_twice() {
        let registry = Registry::default();
        let first = registry.note(&info("a", "MIRRORFS-1", 0));
        assert_eq!(registry.note(&info("b", "MIRRORFS-1", 0)), first);
        assert_eq!(registry.get(first).map(|entry| entry.name), Ok("b".into()));
        registry.forget(first);
        let second = registry.note(&info("a", "MIRRORFS-1", 0));
        assert_ne!(second, first);
        assert_ne!(registry.note(&info("a", "", 0)), second);
        assert_eq!(
            registry.get(first).map_err(|e| e.errno()).err(),
            Some(Errno::ENODEV)
        );
    }
}

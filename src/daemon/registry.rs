//! Which mirrors there are, under which serial number, and what the daemon
//! remembers of each. A serial is never given twice, so that a reused name or
//! device number is not mistaken for what had it before.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entry::{Absent, By, Entry, Kept, Work};
use crate::engine::{Id, Info};
use crate::error::{Errno, Error, Result};
use crate::model::look::Look;
use crate::model::snapshot::Known;
use crate::text::device::DevNo;

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    entries: HashMap<u64, Entry>,
    by_id: HashMap<(Id, DevNo), u64>,
    reserved: HashSet<String>,
}

/// How long a verb waits for what the daemon itself is doing with the mirror.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mirrors that the daemon knows.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    ended: Condvar,
}

impl Registry {
    /// The serial of the device that answered `info`, new if it is.
    pub fn note(&self, info: &Info) -> u64 {
        let mut inner = self.inner();
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
        let entry = self.inner().entries.get(&serial).cloned();
        entry.ok_or_else(gone)
    }

    /// Whether the mirror is known: cheaper than [`Registry::get`], and asked for
    /// each request.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn check(&self, serial: u64) -> Result<()> {
        let known = self.inner().entries.contains_key(&serial);
        known.then_some(()).ok_or_else(gone)
    }

    /// How to address the mirror, and its number.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn address(&self, serial: u64) -> Result<(Id, DevNo)> {
        let inner = self.inner();
        let entry = inner.entries.get(&serial).ok_or_else(gone)?;
        Ok((entry.id.clone(), entry.dev))
    }

    /// Change what is remembered of `serial`; nothing where it is gone.
    pub fn update<T>(&self, serial: u64, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.inner().entries.get_mut(&serial).map(change)
    }

    /// All serials.
    pub fn serials(&self) -> Vec<u64> {
        self.inner().entries.keys().copied().collect()
    }

    /// The device of `serial` answers as `info` from now on: it was renamed.
    pub fn renamed(&self, serial: u64, info: &Info) {
        let mut inner = self.inner();
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
        let inner = self.inner();
        let serial = inner.by_id.get(&(info.id(), info.dev));
        let entry = serial.and_then(|serial| inner.entries.get(serial));
        let kept = entry.and_then(|entry| entry.kept.as_ref());
        kept.is_some_and(|kept| !kept.dropped.is_empty())
    }

    /// When the first mirror is to be looked at again, of those that were not due
    /// yet at the last look.
    pub fn next_due(&self, last: Instant) -> Option<Instant> {
        let inner = self.inner();
        let due = inner.entries.values().filter_map(|entry| entry.due);
        due.filter(|due| *due > last).min()
    }

    /// Forget a mirror that is gone, and say what was known of it.
    pub fn forget(&self, serial: u64) -> Option<Entry> {
        let mut inner = self.inner();
        inner.by_id.retain(|_, other| *other != serial);
        inner.entries.remove(&serial)
    }

    /// What a snapshot shows of what the daemon remembers.
    pub fn known(&self, serial: u64) -> Known {
        let inner = self.inner();
        let entry = inner.entries.get(&serial);
        entry.map(Entry::known).unwrap_or_default()
    }

    /// Enter a mirror that is recorded and not there.
    pub fn enter_absent(&self, absent: Absent) -> u64 {
        let mut inner = self.inner();
        let id = Id::Uuid(absent.record.uuid.clone());
        let nowhere = DevNo { major: 0, minor: 0 };
        let name = absent.record.name.clone();
        let serial = inner.insert((id.clone(), nowhere), &name);
        // A device that comes under this UUID is another entry.
        inner.by_id.remove(&(id, nowhere));
        if let Some(entry) = inner.entries.get_mut(&serial) {
            entry.kept = Some(Kept::of(&absent.record));
            entry.announced = Some(name);
            entry.absent = Some(absent);
        }
        serial
    }

    /// Owner and mode of a mirror's file, as far as they were changed. Asked for
    /// each `stat`: the path is made only where something was changed.
    pub fn look(&self, serial: u64, path: impl FnOnce() -> String) -> Look {
        let inner = self.inner();
        let kept = inner
            .entries
            .get(&serial)
            .and_then(|entry| entry.kept.as_ref());
        let looks = kept
            .map(|kept| &kept.looks)
            .filter(|looks| !looks.is_empty());
        looks
            .and_then(|looks| looks.get(&path()).copied())
            .unwrap_or_default()
    }

    /// What is known of a mirror that is not there; none of one that is.
    pub fn absent(&self, serial: u64) -> Option<Absent> {
        self.inner().entries.get(&serial)?.absent.clone()
    }

    /// The mirrors that are recorded and not there: serials and names.
    pub fn absentees(&self) -> Vec<(u64, String)> {
        let inner = self.inner();
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

    /// Keep a name for a mirror that is being made.
    ///
    /// # Errors
    /// EEXIST where another one is being made under it.
    pub fn reserve(&self, name: &str) -> Result<Reserved<'_>> {
        if !self.inner().reserved.insert(name.into()) {
            return Err(taken(name));
        }
        let name = name.into();
        Ok(Reserved {
            registry: self,
            name,
        })
    }

    /// Whether a name is kept for a mirror that is being made.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.inner().reserved.contains(name)
    }

    /// Begin a verb that somebody asked for. What the daemon itself does with the
    /// mirror is nobody's fault and mostly short: it is waited for.
    ///
    /// # Errors
    /// EBUSY while another one runs, ENODEV where the mirror is gone.
    pub fn begin(&self, serial: u64, verb: &str) -> Result<Begun<'_>> {
        let own_runs = |inner: &mut Inner| {
            let entry = inner.entries.get(&serial);
            let running = entry.and_then(|entry| entry.running.as_ref());
            running.is_some_and(|running| running.by == By::Daemon)
        };
        let waited = self
            .ended
            .wait_timeout_while(self.inner(), PATIENCE, own_runs);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.begin_in(&mut inner, serial, verb, By::Request)
    }

    /// Begin what the daemon does by itself; it comes again later.
    ///
    /// # Errors
    /// As those of [`Registry::begin`].
    pub fn begin_own(&self, serial: u64, verb: &str) -> Result<Begun<'_>> {
        self.begin_in(&mut self.inner(), serial, verb, By::Daemon)
    }

    fn begin_in(&self, inner: &mut Inner, serial: u64, verb: &str, by: By) -> Result<Begun<'_>> {
        let entry = inner.entries.get_mut(&serial);
        let entry = entry.ok_or_else(gone)?;
        if let Some(other) = &entry.running {
            return Err(Error::busy(format!(
                "`{}` has been running on {} for {} s: wait for its end in `events`",
                other.verb,
                entry.name,
                other.start.elapsed().as_secs()
            )));
        }
        entry.running = Some(Work {
            verb: verb.into(),
            by,
            start: Instant::now(),
        });
        Ok(Begun {
            registry: self,
            serial,
        })
    }

    /// Whether a verb runs on the mirror.
    pub fn is_running(&self, serial: u64) -> bool {
        let inner = self.inner();
        inner
            .entries
            .get(&serial)
            .is_some_and(|entry| entry.running.is_some())
    }

    /// Whether anything is being made or changed.
    pub fn is_busy(&self) -> bool {
        let inner = self.inner();
        let mut entries = inner.entries.values();
        !inner.reserved.is_empty() || entries.any(|entry| entry.running.is_some())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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

fn gone() -> Error {
    Error::new(Errno::ENODEV, "the mirror is gone")
}

/// The error of a name that is in use.
pub fn taken(name: &str) -> Error {
    Error::new(
        Errno::EEXIST,
        format!("the name {name} is taken: choose another, or remove that device"),
    )
}

/// A name that is kept until this is dropped.
#[derive(Debug)]
pub struct Reserved<'a> {
    registry: &'a Registry,
    /// The name.
    pub name: String,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.registry.inner().reserved.remove(&self.name);
    }
}

/// A verb that runs until this is dropped.
#[derive(Debug)]
pub struct Begun<'a> {
    registry: &'a Registry,
    serial: u64,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.registry
            .update(self.serial, |entry| entry.running = None);
        self.registry.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, uuid: &str, minor: u32) -> Info {
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

    #[test]
    fn one_verb_at_a_time_and_one_maker_of_a_name() {
        let registry = Registry::default();
        let serial = registry.note(&info("a", "MIRRORFS-1", 0));
        let begun = registry.begin(serial, "suspend").expect("free");
        let error = registry.begin(serial, "resume").expect_err("busy");
        assert_eq!(error.errno(), Errno::EBUSY);
        assert!(error.sentence().contains("suspend"), "{error}");
        drop(begun);
        assert!(registry.begin(serial, "resume").is_ok());
        let kept = registry.reserve("b").expect("free");
        assert_eq!(
            registry.reserve("b").err().map(|e| e.errno()),
            Some(Errno::EEXIST)
        );
        drop(kept);
        assert!(registry.reserve("b").is_ok());
    }

    #[test]
    fn what_the_daemon_does_is_waited_for() {
        let registry = Registry::default();
        let serial = registry.note(&info("a", "MIRRORFS-1", 0));
        let own = registry.begin_own(serial, "retry").expect("free");
        let error = registry.begin_own(serial, "table").expect_err("busy");
        assert_eq!(error.errno(), Errno::EBUSY);
        std::thread::scope(|scope| {
            let verb = scope.spawn(|| registry.begin(serial, "remove").map(drop));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!verb.is_finished());
            drop(own);
            assert_eq!(verb.join().expect("no panic"), Ok(()));
        });
    }
}

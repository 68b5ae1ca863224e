//! Which mirrors there are, under which number number, and what the daemon
//! remembers of each. A number is never given twice, so that a reused name or
//! device number is not mistaken for what had it before.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::entry::{Entry, SAMPLED_FOR};
use crate::daemon::events::counts::NONE;
use crate::engine::{Id, Info, Listed};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::ownership::Ownership;
use crate::model::snapshot::Known;
use crate::text::device::DevNo;

#[derive(Debug, Default)]
pub(crate) struct Inner {
    last: u64,
    /// Rises with each mirror that is entered, forgotten, or has another address.
    pub(super) version: u64,
    pub(crate) entries: HashMap<MirrorId, Entry>,
    pub(super) by_id: HashMap<(Id, DevNo), MirrorId>,
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
    /// The number of the device that answered `info`, new if it is.
    pub fn note(&self, info: &Info) -> MirrorId {
        let mut inner = self.inner.lock();
        let key = (info.id(), info.dev);
        if let Some(mirror_id) = inner.by_id.get(&key).copied() {
            if let Some(entry) = inner.entries.get_mut(&mirror_id) {
                entry.name.clone_from(&info.name);
            }
            return mirror_id;
        }
        // The same mirror as before it went.
        let known = (!info.uuid.is_empty()).then(|| inner.absent_of(&key.0));
        let Some(mirror_id) = known.flatten() else {
            return inner.insert(key, &info.name);
        };
        inner.version += 1;
        if let Some(entry) = inner.entries.get_mut(&mirror_id) {
            entry.come(key.clone(), &info.name);
        }
        inner.by_id.insert(key, mirror_id);
        mirror_id
    }

    /// Rises with each mirror that is entered, forgotten, or has another address.
    pub fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// Whether something is remembered of a device.
    pub fn has(&self, info: &Info) -> bool {
        self.inner.lock().by_id.contains_key(&(info.id(), info.dev))
    }

    /// The entry of `number`.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn get(&self, mirror_id: MirrorId) -> Result<Entry> {
        let entry = self.inner.lock().entries.get(&mirror_id).cloned();
        entry.ok_or_else(gone)
    }

    /// Its name, for who tells of it; `-` where it is gone.
    pub fn name_of(&self, mirror_id: MirrorId) -> String {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        entry.map_or_else(|| NONE.into(), |entry| entry.name.clone())
    }

    /// Whether the mirror is known: cheaper than [`Registry::get`], and asked for
    /// each request.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn check(&self, mirror_id: MirrorId) -> Result<()> {
        let known = self.inner.lock().entries.contains_key(&mirror_id);
        known.then_some(()).ok_or_else(gone)
    }

    /// Whether each of these is known.
    pub fn has_all(&self, mut mirrors: impl Iterator<Item = MirrorId>) -> bool {
        let inner = self.inner.lock();
        mirrors.all(|mirror_id| inner.entries.contains_key(&mirror_id))
    }

    /// How to address the mirror, and its number.
    ///
    /// # Errors
    /// ENODEV where the mirror is gone.
    pub fn address(&self, mirror_id: MirrorId) -> Result<(Id, DevNo)> {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id).ok_or_else(gone)?;
        Ok((entry.id.clone(), entry.dev))
    }

    /// Change what is remembered of `number`; nothing where it is gone.
    pub fn update<T>(
        &self,
        mirror_id: MirrorId,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        self.inner.lock().entries.get_mut(&mirror_id).map(change)
    }

    /// Every mirror that is known, started or not, in no order.
    pub fn ids(&self) -> Vec<MirrorId> {
        self.inner.lock().entries.keys().copied().collect()
    }

    /// The device of `number` answers as `info` from now on: it was renamed.
    pub fn renamed(&self, mirror_id: MirrorId, info: &Info) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.by_id.retain(|_, other| *other != mirror_id);
        inner.by_id.insert((info.id(), info.dev), mirror_id);
        if let Some(entry) = inner.entries.get_mut(&mirror_id) {
            entry.id = info.id();
            entry.name.clone_from(&info.name);
            entry.announced = Some(info.name.clone());
        }
    }

    /// Whether a mirror, which was just listed, is as it was when it was last watched, and
    /// nothing is to be done about it: then there is no reason to look at it.
    pub fn is_quiet(&self, mirror_id: MirrorId, device: &Listed) -> bool {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        let quiet = entry.is_some_and(|entry| entry.is_quiet(device));
        quiet && !inner.reserved.contains(&device.name)
    }

    /// Whether legs were taken out of a device.
    pub fn has_dropped(&self, info: &Info) -> bool {
        let inner = self.inner.lock();
        let mirror_id = inner.by_id.get(&(info.id(), info.dev));
        let entry = mirror_id.and_then(|mirror_id| inner.entries.get(mirror_id));
        let kept = entry.and_then(|entry| entry.settings.as_ref());
        kept.is_some_and(|kept| !kept.dropped.is_empty())
    }

    /// Whether a copy that is no longer sampled, since it had stopped, is to be sampled
    /// again.
    pub fn resume_sampling(&self, mirror_id: MirrorId) -> bool {
        let stirred = self.update(mirror_id, |entry| {
            let stopped = |(at, _): (Instant, u64)| at.elapsed() >= SAMPLED_FOR;
            let asleep = entry.moved.is_some_and(stopped);
            if asleep {
                entry.moved = None;
            }
            asleep
        });
        stirred == Some(true)
    }

    /// Whether it is not known yet what a mirror that is being made is to be like.
    pub fn is_half_made(&self, mirror_id: MirrorId) -> bool {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        entry.is_none_or(|entry| entry.settings.is_none())
    }

    /// Whether the device of a mirror that is gone has come again, under another number.
    pub fn has_another(&self, gone: &Entry) -> bool {
        let inner = self.inner.lock();
        let mut others = inner.entries.values();
        others.any(|other| {
            other.mirror_id != gone.mirror_id && other.id == gone.id && other.absent.is_none()
        })
    }

    /// The watch looks at a mirror again after a while, whether something happens or not.
    pub fn look_again(&self, mirror_id: MirrorId, after: Duration) {
        let due = Some(Instant::now() + after);
        self.update(mirror_id, |entry| entry.due = due);
    }

    /// The same of the front of its copy, which keeps nothing else waiting.
    pub fn step_in(&self, mirror_id: MirrorId, after: Duration) {
        let next = Some(Instant::now() + after);
        self.update(mirror_id, |entry| entry.front.next = next);
    }

    /// When the first mirror is to be looked at again, of those that were not due
    /// yet at the last look.
    pub fn next_due(&self, last: Instant) -> Option<Instant> {
        let inner = self.inner.lock();
        let entries = inner.entries.values();
        let due = entries.flat_map(|entry| [entry.due, entry.front.next]);
        let due = due.flatten();
        due.filter(|due| *due > last).min()
    }

    /// The mirrors that are to be looked at by now.
    pub fn due(&self, now: Instant) -> Vec<MirrorId> {
        let inner = self.inner.lock();
        let is_due = |entry: &&Entry| {
            let times = [entry.due, entry.front.next];
            times.into_iter().flatten().any(|due| due <= now)
        };
        let due = inner.entries.values().filter(is_due);
        due.map(|entry| entry.mirror_id).collect()
    }

    /// Forget a mirror that is gone, and say what was known of it.
    pub fn forget(&self, mirror_id: MirrorId) -> Option<Entry> {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.by_id.retain(|_, other| *other != mirror_id);
        inner.entries.remove(&mirror_id)
    }

    /// What a snapshot shows of what the daemon remembers.
    pub fn known(&self, mirror_id: MirrorId) -> Known {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        entry.map(Entry::known).unwrap_or_default()
    }

    /// Whether this is what a snapshot shows of what is remembered of a mirror that is there.
    pub fn is_known(&self, mirror_id: MirrorId, known: &Known) -> bool {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        entry.is_some_and(|entry| entry.is_known(known))
    }

    /// How many mirrors are known.
    pub fn count(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Owner and mode of a mirror's file, as far as they were changed. Asked for
    /// each `stat`: the path is made only where something was changed.
    pub fn look(&self, mirror_id: MirrorId, path: impl FnOnce() -> String) -> Ownership {
        let inner = self.inner.lock();
        let kept = inner
            .entries
            .get(&mirror_id)
            .and_then(|entry| entry.settings.as_ref());
        let looks = kept
            .map(|kept| &kept.ownership)
            .filter(|looks| !looks.is_empty());
        looks
            .and_then(|looks| looks.get(&path()).copied())
            .unwrap_or_default()
    }
}

impl Inner {
    /// The mirror of this UUID that is not there.
    fn absent_of(&self, id: &Id) -> Option<MirrorId> {
        let mut entries = self.entries.values();
        let found = entries.find(|entry| entry.absent.is_some() && entry.id == *id);
        found.map(|entry| entry.mirror_id)
    }

    fn insert(&mut self, key: (Id, DevNo), name: &str) -> MirrorId {
        let mirror_id = self.enter(key.clone(), name);
        self.by_id.insert(key, mirror_id);
        mirror_id
    }

    /// The same of what no device is found by.
    pub(super) fn enter(&mut self, key: (Id, DevNo), name: &str) -> MirrorId {
        (self.last, self.version) = (self.last + 1, self.version + 1);
        let mirror_id = MirrorId::new(self.last);
        let entry = Entry::new(mirror_id, key, name);
        self.entries.insert(mirror_id, entry);
        mirror_id
    }
}

pub(crate) fn gone() -> Error {
    Error::new(Errno::ENODEV, "the mirror is gone")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::away::Absent;
    use super::*;
    use crate::daemon::records::record::Record;

    pub(in super::super) fn info(name: &str, uuid: &str, minor: u32) -> Info {
        let dev = DevNo { major: 254, minor };
        Info {
            live: true,
            ..Info::bare(name, uuid, dev)
        }
    }

    #[test]
    fn a_mirror_that_goes_and_comes_again_keeps_its_number() {
        let registry = Registry::default();
        let first = registry.note(&info("a", "MIRRORFS-1", 0));
        let record = Record::of(&info("a", "MIRRORFS-1", 0), &[]);
        let gone = Error::new(Errno::ENODEV, "no device");
        let absent = Absent::after(record, &gone);
        registry.set_absent(first, absent.clone());
        assert_eq!(
            (registry.absentees().len(), registry.waiting()),
            (1, vec![first])
        );
        assert_eq!(
            registry.note(&info("a", "", 1)).max(first),
            registry.note(&info("a", "", 1))
        );
        assert_eq!(registry.note(&info("a", "MIRRORFS-1", 5)), first);
        assert!(registry.absentees().is_empty() && registry.absent(first).is_none());
        assert_eq!(registry.address(first).unwrap().1.minor, 5);
        assert!(registry.take_returned(first) && !registry.take_returned(first));
        // It was not made after all.
        registry.set_absent(first, absent);
        assert_eq!(registry.note(&info("a", "MIRRORFS-1", 0)), first);
    }

    #[test]
    fn a_number_outlives_a_rename_and_is_never_given_twice() {
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

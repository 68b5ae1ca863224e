//! The mirrors that are recorded and not there, among all that are known.

use super::away::Absent;
use super::entry::Entry;
use super::entry::NOWHERE;
use super::registry::Registry;
use crate::engine::Id;
use crate::model::id::MirrorId;

impl Registry {
    /// Enter a mirror that is recorded and not there.
    pub fn enter_absent(&self, absent: Absent) -> MirrorId {
        let mut inner = self.inner.lock();
        let id = Id::Uuid(absent.record.uuid.clone());
        let mirror_id = inner.enter((id, NOWHERE), &absent.record.name);
        if let Some(entry) = inner.entries.get_mut(&mirror_id) {
            entry.leave(absent);
        }
        mirror_id
    }

    /// A mirror is not there, or no more, or for another reason.
    pub fn set_absent(&self, mirror_id: MirrorId, absent: Absent) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.by_id.retain(|_, other| *other != mirror_id);
        if let Some(entry) = inner.entries.get_mut(&mirror_id) {
            entry.leave(absent);
        }
    }

    /// The mirrors that are started once a device is there.
    pub fn waiting(&self) -> Vec<MirrorId> {
        let inner = self.inner.lock();
        let waits = |entry: &&Entry| {
            let absent = entry.absent.as_ref();
            absent.is_some_and(|absent| absent.next.waits())
        };
        let waiting = inner.entries.values().filter(waits);
        waiting.map(|entry| entry.mirror_id).collect()
    }

    /// Whether somebody else has made the device of a mirror that was not there; told
    /// once.
    pub fn take_returned(&self, mirror_id: MirrorId) -> bool {
        let returned = self.update(mirror_id, |entry| std::mem::take(&mut entry.returned));
        returned.unwrap_or(false)
    }

    /// What is known of a mirror that is not there; none of one that is.
    pub fn absent(&self, mirror_id: MirrorId) -> Option<Absent> {
        self.inner.lock().entries.get(&mirror_id)?.absent.clone()
    }

    /// The mirrors that are recorded and not there: ids and names.
    pub fn absentees(&self) -> Vec<(MirrorId, String)> {
        let inner = self.inner.lock();
        let absent = inner
            .entries
            .values()
            .filter(|entry| entry.absent.is_some());
        let mut absent: Vec<_> = absent
            .map(|entry| (entry.mirror_id, entry.name.clone()))
            .collect();
        absent.sort();
        absent
    }
}

//! The log files that mirrorfs has made: they go with their mirrors, and no other file
//! ever does. Which they are is kept with each mirror, and in its record.

use std::path::{Path, PathBuf};

use super::keep::Journal;
use crate::daemon::admission::log_file;
use crate::daemon::admission::log_file::remove_file;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Record, Stage};
use crate::engine::Sight;
use crate::engine::identity::Identity;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;
use crate::text::table::Table;

impl Journal {
    /// What these files are.
    pub(crate) fn identities_of(&self, files: &[PathBuf]) -> Vec<Identity> {
        let facts = |file: &PathBuf| self.devices.facts(&DeviceRef::Path(file.clone()));
        let known = files.iter().filter_map(|file| facts(file).ok());
        known
            .filter_map(|facts| self.devices.identity(&facts).ok())
            .collect()
    }

    /// These files were made for a mirror, which uses them now.
    pub(crate) fn note_made(&self, mirror_id: MirrorId, files: &[PathBuf]) {
        let new = self.identities_of(files);
        self.registry.update(mirror_id, |entry| {
            if !new.is_empty() {
                entry.made.get_or_insert_default().extend(new);
            }
        });
    }

    /// The logs of a mirror that were made for it. A loop device that somebody else
    /// set up is theirs, and its file too; and where the file was replaced, the path
    /// is another's.
    pub(crate) fn own_logs(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Vec<PathBuf> {
        let made = self
            .registry
            .get(mirror_id)
            .ok()
            .and_then(|entry| entry.made);
        let logs = snapshot.logs.iter();
        let logs = logs.filter_map(|log| Some((log.device.as_ref()?, log.facts.as_ref()?)));
        let file = |(device, sight): (&DeviceRef, &Sight)| {
            let path = sight.file.clone()?;
            let there = self.devices.facts(&DeviceRef::Path(path.clone())).ok()?;
            let same = there.extent.base == self.devices.facts(device).ok()?.extent.base;
            same.then_some(path)
        };
        let looped = logs.filter(|(_, sight)| sight.autoclear).filter_map(file);
        looped
            .filter(|path| self.is_made(made.as_deref(), path))
            .collect()
    }

    /// Whether a file is among those that were made; where that is not known, whether
    /// it is one that nobody else could have made.
    fn is_made(&self, made: Option<&[Identity]>, path: &Path) -> bool {
        let Some(made) = made else {
            return self.managed.has(path);
        };
        let mut named = made.iter().filter(|one| one.node().as_path() == path);
        named.any(|one| self.devices.find(one).is_ok())
    }

    /// Remove the log files that only the table before used.
    pub(crate) fn drop_logs(&self, mirror_id: MirrorId, before: Vec<PathBuf>) {
        // What is not known to be unused stays.
        let Ok(now) = self.mirrors.snapshot(mirror_id, Detail::Devices) else {
            return;
        };
        let kept = self.own_logs(mirror_id, &now);
        let old = before.into_iter().filter(|path| !kept.contains(path));
        let old: Vec<PathBuf> = old.collect();
        old.iter().for_each(remove_file);
        self.registry.update(mirror_id, |entry| {
            let made = entry.made.iter_mut();
            made.for_each(|made| made.retain(|one| !old.contains(one.node())));
        });
        self.managed.tidy();
    }

    /// The files that were made for the mirror of a record, also those of what was
    /// begun and has come to its end.
    pub(crate) fn made_of(&self, record: &Record) -> Option<Vec<Identity>> {
        let left = self.identities_of(&self.left_of(record));
        let known = record.made.is_some() || !left.is_empty();
        let made = record.made.clone().unwrap_or_default();
        let new = left.into_iter().filter(|one| !made.contains(one));
        let new: Vec<Identity> = new.collect();
        known.then(|| [made, new].concat())
    }

    /// The log files of what was begun, as far as they are mirrorfs's own. A file that
    /// somebody else has put there since is theirs.
    fn left_of(&self, record: &Record) -> Vec<PathBuf> {
        let Some(begun) = &record.unfinished else {
            return Vec::new();
        };
        let known = record.made.is_some() || begun.stage == Stage::Making;
        let files = begun.files.iter();
        let ours = files.filter(|file| {
            if known {
                log_file::is_ours(file)
            } else {
                self.managed.has(file)
            }
        });
        ours.cloned().collect()
    }

    /// Remove the log files of what was left unfinished that the mirror does not
    /// use.
    pub(crate) fn tidy(&self, record: &Record, table: &Table) {
        let used = self.log_files(table);
        let left = self.left_of(record);
        let unused = left.iter().filter(|file| !used.contains(file));
        unused.for_each(remove_file);
    }

    /// Remove the log files that were made for a mirror, and its record: last, since
    /// it tells the next mount of what is left.
    ///
    /// # Errors
    /// Those of [`crate::daemon::records::store::Records::remove`].
    pub(crate) fn forget_record(&self, record: &Record) -> Result<()> {
        self.made_for(record).iter().for_each(remove_file);
        self.records.remove(&record.uuid)
    }

    /// The files that were made for a mirror, are still the same, and that no other
    /// mirror uses: it may have been given one meanwhile.
    pub(crate) fn made_for(&self, record: &Record) -> Vec<PathBuf> {
        let (Ok(running), Ok(records)) = (self.running_logs(), self.records.all()) else {
            return Vec::new();
        };
        let recorded = |file: &Path| {
            records.iter().any(|(_, other)| {
                let other = other.as_ref();
                other.map_or(true, |other| other.uuid != record.uuid && other.names(file))
            })
        };
        let files = match &record.made {
            Some(made) => self.still_there(made.iter()),
            None => self.of_before(record),
        };
        let files = files.into_iter().chain(self.left_of(record));
        files
            .filter(|file| !running.contains(file) && !recorded(file))
            .collect()
    }

    /// The same of a record that does not say which were made.
    fn of_before(&self, record: &Record) -> Vec<PathBuf> {
        let table = record.table().unwrap_or_default();
        let places = table.log_devices().filter_map(|log| record.place(log));
        let ours = places.filter(|place| place.ours);
        let mut files = self.still_there(ours.map(|place| &place.identity));
        files.retain(|file| self.managed.has(file));
        files
    }

    fn still_there<'i>(&self, files: impl Iterator<Item = &'i Identity>) -> Vec<PathBuf> {
        let there = files.filter(|file| self.devices.find(file).is_ok());
        there.map(|file| file.node().clone()).collect()
    }
}

//! Keeping the records true: what is written of a mirror when it is made or changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::managed_logs::ManagedLogs;
use crate::daemon::admission::extent::places;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::entry::Entry;
use crate::daemon::mirrors::query::Mirrors;
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::records::record::{Record, RecordedDevice, Unfinished};
use crate::daemon::records::store::Records;
use crate::daemon::records::store::is_lasting;
use crate::engine::home::{Home, Lying};
use crate::engine::identity::{Identity, Proof};
use crate::engine::{Devices, Engine, Facts, Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::policy::OnFailure;
use crate::model::settings::{Settings, SettingsEdit};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::mirror::Log;
use crate::text::table::Table;

/// Keeps the records of mirrors true, and the log files that go with them.
pub struct Journal {
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) devices: Arc<dyn Devices>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) events: Arc<Events>,
    /// What is kept for the next mount.
    pub records: Records,
    /// What they lie on. Asked at once: later it may be on what does not answer.
    home: Home,
    /// The log files that nobody has named.
    pub managed: ManagedLogs,
}

impl Journal {
    /// That of `mirrors`, in `records`.
    pub fn new(mirrors: &Arc<Mirrors>, events: &Arc<Events>, records: Records) -> Journal {
        let devices = Arc::clone(&mirrors.devices);
        Journal {
            mirrors: Arc::clone(mirrors),
            engine: Arc::clone(&mirrors.engine),
            registry: Arc::clone(&mirrors.registry),
            events: Arc::clone(events),
            home: devices.home(&DeviceRef::Path(records.folder().into())),
            managed: ManagedLogs::beside(&records),
            records,
            devices,
        }
    }

    /// Whether the records lie on a device: what is written there while it is suspended
    /// waits for it.
    pub fn lies_on(&self, dev: DevNo) -> Lying {
        self.devices.lies_on(&self.home, dev)
    }

    /// Record that a mirror is about to be made: what a crash leaves half made can
    /// then be told from what somebody wants.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep_intent(&self, name: &str, uuid: &str, table: &Table) -> Result<()> {
        // Written over it, the intent would take another mirror's record away.
        if self.records.has(uuid) {
            let sentence = format!("the UUID {uuid} belongs to a recorded mirror");
            return Err(Error::new(Errno::EEXIST, sentence));
        }
        let files = self.files_to_make(table)?;
        self.records.write(&Record::intent(name, uuid, files))
    }

    /// The log files that do not exist yet.
    pub(crate) fn files_to_make(&self, table: &Table) -> Result<Vec<PathBuf>> {
        let logs = places(table)?
            .into_iter()
            .filter(|place| place.log.is_some());
        let paths = logs.filter_map(|place| place.device.path().map(Path::to_path_buf));
        Ok(paths.filter(|path| !path.exists()).collect())
    }

    /// Record that something is begun with a mirror, and which log files are its
    /// own only if it does not come to its end or only if it does.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep_begun(&self, mirror_id: MirrorId, begun: Unfinished) -> Result<()> {
        let (Id::Uuid(uuid), _) = self.registry.address(mirror_id)? else {
            return Ok(());
        };
        let turn = self.registry.get(mirror_id)?.turn;
        let _turn = turn.lock();
        self.records.get(&uuid).map_or(Ok(()), |mut record| {
            record.unfinished = Some(begun);
            self.records.write(&record)
        })
    }

    /// Record the mirror as it is now, where it is to be recorded.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep(&self, mirror_id: MirrorId) -> Result<()> {
        self.keep_with(mirror_id, |_| None)
    }

    /// The same; `unfinished` says what is not at its end yet, from the record
    /// that there is.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep_with(
        &self,
        mirror_id: MirrorId,
        unfinished: impl FnOnce(Option<&Record>) -> Option<Unfinished>,
    ) -> Result<()> {
        self.keep_table(mirror_id, Slot::Live, None, unfinished)
    }

    /// Record a mirror with the table that it is about to switch to, or that it goes
    /// on with.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep_inactive(
        &self,
        mirror_id: MirrorId,
        edit: SettingsEdit,
        begun: Unfinished,
    ) -> Result<()> {
        self.keep_table(mirror_id, Slot::Inactive, Some(edit), |_| Some(begun))
    }

    fn keep_table(
        &self,
        mirror_id: MirrorId,
        slot: Slot,
        edit: Option<SettingsEdit>,
        unfinished: impl FnOnce(Option<&Record>) -> Option<Unfinished>,
    ) -> Result<()> {
        let turn = self.registry.get(mirror_id)?.turn;
        let _turn = turn.lock();
        // Looked up again: while this waited it may have been removed.
        let entry = self.registry.get(mirror_id)?;
        let mut settings = entry.settings;
        if let Some(edit) = edit {
            edit.apply(&mut settings);
        }
        let Some(settings) = settings else {
            return Ok(());
        };
        let (mut info, mut lines) = self.engine.table(&entry.id, slot)?;
        if slot == Slot::Inactive && !info.inactive {
            (info, lines) = self.engine.table(&entry.id, Slot::Live)?;
        }
        // Without one it could not be known again.
        if info.uuid.is_empty() {
            return Ok(());
        }
        // Another program's, and no mirror any more.
        if slot == Slot::Live && !self.mirrors.shows(&info, &lines) {
            return self.records.remove(&info.uuid);
        }
        let before = self.records.get(&info.uuid);
        let mut table = Table::from_lines(&lines);
        let devices = table.devices();
        let places = devices.filter_map(|device| self.place(device, before.as_ref()));
        let places: Vec<RecordedDevice> = places.collect();
        let record = Record {
            places,
            settings,
            engine: Some(self.engine.kind()),
            unfinished: unfinished(before.as_ref()),
            made: entry.made.or_else(|| made_before(before.as_ref())),
            ..Record::of(&info, &lines)
        };
        // What could not be flushed reads as it should and may not be on the disk.
        let known = before.as_ref() == Some(&record) && self.records.is_settled(&record.uuid);
        if known {
            Ok(())
        } else {
            self.records.write(&record)
        }
    }

    /// What a device of the table is; what was known of one that is gone stays.
    fn place(&self, device: &DeviceRef, before: Option<&Record>) -> Option<RecordedDevice> {
        let facts = self.devices.facts(device);
        let known = before.and_then(|record| record.place(device));
        let found = facts.and_then(|facts| {
            let identity = self.devices.identity(&facts)?;
            Ok(RecordedDevice {
                device: device.to_string(),
                identity: match known {
                    Some(known) => identity.learned(&known.identity),
                    None => identity,
                },
                ours: facts.autoclear,
            })
        });
        found.ok().or_else(|| known.cloned())
    }

    /// Record that I/O is held or goes on, where that outlives the daemon by a
    /// record alone. The kernel's mirrors remember it themselves, and the state
    /// directory may be on the very one that was suspended.
    pub(crate) fn keep_suspended(&self, name: &str, mirror_id: MirrorId) {
        if !self.engine.survives_daemon() {
            self.keep_changed(name, mirror_id);
        }
    }

    /// Record a change that a verb has made, at its end; where that fails the
    /// change stands, and the next mount will not know of it.
    pub(crate) fn keep_changed(&self, name: &str, mirror_id: MirrorId) {
        self.keep_told(name, self.keep(mirror_id));
    }

    /// Record a change that a verb has made, while `begun` is still to be ended.
    pub(crate) fn keep_switched(&self, name: &str, mirror_id: MirrorId, begun: Unfinished) {
        self.keep_told(name, self.keep_with(mirror_id, |_| Some(begun)));
    }

    /// Record a change that no verb has made: what one has begun stays begun.
    pub(crate) fn keep_seen(&self, name: &str, mirror_id: MirrorId) {
        self.keep_told(name, self.keep_with(mirror_id, still_begun));
    }

    fn keep_told(&self, name: &str, kept: Result<()>) {
        match kept {
            // Gone meanwhile: there is nothing to know any more.
            Err(error) if error.errno() == Errno::ENODEV => {}
            kept => drop(self.events.report(name, kept.map_err(not_kept))),
        }
    }

    /// The record of a mirror is not written any more, whoever is about to.
    pub(crate) fn keep_no_more(&self, mirror_id: MirrorId) {
        if let Ok(entry) = self.registry.get(mirror_id) {
            let _turn = entry.turn.lock();
            self.registry
                .update(mirror_id, |entry| entry.settings = None);
        }
    }

    /// What is recorded of a new mirror that runs.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub(crate) fn kept_for(&self, id: &Id, on_failure: OnFailure) -> Result<Settings> {
        let (info, lines) = self.engine.table(id, Slot::Live)?;
        Ok(self.kept_of(&info, &Table::from_lines(&lines), on_failure))
    }

    /// What is recorded of a new mirror with this table: one with a disk log is to
    /// be brought back, if it can be known again, and record and log are still there
    /// after a reboot.
    pub(crate) fn kept_of(&self, info: &Info, table: &Table, on_failure: OnFailure) -> Settings {
        let mut mirrors = table.mirrors();
        let disk_log = mirrors.any(|(_, mirror)| matches!(mirror.log, Log::Disk { .. }));
        let known = !info.uuid.is_empty();
        Settings {
            persist: disk_log && known && self.check_comes_back(table).is_ok(),
            on_failure,
            ..Settings::default()
        }
    }

    /// Check that a mirror can be brought back after a reboot.
    ///
    /// # Errors
    /// EINVAL where its record or log would be gone, or its devices could not be told from
    /// others.
    pub(crate) fn check_comes_back(&self, table: &Table) -> Result<()> {
        self.check_lasting(table)?;
        let mut table = table.clone();
        for device in table.devices() {
            let facts = self.devices.facts(device);
            // What is gone is known from before, if at all.
            let Ok(identity) = facts.and_then(|facts| self.devices.identity(&facts)) else {
                continue;
            };
            match identity.proof() {
                Proof::Lasting => {}
                Proof::ThisBoot => log::warn!(
                    "{} has no serial number: it is known again in this boot alone",
                    identity.node().display()
                ),
                Proof::None => {
                    return Err(Error::invalid(format!(
                        "what {identity} says of itself another device says too: after a reboot nothing tells them apart"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Check that record and log files outlive a reboot.
    ///
    /// # Errors
    /// EINVAL where one is in a file system in memory.
    fn check_lasting(&self, table: &Table) -> Result<()> {
        let refused = |what: String| {
            let sentence = format!("{what} is in memory and does not survive a reboot");
            Err(Error::new(Errno::EINVAL, sentence))
        };
        if !self.records.is_lasting() {
            return refused("the state directory".into());
        }
        for file in self.log_files(table) {
            if !is_lasting(&file) {
                return refused(format!("the log {}", file.display()));
            }
        }
        Ok(())
    }

    /// Record that another program has removed a mirror: it is not started by itself any
    /// more. What would not be brought back at the next mount either is forgotten at once.
    pub(crate) fn withdraw(&self, entry: &Entry) -> Option<Record> {
        let (Id::Uuid(uuid), true) = (&entry.id, entry.settings.is_some()) else {
            return None;
        };
        let mut record = self.records.get(uuid)?;
        if !record.settings.persist {
            let _ = self.events.report(&entry.name, self.forget_record(&record));
            return None;
        }
        record.withdrawn = true;
        self.keep_told(&entry.name, self.records.write(&record));
        Some(record)
    }

    pub(crate) fn log_files(&self, table: &Table) -> Vec<PathBuf> {
        let logs = table.log_devices();
        let facts = logs.filter_map(|device| self.devices.facts(device).ok());
        facts.filter_map(|facts: Facts| facts.file).collect()
    }

    /// Leave no empty folder behind.
    pub fn close(&self) {
        self.records.close();
        self.managed.tidy();
    }

    /// Remove the record of a mirror that was removed.
    pub(crate) fn drop_record(&self, name: &str, uuid: &str) {
        // What has no UUID has no record.
        if !uuid.is_empty() {
            let _ = self
                .events
                .report(name, self.records.remove(uuid).map_err(not_kept));
        }
    }
}

/// Which log files were made for a mirror of which the registry does not know it: none
/// where nothing was recorded before, so that what is made from now on is known.
fn made_before(before: Option<&Record>) -> Option<Vec<Identity>> {
    before.map_or(Some(Vec::new()), |record| record.made.clone())
}

/// What a verb has begun stays begun when somebody else writes the record.
pub(crate) fn still_begun(before: Option<&Record>) -> Option<Unfinished> {
    before?.unfinished.clone()
}

fn not_kept(error: Error) -> Error {
    error.context("done, but the record was not saved: lost at the next mount")
}

//! Keeping the records true: what is written of a mirror when it is made or changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::begun::{Asked, Begun, not_kept};
use super::managed_logs::ManagedLogs;
use crate::daemon::admission::extent::places;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::entry::Entry;
use crate::daemon::mirrors::query::Mirrors;
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::mirrors::release::Release;
use crate::daemon::records::record::{Record, RecordedDevice};
use crate::daemon::records::store::Records;
use crate::daemon::tasks::hands::Hands;
use crate::engine::home::{Home, Lying};
use crate::engine::identity::Identity;
use crate::engine::patience::Patience;
use crate::engine::{Devices, Engine, Id, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::{Settings, SettingsEdit};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Table;

/// How long a record may take. One that takes longer stands on what is held, or on what
/// is as dead: the writes go first then. That is found out once, not each time.
const RECORD: Duration = Duration::from_secs(3);
const RECORD_WHEN_LATE: Duration = Duration::from_millis(50);

/// Keeps the records of mirrors true, and the log files that go with them.
pub struct Journal {
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) devices: Arc<dyn Devices>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) events: Arc<Events>,
    /// Lets go of what a mirror used.
    pub(crate) release: Release,
    pub(crate) hands: Arc<Hands>,
    /// Whether nothing that is seen is recorded any more.
    ended: AtomicBool,
    /// With the file system of the records.
    pub(super) patience: Patience,
    /// The records that somebody is about to write, and who waits for that.
    pub(super) asked: Mutex<HashMap<MirrorId, Asked>>,
    /// What is kept for the next mount.
    pub records: Records,
    /// What they lie on. Asked at once: later it may be on what does not answer.
    home: Home,
    /// The log files that nobody has named.
    pub managed: ManagedLogs,
}

impl Journal {
    /// That of `mirrors`, in `records`.
    pub fn new(
        mirrors: &Arc<Mirrors>,
        (engine, devices): (&Arc<dyn Engine>, &Arc<dyn Devices>),
        events: &Arc<Events>,
        hands: &Arc<Hands>,
        records: Records,
    ) -> Journal {
        Journal {
            mirrors: Arc::clone(mirrors),
            engine: Arc::clone(engine),
            registry: Arc::clone(&mirrors.registry),
            events: Arc::clone(events),
            hands: Arc::clone(hands),
            patience: Patience::new(RECORD, RECORD_WHEN_LATE, Duration::MAX),
            asked: Mutex::default(),
            ended: AtomicBool::new(false),
            home: devices.home(&DeviceRef::Path(records.folder().into())),
            managed: ManagedLogs::beside(&records),
            records,
            release: Release::new(engine, devices),
            devices: Arc::clone(devices),
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
    pub(crate) fn keep_intent(
        &self,
        name: &str,
        uuid: &str,
        table: &Table,
        wished: &Settings,
    ) -> Result<()> {
        // Written over it, the intent would take another mirror's record away.
        if self.records.has(uuid) {
            let sentence = format!("the UUID {uuid} belongs to a recorded mirror");
            return Err(Error::new(Errno::EEXIST, sentence));
        }
        let files = self.files_to_make(table)?;
        let intent = Record::intent(name, uuid, files);
        self.records.write(&Record {
            settings: wished.clone(),
            ..intent
        })
    }

    /// The log files that do not exist yet.
    pub(crate) fn files_to_make(&self, table: &Table) -> Result<Vec<PathBuf>> {
        let logs = places(table)?
            .into_iter()
            .filter(|place| place.log.is_some());
        let paths = logs.filter_map(|place| place.device.path().map(Path::to_path_buf));
        Ok(paths.filter(|path| !path.exists()).collect())
    }

    /// Record the mirror as it is now, where it is to be recorded.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep(&self, mirror_id: MirrorId) -> Result<()> {
        self.keep_with(mirror_id, Begun::Ended)
    }

    /// The same; `begun` says what is not at its end yet.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(crate) fn keep_with(&self, mirror_id: MirrorId, begun: Begun) -> Result<()> {
        let turn = self.registry.get(mirror_id)?.turn;
        let _turn = turn.lock();
        self.keep_table(mirror_id, Slot::Live, None, begun)
    }

    /// Record a mirror as it is; whoever calls has its turn.
    ///
    /// # Errors
    /// Those of [`Records::write`].
    pub(super) fn keep_table(
        &self,
        mirror_id: MirrorId,
        slot: Slot,
        edit: Option<SettingsEdit>,
        begun: Begun,
    ) -> Result<()> {
        // Looked up again: while this waited it may have been removed.
        let entry = self.registry.get(mirror_id)?;
        let mut settings = entry.settings;
        let undo = edit.map(|edit| Box::new(edit.apply(&mut settings)));
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
            unfinished: begun.of(before.as_ref(), undo),
            made: entry.made.or_else(|| made_before(before.as_ref())),
            ..Record::of(&info, &lines)
        };
        // What could not be flushed reads as it should and may not be on the disk.
        let known = before.as_ref() == Some(&record) && self.records.is_settled(&record.uuid);
        if known { Ok(()) } else { self.write(&record) }
    }

    /// Write a record, and note that its file system has answered.
    pub(super) fn write(&self, record: &Record) -> Result<()> {
        let written = self.records.write(record);
        self.patience.answered();
        written
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

    /// The record of a mirror is not written any more; whoever is about to is waited for.
    pub(crate) fn keep_no_more(&self, mirror_id: MirrorId) {
        let turn = self.registry.update(mirror_id, |entry| {
            entry.settings = None;
            Arc::clone(&entry.turn)
        });
        turn.into_iter().for_each(|turn| drop(turn.lock()));
    }

    /// Record that another program has removed a mirror: it is not started by itself any
    /// more. What would not be brought back at the next mount either is forgotten at once.
    pub(crate) fn withdraw(&self, entry: &Entry) -> Option<Record> {
        let (Id::Uuid(uuid), true) = (&entry.id, entry.settings.is_some()) else {
            return None;
        };
        if self.ended.load(Ordering::SeqCst) {
            return None;
        }
        let mut record = self.records.get(uuid)?;
        if !record.settings.persist {
            let _ = self.events.report(&entry.name, self.forget_record(&record));
            return None;
        }
        record.withdrawn = true;
        let written = self.write(&record).map_err(not_kept);
        let _ = self.events.report(&entry.name, written);
        Some(record)
    }

    /// The mirrors of this process are about to end with it: what is seen of that is
    /// recorded of none.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Leave no empty folder behind.
    pub fn close(&self) {
        self.records.close();
        self.managed.tidy();
    }
}

/// Which log files were made for a mirror of which the registry does not know it: none
/// where nothing was recorded before, so that what is made from now on is known.
fn made_before(before: Option<&Record>) -> Option<Vec<Identity>> {
    before.map_or(Some(Vec::new()), |record| record.made.clone())
}

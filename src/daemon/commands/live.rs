//! Sliding a mirror under a device that is in use: its linear targets become
//! mirrors, it keeps its name, and whoever has it open sees nothing of it.

use super::make::Maker;
use super::media::{Chosen, choose};
use crate::daemon::admission::demand::Care;
use crate::daemon::admission::reload::Successor;
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::managed_logs::{Making, new_uuid};
use crate::daemon::mirrors::query::Detail;
use crate::daemon::switch::change::Turn;
use crate::engine::home::Lying;
use crate::engine::{Id, Info};
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::{Settings, SettingsEdit};
use crate::model::snapshot::Snapshot;
use crate::plan::change::Change;
use crate::plan::divide::divide;
use crate::plan::simple_request;
use crate::plan::simple_request::settings;
use crate::plan::steps;
use crate::text::device::DeviceRef;
use crate::text::simple_request::{LogAt, SimpleRequest};
use crate::text::table::Table;

impl Maker {
    /// Slide a mirror under the source, and answer its name.
    ///
    /// # Errors
    /// EINVAL where the source is no device of linear targets, EPERM where LVM owns
    /// it, and as those of [`Maker::create`]; the device goes on as before then.
    pub(crate) fn slide_under(&self, name: Option<&str>, short: &SimpleRequest) -> Result<String> {
        let info = self.running(short)?;
        if let Some(name) = name.filter(|name| *name != info.name) {
            return Err(Error::invalid(format!(
                "the device keeps its name {} while it is in use: leave {name} out, \
                 and rename it afterwards",
                info.name
            )));
        }
        let mirror_id = self.below.registry.note(&info);
        let made = self.slide_under_noted(mirror_id, short);
        if made.is_err() {
            self.below.mirrors.let_alone(mirror_id);
        }
        made.map(|()| info.name)
    }

    /// The running device that a request means.
    fn running(&self, short: &SimpleRequest) -> Result<Info> {
        let source = &short.source;
        let facts = self.below.devices.facts(&source.device);
        let facts = facts.map_err(|error| error.context("the source"))?;
        let listed = self.below.engine.list()?;
        let number = facts.device.number();
        let found = listed.iter().find(|device| Some(device.dev) == number);
        let found = found.ok_or_else(|| {
            Error::invalid(format!(
                "{source} is not a device-mapper device: a mirror cannot be slid under a plain disk. Leave live=yes out and use the new device instead"
            ))
        })?;
        self.below.engine.info(&Id::Name(found.name.clone()))
    }

    fn slide_under_noted(&self, mirror_id: MirrorId, short: &SimpleRequest) -> Result<()> {
        let _begun = self.below.registry.begin(mirror_id, "live=yes")?;
        self.below
            .switcher
            .planned(|| self.slide_under_now(mirror_id, short))
    }

    fn slide_under_now(&self, mirror_id: MirrorId, short: &SimpleRequest) -> Result<()> {
        let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Devices)?;
        steps::check_owner(&snapshot)?;
        // Whether it can be is known without a log.
        let chosen = self.chosen_under(&snapshot, short)?;
        let mut change = simple_request::slide_under(&snapshot, short, &[], chosen.late)?;
        let plain = divide(&change.table, chosen.segments, &mut |_| Ok(None))?;
        let making = self.below.journal.managed.making();
        let logs = self.logs_under(&snapshot, short, &making, plain.targets.len())?;
        let mut log = |number: usize| Ok(logs.get(number).cloned());
        change.table = divide(&change.table, chosen.segments, &mut log)?;
        self.slide(mirror_id, &snapshot, change, short)?;
        let name = &snapshot.info.name;
        self.below.registry.update(mirror_id, |entry| {
            entry.announced = Some(name.clone());
        });
        let text = format!("under the running device: {short}");
        self.below.events.add(name, Kind::Created, &text);
        Ok(())
    }

    /// How the disks below the device answer, and what follows. Several targets become as
    /// many mirrors, which are copied at once already.
    fn chosen_under(&self, snapshot: &Snapshot, short: &SimpleRequest) -> Result<Chosen> {
        let mut table = simple_request::slide_under(snapshot, short, &[], false)?.table;
        let several = table.targets.len() > 1;
        let legs: Vec<DeviceRef> = table.devices().map(|device| device.clone()).collect();
        let facts = legs
            .iter()
            .filter_map(|leg| self.below.devices.facts(leg).ok());
        let legs: Vec<DeviceRef> = facts.map(|facts| facts.device).collect();
        let chosen = choose(&self.below, short, &legs, table.length())?;
        let segments = if several { 1 } else { chosen.segments };
        Ok(Chosen { segments, ..chosen })
    }

    fn slide(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        change: Change,
        short: &SimpleRequest,
    ) -> Result<()> {
        let Info { name, uuid, .. } = &snapshot.info;
        if !uuid.is_empty() {
            let wished = wished(short, snapshot, &change.table);
            self.below
                .journal
                .keep_intent(name, uuid, &change.table, &wished)?;
        }
        let admitted = self.below.admission.admit_successor(
            snapshot,
            &Successor {
                table: &change.table,
                care: Care::Proved,
                force: short.force,
                grows: false,
            },
        );
        let slid = admitted.and_then(|admitted| {
            let fresh = Settings {
                adopted: true,
                ..self.below.journal.kept_of(
                    &snapshot.info,
                    &admitted.table,
                    &wished(short, snapshot, &admitted.table),
                )
            };
            let edit = SettingsEdit {
                fresh: Some(fresh),
                ..SettingsEdit::default()
            };
            // A log that was there already may call a region clean.
            let change = Change {
                afresh: true,
                ..change
            };
            let turn = Turn {
                change,
                edit,
                announcements: Vec::new(),
                own: None,
            };
            self.below
                .switcher
                .change_to(mirror_id, snapshot, turn, admitted)
        });
        if slid.is_err() {
            self.below.journal.drop_record(name, uuid);
        }
        slid
    }

    /// The logs of the targets: a file each, or what was named.
    ///
    /// # Errors
    /// EINVAL for one device as the log of several targets.
    fn logs_under(
        &self,
        snapshot: &Snapshot,
        short: &SimpleRequest,
        making: &Making<'_>,
        targets: usize,
    ) -> Result<Vec<DeviceRef>> {
        match &short.log {
            LogAt::Core => Ok(Vec::new()),
            LogAt::Auto => match self.why_in_memory(&snapshot.info) {
                Some(why) => {
                    let text = format!("{why}: its log is in memory");
                    self.below.events.add(&snapshot.info.name, Kind::Set, &text);
                    Ok(Vec::new())
                }
                None => {
                    let stem = new_uuid()?;
                    let file = |number| making.place(&stem, number).map(DeviceRef::Path);
                    (0..targets).map(file).collect()
                }
            },
            LogAt::Device(device) if targets == 1 => Ok(vec![device.clone()]),
            LogAt::Device(device) => Err(Error::invalid(format!(
                "{} has {targets} targets, {device} can be the log of one: leave log= out",
                snapshot.info.name
            ))),
        }
    }

    /// Why there can be no log file for the device: in one that lies on the device
    /// itself the log would wait for itself.
    fn why_in_memory(&self, info: &Info) -> Option<String> {
        let folder = DeviceRef::Path(self.below.journal.managed.folder().into());
        match self.below.admission.lies_on(&folder, info) {
            Lying::Elsewhere => None,
            Lying::OnIt => Some("the state directory is on it".into()),
            Lying::Unknown(why) => Some(format!("the state directory may be on it, {why}")),
        }
    }
}

/// What is set for it: several targets of one are to be one again in the end.
fn wished(short: &SimpleRequest, before: &Snapshot, table: &Table) -> Settings {
    Settings {
        apart: table.targets.len() > before.table.targets.len(),
        ..settings(short)
    }
}

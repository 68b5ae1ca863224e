//! Sliding a mirror under a device that is in use: its linear targets become
//! mirrors, it keeps its name, and whoever has it open sees nothing of it.

use std::sync::Arc;

use super::Daemon;
use super::admit::Care;
use super::change::Turn;
use super::create::new_uuid;
use super::entry::{Edit, Kept};
use super::events::Kind;
use super::look::Detail;
use super::own_logs::Making;
use super::short::policy;
use super::successor::Successor;
use crate::engine::home::Lying;
use crate::engine::{Id, Info};
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::legs::Change;
use crate::plan::short;
use crate::text::device::DeviceRef;
use crate::text::short::{LogAt, Short};

impl Daemon {
    /// Slide a mirror under the source, and answer its name.
    ///
    /// # Errors
    /// EINVAL where the source is no device of linear targets, EPERM where LVM owns
    /// it, and as those of [`Daemon::create`]; the device goes on as before then.
    pub(super) fn slide_under(
        self: &Arc<Self>,
        name: Option<&str>,
        short: &Short,
    ) -> Result<String> {
        let info = self.running(short)?;
        if let Some(name) = name.filter(|name| *name != info.name) {
            return Err(Error::invalid(format!(
                "the device keeps its name {} while it is in use: leave {name} out, \
                 and rename it afterwards",
                info.name
            )));
        }
        let serial = self.registry.note(&info);
        let made = self.slide_under_noted(serial, short);
        if made.is_err() {
            self.let_alone(serial);
        }
        made.map(|()| info.name)
    }

    /// The running device that a request means.
    fn running(&self, short: &Short) -> Result<Info> {
        let source = &short.source;
        let facts = self.devices.facts(&source.device);
        let facts = facts.map_err(|error| error.context("the source"))?;
        let listed = self.engine.list()?;
        let mut listed = listed.into_iter();
        let number = facts.device.number();
        let found = listed.find(|device| Some(device.dev) == number);
        let found = found.ok_or_else(|| {
            Error::invalid(format!(
                "{source} is no device of device-mapper: nothing can be slid under a plain disk. \
                 Leave live=yes out, and use the new device in its place"
            ))
        })?;
        self.engine.info(&Id::Name(found.name))
    }

    fn slide_under_noted(self: &Arc<Self>, serial: u64, short: &Short) -> Result<()> {
        let _begun = self.registry.begin(serial, "live=yes")?;
        self.planned(|| self.slide_under_now(serial, short))
    }

    fn slide_under_now(self: &Arc<Self>, serial: u64, short: &Short) -> Result<()> {
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        build::check_owner(&snapshot)?;
        // Whether it can be is known without a log.
        short::slide_under(&snapshot, short, &[])?;
        let making = self.own_logs.making();
        let logs = self.logs_under(&snapshot, short, &making)?;
        let change = short::slide_under(&snapshot, short, &logs)?;
        self.slide(serial, &snapshot, change, short)?;
        let name = &snapshot.info.name;
        self.registry.update(serial, |entry| {
            entry.announced = Some(name.clone());
        });
        let text = format!("under the running device: {short}");
        self.events.add(name, Kind::Created, &text);
        Ok(())
    }

    fn slide(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        change: Change,
        short: &Short,
    ) -> Result<()> {
        let Info { name, uuid, .. } = &snapshot.info;
        if !uuid.is_empty() {
            self.keep_intent(name, uuid, &change.table)?;
        }
        let admitted = self.admit_successor(
            snapshot,
            &Successor {
                table: &change.table,
                care: Care::Proved,
                force: short.force,
                grows: false,
            },
        );
        let slid = admitted.and_then(|admitted| {
            let fresh = Kept {
                adopted: true,
                ..self.kept_of(&snapshot.info, &admitted.table, policy(short))
            };
            let edit = Edit {
                fresh: Some(fresh),
                ..Edit::default()
            };
            // A log that was there already may call a region clean.
            let change = Change {
                afresh: true,
                ..change
            };
            let turn = Turn {
                change,
                edit,
                told: Vec::new(),
            };
            self.change_to(serial, snapshot, turn, admitted)
        });
        if slid.is_err() {
            self.drop_record(name, uuid);
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
        short: &Short,
        making: &Making<'_>,
    ) -> Result<Vec<DeviceRef>> {
        let targets = snapshot.table.targets.len();
        match &short.log {
            LogAt::Core => Ok(Vec::new()),
            LogAt::Auto => match self.why_in_memory(&snapshot.info) {
                Some(why) => {
                    let text = format!("{why}: its log is in memory");
                    self.events.add(&snapshot.info.name, Kind::Set, &text);
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
        let folder = DeviceRef::Path(self.own_logs.folder().into());
        match self.lies_on(&folder, info) {
            Lying::Elsewhere => None,
            Lying::OnIt => Some("the state directory is on it".into()),
            Lying::Unknown(why) => Some(format!("the state directory may be on it, {why}")),
        }
    }
}

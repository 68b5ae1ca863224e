//! Mirrors that are recorded and not there: a leg is missing or is not the same, or
//! the mount was told to restart nothing. They have a folder, say why, and can be
//! tried again or forgotten.

use super::Daemon;
use super::entry::Absent;
use super::events::Kind;
use super::record::Record;
use crate::engine::Info;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::verb::Command;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::{Table, Target};

impl Daemon {
    /// What the files show of a mirror that is not there.
    pub(super) fn absent_snapshot(&self, serial: u64, absent: &Absent) -> Snapshot {
        let record = &absent.record;
        let info = Info {
            name: record.name.clone(),
            uuid: record.uuid.clone(),
            dev: DevNo { major: 0, minor: 0 },
            event_nr: 0,
            open_count: 0,
            suspended: false,
            read_only: record.read_only,
            live: false,
            inactive: false,
            deferred: false,
        };
        let known = self.registry.known(serial);
        Snapshot::new(
            info,
            Vec::new(),
            table_then(record).to_lines(),
            None,
            known,
            &|_| None,
        )
    }

    /// Do a verb on a mirror that is not there.
    ///
    /// # Errors
    /// Why it still cannot be made; EBUSY for what only a running mirror can do.
    pub(super) fn command_absent(
        &self,
        serial: u64,
        absent: &Absent,
        command: Command,
    ) -> Result<()> {
        let record = &absent.record;
        match command {
            Command::Resume => match self.remake(record) {
                Ok(()) => {
                    self.registry.forget(serial);
                    Ok(())
                }
                Err(error) => {
                    let reason = error.sentence().to_string();
                    self.registry.update(serial, |entry| {
                        if let Some(absent) = &mut entry.absent {
                            absent.reason = reason;
                        }
                    });
                    Err(error)
                }
            },
            Command::Remove { .. } => {
                self.forget_record(record)?;
                self.registry.forget(serial);
                let text = "by request; it was not started";
                self.events.add(&record.name, Kind::Removed, text);
                Ok(())
            }
            _ => Err(not_started(absent)),
        }
    }
}

/// The table as it was, with the names of then: numbers mean something else after a
/// reboot.
fn table_then(record: &Record) -> Table {
    let targets = record
        .table
        .iter()
        .filter_map(|line| Target::parse(line).ok());
    let mut table = Table {
        targets: targets.collect(),
    };
    for device in table.devices() {
        if let Some(place) = record.place(device) {
            *device = DeviceRef::Path(place.identity.node().clone());
        }
    }
    table
}

/// The error of what only a running mirror can do.
pub(super) fn not_started(absent: &Absent) -> Error {
    Error::busy(format!(
        "{} is not started: {}; `resume` tries again, `remove` forgets it",
        absent.record.name, absent.reason
    ))
}

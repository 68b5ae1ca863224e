//! Mirrors that are recorded and not there: a leg is missing or is not the same, or
//! the mount was told to restart nothing. They have a folder, say why, and can be
//! tried again or forgotten.

use super::Daemon;
use super::events::Kind;
use super::registry::Absent;
use crate::engine::Info;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::verb::Command;
use crate::text::device::DevNo;
use crate::text::table::{Line, Target};

impl Daemon {
    /// What the files show of a mirror that is not there: its table as it was.
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
        let targets = record
            .table
            .iter()
            .filter_map(|line| Target::parse(line).ok());
        let lines: Vec<Line> = targets.map(|target| target.to_line()).collect();
        let known = self.registry.known(serial);
        Snapshot::new(info, Vec::new(), lines, known, &|_| None)
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
            Command::Suspend(_) => Err(not_started(absent)),
        }
    }
}

/// The error of what only a running mirror can do.
pub(super) fn not_started(absent: &Absent) -> Error {
    Error::busy(format!(
        "{} is not started: {}; `resume` tries again, `remove` forgets it",
        absent.record.name, absent.reason
    ))
}

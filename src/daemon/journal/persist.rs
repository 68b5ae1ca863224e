//! Whether a mirror can come back by its record, and what is recorded of a new one.

use std::path::PathBuf;

use super::keep::Journal;
use crate::daemon::records::store::is_lasting;
use crate::engine::identity::Proof;
use crate::engine::{Found, Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::settings::Settings;
use crate::text::device::DeviceRef;
use crate::text::mirror::Log;
use crate::text::table::Table;

impl Journal {
    /// What is recorded of a new mirror that runs.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub(crate) fn kept_for(&self, id: &Id, wished: &Settings) -> Result<Settings> {
        let (info, lines) = self.engine.table(id, Slot::Live)?;
        Ok(self.kept_of(&info, &Table::from_lines(&lines), wished))
    }

    /// What is recorded of a new mirror with this table, beside what was asked for: one with
    /// a disk log is to be brought back, if it can be known again, and record and log are
    /// still there after a reboot.
    pub(crate) fn kept_of(&self, info: &Info, table: &Table, wished: &Settings) -> Settings {
        let mut mirrors = table.mirrors();
        let disk_log = mirrors.any(|(_, mirror)| matches!(mirror.log, Log::Disk { .. }));
        let known = !info.uuid.is_empty();
        Settings {
            persist: disk_log && known && self.check_comes_back(table).is_ok(),
            ..wished.clone()
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

    /// The files that a table has as logs.
    pub(crate) fn log_files(&self, table: &Table) -> Vec<PathBuf> {
        let file = |device: &DeviceRef| match device {
            DeviceRef::Path(path) => Some(path.clone()),
            // That of another mirror may lie where nobody answers.
            DeviceRef::Number(_) => match self.devices.sight(device) {
                Found::There(sight) => sight.file,
                _ => None,
            },
        };
        table.log_devices().filter_map(file).collect()
    }
}

//! Log files that nobody uses any more.

use std::path::PathBuf;

use super::keep::Journal;
use crate::daemon::admission::log_file::remove_file;
use crate::error::Result;

impl Journal {
    /// Remove the log files that a crash has left behind: no device uses them, and
    /// no record names them. What is not known to be unused stays.
    pub(crate) fn sweep_logs(&self) {
        let files = self.managed.all();
        if files.is_empty() {
            return;
        }
        // Of a record that cannot be read nobody knows which is its own.
        if self.records.has_doubts().unwrap_or(true) {
            return;
        }
        let (Ok(running), Ok(records)) = (self.running_logs(), self.records.all()) else {
            return;
        };
        let recorded = |file: &PathBuf| {
            let mut records = records
                .iter()
                .filter_map(|(_, record)| record.as_ref().ok());
            records.any(|record| record.names(file))
        };
        let unused = files.iter().filter(|file| !running.contains(file));
        let unused = unused.filter(|file| self.managed.has(file) && !recorded(file));
        unused.for_each(remove_file);
    }

    /// The files that the tables of running devices have as logs.
    pub(crate) fn running_logs(&self) -> Result<Vec<PathBuf>> {
        let listed = self.engine.list()?;
        let tables = listed
            .iter()
            .filter_map(|device| self.mirrors.table_at(device));
        Ok(tables.flat_map(|table| self.log_files(&table)).collect())
    }
}

//! The log files that nobody has named: a folder of the state directory, a file for
//! each mirror that asks for one.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::Daemon;
use super::durable::sync_parent;
use super::logfile;
use super::made::remove_file;
use super::records::Records;
use super::safe::{make_folder, resolve};
use crate::engine::{Id, Slot};
use crate::error::{Error, Result};
use crate::model::snapshot::UUID_PREFIX;
use crate::text::table::Table;

/// Its name in the state directory.
const FOLDER: &str = "logs";

/// The folder of log files. It comes with the first and goes with the last.
#[derive(Debug)]
pub struct OwnLogs {
    folder: PathBuf,
    /// How many are about to make a file in it.
    makers: Mutex<usize>,
}

/// While it is held the folder stays.
#[derive(Debug)]
pub struct Making<'a>(&'a OwnLogs);

impl Making<'_> {
    /// Where the log of a new mirror goes, one for each of its targets. The folder
    /// is there then, the file is not.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn place(&self, stem: &str, number: usize) -> Result<PathBuf> {
        let folder = &self.0.folder;
        let made = make_folder(folder).and_then(|()| sync_parent(folder));
        made.map_err(|error| Error::io(folder.display(), &error))?;
        // It may have been there.
        resolve(folder)?;
        Ok(folder.join(format!("{stem}.{number}.log")))
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        *self.0.makers.lock() -= 1;
        self.0.tidy();
    }
}

impl OwnLogs {
    /// The folder in the state directory of the records; nothing is made yet.
    pub fn beside(records: &Records) -> OwnLogs {
        let folder = records.beside(FOLDER);
        OwnLogs {
            folder,
            makers: Mutex::default(),
        }
    }

    /// Somebody is about to make a file.
    pub fn making(&self) -> Making<'_> {
        *self.makers.lock() += 1;
        Making(self)
    }

    /// Where it would be, for what has to be known before.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a file is one of them: it lies where they do, is called as they are,
    /// and has in it what they have.
    pub fn has(&self, file: &Path) -> bool {
        let real = || self.folder.canonicalize().ok();
        let parent = file.parent();
        let here =
            parent == Some(&self.folder) || (parent.is_some() && parent == real().as_deref());
        let name = file.file_name().map(|name| name.to_string_lossy());
        let named = |name: &str| name.starts_with(UUID_PREFIX) && name.ends_with(".log");
        here && name.is_some_and(|name| named(&name)) && logfile::is_ours(file)
    }

    /// Leave no empty folder behind.
    pub fn tidy(&self) {
        let makers = self.makers.lock();
        if *makers == 0 {
            // One that is not empty stays.
            let _ = fs::remove_dir(&self.folder);
        }
    }

    fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    }
}

impl Daemon {
    /// Remove the log files that a crash has left behind: no device uses them, and
    /// no record names them. What is not known to be unused stays.
    pub(super) fn sweep_logs(&self) {
        let files = self.own_logs.all();
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
        let unused = unused.filter(|file| self.own_logs.has(file) && !recorded(file));
        unused.for_each(remove_file);
    }

    /// The files that the tables of running devices have as logs.
    pub(super) fn running_logs(&self) -> Result<Vec<PathBuf>> {
        let listed = self.engine.list()?;
        let tables = listed.into_iter().filter_map(|device| {
            let (_, lines) = self.engine.table(&Id::Name(device.name), Slot::Live).ok()?;
            Some(Table::from_lines(&lines))
        });
        Ok(tables.flat_map(|table| self.log_files(&table)).collect())
    }
}

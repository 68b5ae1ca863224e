//! The log files that nobody has named: a folder of the state directory, a file for
//! each mirror that asks for one.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::daemon::admission::log_file;
use crate::daemon::records::durable::sync_parent;
use crate::daemon::records::private::{make_folder, resolve};
use crate::daemon::records::store::Records;
use crate::engine::shown;
use crate::error::{Error, Result};
use crate::model::snapshot::UUID_PREFIX;

/// Its name in the state directory.
const FOLDER: &str = "logs";

/// The kernel's source of random UUIDs, random(4).
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

/// The folder of log files. It comes with the first and goes with the last.
#[derive(Debug)]
pub struct ManagedLogs {
    folder: PathBuf,
    /// How many are about to make a file in it.
    makers: Mutex<usize>,
}

/// While it is held the folder stays.
#[derive(Debug)]
pub struct Making<'a> {
    logs: &'a ManagedLogs,
    /// The folder is there, and on the disk.
    there: Cell<bool>,
}

impl Making<'_> {
    /// Where the log of a new mirror goes, one for each of its targets. The folder
    /// is there then, the file is not.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn place(&self, stem: &str, number: usize) -> Result<PathBuf> {
        if !self.there.get() {
            self.make_folder()?;
            self.there.set(true);
        }
        Ok(self.logs.folder.join(format!("{stem}.{number}.log")))
    }

    fn make_folder(&self) -> Result<()> {
        let folder = &self.logs.folder;
        let made = make_folder(folder).and_then(|()| sync_parent(folder));
        made.map_err(|error| Error::io(folder.display(), &error))?;
        // It may have been there.
        resolve(folder).map(drop)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        *self.logs.makers.lock() -= 1;
        self.logs.tidy();
    }
}

impl ManagedLogs {
    /// The folder in the state directory of the records; nothing is made yet.
    pub fn beside(records: &Records) -> ManagedLogs {
        let folder = records.beside(FOLDER);
        ManagedLogs {
            folder,
            makers: Mutex::default(),
        }
    }

    /// Somebody is about to make a file.
    pub fn making(&self) -> Making<'_> {
        *self.makers.lock() += 1;
        Making {
            logs: self,
            there: Cell::new(false),
        }
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
        here && name.is_some_and(|name| named(&name)) && log_file::is_ours(file)
    }

    /// Leave no empty folder behind.
    pub fn tidy(&self) {
        let makers = self.makers.lock();
        if *makers == 0 {
            // One that is not empty stays.
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// Every file in the folder.
    pub fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    }
}

/// A UUID that no device has.
///
/// # Errors
/// What reading it from the kernel answers.
pub(crate) fn new_uuid() -> Result<String> {
    let uuid = shown::text(RANDOM_UUID);
    let uuid = uuid.map_err(|error| Error::io(RANDOM_UUID, &error))?;
    Ok(format!("{UUID_PREFIX}{}", uuid.trim()))
}

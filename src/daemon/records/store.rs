//! Records: what has to be known to make a mirror again, one file each, so that
//! mirrors outlive whoever runs them. A crash leaves the old file or the new one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use parking_lot::Mutex;

use serde::Deserialize;

use super::durable::{put, sync_folder, sync_parent};
use super::private::{make_folder, open_file, resolve};
use super::record::{FIRST, Record, VERSION};
use crate::error::{Error, Result};

/// The folder of the records in the state directory.
const FOLDER: &str = "mirrors";

/// What ends the name of a record that is being written, and of one that is none.
const NEW: &str = "new";
const ASIDE: &str = "bad";

/// ramfs, which has no limit and no name in statfs(2).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Longest name of a file, less what a temporary one has more.
const MAX_NAME: usize = 240;

/// The records of a state directory.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    /// The folder comes with the first record and goes with the last.
    turn: Mutex<Unsettled>,
    sync: fn(&Path) -> io::Result<()>,
}

/// The files that the folder has another state of on its disk, or may have: its
/// flush failed.
type Unsettled = BTreeSet<PathBuf>;

impl Records {
    /// The records below `state`; nothing is made before there is one.
    pub fn below(state: &Path) -> Records {
        Records {
            folder: state.join(FOLDER),
            turn: Mutex::default(),
            sync: sync_folder,
        }
    }

    /// A path in the state directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.with_file_name(name)
    }

    /// Every record, in the order of their files' names; with the error of each
    /// that cannot be read is its path.
    ///
    /// # Errors
    /// What the folder answers; EPERM where somebody else could write there.
    pub fn all(&self) -> Result<Vec<(PathBuf, Result<Record, Unread>)>> {
        let paths = self.paths()?.into_iter();
        let mut paths: Vec<PathBuf> = paths.filter(|path| is_kind(path, "json")).collect();
        paths.sort();
        let read = paths.into_iter().map(|path| {
            let record = self.read(&path);
            (path, record)
        });
        Ok(read.collect())
    }

    /// Whether there is a record of which nobody knows what it says: one that cannot be
    /// read, or was put aside. What it may name is not known to be unused.
    ///
    /// # Errors
    /// As those of [`Records::all`].
    pub fn has_doubts(&self) -> Result<bool> {
        let aside = self.paths()?.iter().any(|path| is_kind(path, ASIDE));
        Ok(aside || self.all()?.iter().any(|(_, record)| record.is_err()))
    }

    /// All files of the folder; none where there is no folder.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        resolve(&self.folder)?;
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(&self.folder, &error))?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        // An entry that cannot be listed may be a record.
        let paths: io::Result<Vec<PathBuf>> = paths.collect();
        paths.map_err(|error| at(&self.folder, &error))
    }

    /// Remove what a crash has left of records that were being written: the old ones
    /// are still there.
    pub fn sweep(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let left = paths.filter(|path| path.extension().is_some_and(|kind| kind == NEW));
        for path in left {
            if let Err(error) = fs::remove_file(&path) {
                log::warn!("{} stays: {error}", path.display());
            }
        }
        self.close();
    }

    /// Write a record, through to the disk, over the one that its mirror has.
    ///
    /// # Errors
    /// EINVAL where its UUID makes no file name, or where what stands there is of another
    /// version; what the file system answers: the old record is still on the disk then, or
    /// it is the new one, where the folder alone could not be flushed
    /// ([`Records::is_settled`]).
    pub fn write(&self, record: &Record) -> Result<()> {
        // What could not be read again is not written.
        record.check()?;
        let path = self.path(&record.uuid)?;
        let new = path.with_extension(NEW);
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| Error::invalid(format!("the record of {}: {error}", record.name)))?;
        let mut turn = self.turn.lock();
        self.check_free(&path)?;
        self.open().map_err(|error| at(&self.folder, &error))?;
        let written = put(&new, text.as_bytes()).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            // Half a record is worse than none; the cause is what matters.
            let _ = fs::remove_file(&new);
            self.close();
            at(&path, &error)
        })?;
        self.settle(&mut turn, &path)
    }

    /// Check that nothing stands there that may be a record and is not understood.
    fn check_free(&self, path: &Path) -> Result<()> {
        match fs::symlink_metadata(path).is_ok().then(|| self.read(path)) {
            Some(Err(unread)) if !unread.garbage => Err(unread.error),
            _ => Ok(()),
        }
    }

    fn open(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        make_folder(&self.folder)?;
        sync_parent(&self.folder)
    }

    /// Whether the disk has the record of a UUID as it is read.
    pub fn is_settled(&self, uuid: &str) -> bool {
        let path = self.path(uuid);
        path.is_ok_and(|path| !self.turn.lock().contains(&path))
    }

    /// The record of a UUID; none where there is none, or none that can be read.
    pub fn get(&self, uuid: &str) -> Option<Record> {
        self.read(&self.path(uuid).ok()?).ok()
    }

    /// Whether there is a record of a UUID, one that can be read or not.
    pub fn has(&self, uuid: &str) -> bool {
        self.path(uuid).is_ok_and(|path| path.exists())
    }

    /// Keep a record that cannot be read aside, where it is not read again.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn put_aside(&self, path: &Path) -> Result<PathBuf> {
        let aside = path.with_extension(ASIDE);
        let mut turn = self.turn.lock();
        fs::rename(path, &aside).map_err(|error| at(path, &error))?;
        self.settle(&mut turn, path)?;
        Ok(aside)
    }

    /// Whether what is recorded is still there after a reboot.
    pub fn is_lasting(&self) -> bool {
        let existing = self.folder.ancestors().find(|folder| folder.exists());
        existing.is_some_and(is_lasting)
    }

    /// Their folder, which comes with the first.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Remove the record of a UUID, where there is one.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remove(&self, uuid: &str) -> Result<()> {
        let path = self.path(uuid)?;
        let mut turn = self.turn.lock();
        match fs::remove_file(&path) {
            Ok(()) => {}
            // Removed before, and it may come again.
            Err(_) if turn.contains(&path) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(&path, &error)),
        }
        let settled = self.settle(&mut turn, &path);
        self.close();
        settled
    }

    /// Leave no empty folder behind.
    pub fn close(&self) {
        // One that is not empty stays.
        let _ = fs::remove_dir(&self.folder);
    }

    /// The file of a UUID: what no file may be called is written as `%XX`.
    fn path(&self, uuid: &str) -> Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let pieces = uuid.bytes().map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        });
        let name: String = pieces.collect();
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(format!(
                "the UUID {uuid} cannot name a record: use a shorter one"
            )));
        }
        Ok(self.folder.join(name + ".json"))
    }

    fn read(&self, path: &Path) -> Result<Record, Unread> {
        let mut bytes = Vec::new();
        let read = open_file(path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| Unread::kept(at(path, &error)))?;
        let text = String::from_utf8(bytes).map_err(|error| Error::invalid(error.to_string()));
        let record = text.map_err(Unread::garbage).and_then(|text| parse(&text));
        let record = record.map_err(|unread| unread.at(path))?;
        if self.path(&record.uuid).as_deref() == Ok(path) {
            Ok(record)
        } else {
            let sentence = format!("its content is of UUID {}", record.uuid);
            Err(Unread::garbage(Error::invalid(sentence)).at(path))
        }
    }

    /// Let the disk have what was done with a file of the folder.
    fn settle(&self, unsettled: &mut Unsettled, path: &Path) -> Result<()> {
        let done = (self.sync)(&self.folder).map_err(|error| at(&self.folder, &error));
        match done {
            Ok(()) => unsettled.remove(path),
            Err(_) => unsettled.insert(path.into()),
        };
        done
    }
}

/// Whether a file is still there after a reboot: not in a file system in memory.
pub fn is_lasting(path: &Path) -> bool {
    let kind = statfs(path).map(|stat| stat.filesystem_type());
    kind.is_ok_and(|kind| kind != TMPFS_MAGIC && kind != RAMFS_MAGIC)
}

fn at(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("the record {}", path.display()), error)
}

fn is_kind(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|other| other == kind)
}

fn parse(text: &str) -> Result<Record, Unread> {
    let wrong = |error: serde_json::Error| Unread::garbage(Error::invalid(error.to_string()));
    // Before the rest is understood, which another version may say in other words.
    let Version { version } = serde_json::from_str(text).map_err(wrong)?;
    if !(FIRST..=VERSION).contains(&version) {
        let sentence = format!(
            "written by another mirrorfs: version {version}, this one reads {FIRST} to {VERSION}"
        );
        return Err(Unread::kept(Error::invalid(sentence)));
    }
    Record::parse(text).map_err(Unread::garbage)
}

/// What every version of a record says.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Why a record is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What is wrong with the file, with its path.
    pub error: Error,
    /// Whether it is none at all: what may be one stays where it is.
    pub garbage: bool,
}

impl Unread {
    fn garbage(error: Error) -> Unread {
        let garbage = true;
        Unread { error, garbage }
    }

    fn kept(error: Error) -> Unread {
        let garbage = false;
        Unread { error, garbage }
    }

    fn at(self, path: &Path) -> Unread {
        let error = self.error.context(format!("the record {}", path.display()));
        Unread { error, ..self }
    }
}

#[cfg(test)]
mod tests;

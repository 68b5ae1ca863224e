//! Records: what has to be known to make a mirror again, one file each, so that
//! mirrors outlive whoever runs them. A crash leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use super::record::{Record, VERSION};
use crate::error::{Error, Result};
use crate::text::device::DevNo;

/// The folder of the records in the state directory.
const FOLDER: &str = "mirrors";

/// What ends the name of a record that is being written.
const NEW: &str = "new";

/// ramfs, which has no limit and no name in statfs(2).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Longest name of a file, less what a temporary one has more.
const MAX_NAME: usize = 240;

/// The records of a state directory.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    // Asked at once: later it may be on what does not answer.
    device: Option<DevNo>,
    /// The folder comes with the first record and goes with the last.
    turn: Mutex<()>,
}

impl Records {
    /// The records below `state`; nothing is made before there is one.
    pub fn below(state: &Path) -> Records {
        let stat = fs::metadata(state).ok();
        let device = stat.map(|stat| DevNo::of_dev_t(stat.dev()));
        Records {
            folder: state.join(FOLDER),
            device,
            turn: Mutex::default(),
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
    /// What the folder answers.
    pub fn all(&self) -> Result<Vec<(PathBuf, Result<Record>)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(&self.folder, &error))?,
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<PathBuf> = paths.filter(|path| is_record(path)).collect();
        paths.sort();
        let read = paths.into_iter().map(|path| {
            let record = read(&path);
            (path, record)
        });
        Ok(read.collect())
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
    /// EINVAL where its UUID makes no file name; what the file system answers: the
    /// old record is still there then.
    pub fn write(&self, record: &Record) -> Result<()> {
        let path = self.path(&record.uuid)?;
        let new = path.with_extension(NEW);
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| Error::invalid(format!("the record of {}: {error}", record.name)))?;
        let _turn = self.turn();
        fs::create_dir_all(&self.folder).map_err(|error| at(&self.folder, &error))?;
        let written = put(&new, text.as_bytes()).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            // Half a record is worse than none; the cause is what matters.
            let _ = fs::remove_file(&new);
            self.close();
            at(&path, &error)
        })?;
        self.settle()
    }

    /// The record of a UUID; none where there is none, or none that can be read.
    pub fn get(&self, uuid: &str) -> Option<Record> {
        read(&self.path(uuid).ok()?).ok()
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
        let aside = path.with_extension("bad");
        fs::rename(path, &aside).map_err(|error| at(path, &error))?;
        self.settle()?;
        Ok(aside)
    }

    /// Whether what is recorded is still there after a reboot.
    pub fn is_lasting(&self) -> bool {
        let existing = self.folder.ancestors().find(|folder| folder.exists());
        existing.is_some_and(is_lasting)
    }

    /// The number of the device that the state directory is on, as stat(2) has it:
    /// one of a kind that no device has, where its file system is on none or on
    /// several; none where the directory was not there.
    pub fn device(&self) -> Option<DevNo> {
        self.device
    }

    /// Remove the record of a UUID, where there is one.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remove(&self, uuid: &str) -> Result<()> {
        let path = self.path(uuid)?;
        let _turn = self.turn();
        match fs::remove_file(&path) {
            Ok(()) => {
                let settled = self.settle();
                self.close();
                settled
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&path, &error)),
        }
    }

    /// Leave no empty folder behind.
    pub fn close(&self) {
        // One that is not empty stays.
        let _ = fs::remove_dir(&self.folder);
    }

    /// The file of a UUID: what no file may be called is written as `%XX`.
    fn path(&self, uuid: &str) -> Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let pieces = uuid.bytes().map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        let name: String = pieces.collect();
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(format!(
                "the UUID {uuid} makes no name of a record: take a shorter one"
            )));
        }
        Ok(self.folder.join(name + ".json"))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self) -> Result<()> {
        let folder = File::open(&self.folder);
        folder
            .and_then(|folder| folder.sync_all())
            .map_err(|error| at(&self.folder, &error))
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

fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "json")
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<Record> {
    let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
    let wrong = |why: String| Error::invalid(format!("the record {}: {why}", path.display()));
    let record: Record = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match record.version {
        VERSION => Ok(record),
        other => Err(wrong(format!("version {other}, known is {VERSION}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::record::{Place, Stage, Unfinished};
    use crate::engine::identity::Identity;
    use crate::error::Errno;
    use crate::model::look::Look;
    use crate::model::policy::{Dropped, OnFailure};

    fn record(name: &str, uuid: &str) -> Record {
        Record {
            version: VERSION,
            name: name.into(),
            uuid: uuid.into(),
            read_only: false,
            suspended: true,
            persist: true,
            table: vec!["0 8 mirror core 1 2 2 /a\\ b 0 8:1 0".into()],
            places: vec![Place {
                device: "8:1".into(),
                identity: Identity::Device {
                    node: "/dev/sda1".into(),
                    ids: [("wwid".to_string(), "naa.5".to_string())].into(),
                    size: 4096,
                },
                ours: false,
            }],
            looks: [("ctl".to_string(), Look::default())].into(),
            on_failure: OnFailure::Hold,
            dropped: vec![Dropped {
                leg: Some(1),
                node: "/dev/sdb".into(),
                letter: 'D',
            }],
            forged: true,
            adopted: true,
            made: Some(vec![Identity::File {
                path: "/a/log".into(),
                inode: 7,
                file_system: None,
                size: 4096,
            }]),
            unfinished: Some(Unfinished {
                stage: Stage::Reloading,
                files: vec!["/a/log".into()],
                afresh: true,
            }),
        }
    }

    #[test]
    fn records_come_back_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::below(folder.path());
        assert!(records.all().unwrap().is_empty());
        let (one, two) = (record("a", "MIRRORFS-1"), record("b", "../x/.."));
        records.write(&one).unwrap();
        records.write(&two).unwrap();
        let renamed = record("c", "MIRRORFS-1");
        records.write(&renamed).unwrap();
        let all = records.all().unwrap().into_iter();
        let all: Vec<Record> = all.map(|(_, record)| record.unwrap()).collect();
        assert_eq!(all, [two, renamed]);
        records.remove("MIRRORFS-1").unwrap();
        records.remove("MIRRORFS-1").unwrap();
        records.remove("../x/..").unwrap();
        records.close();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_record_cut_or_broken_anywhere_is_none_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::below(folder.path());
        records.write(&record("a", "A")).unwrap();
        records.write(&record("b", "B")).unwrap();
        let path = folder.path().join("mirrors/A.json");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let all = records.all().unwrap();
            assert!(all[0].1.is_err() && all[1].1.is_ok(), "{length}");
        }
        let aside = records.put_aside(&path).unwrap();
        assert!(aside.exists() && records.all().unwrap().len() == 1);
        let text = String::from_utf8(whole).unwrap();
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        let error = records.all().unwrap().remove(0).1.unwrap_err();
        assert!(error.sentence().contains("version 2"), "{error}");
    }

    #[test]
    fn what_was_being_written_goes_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::below(folder.path());
        records.sweep();
        records.write(&record("a", "A")).unwrap();
        for name in ["A.new", "B.new"] {
            fs::write(folder.path().join("mirrors").join(name), "{").unwrap();
        }
        records.sweep();
        let left = fs::read_dir(folder.path().join("mirrors")).unwrap();
        assert_eq!(left.count(), 1);
        assert!(records.get("A").is_some());
    }

    #[test]
    fn what_makes_no_file_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::below(folder.path());
        for uuid in ["", &"/".repeat(100)] {
            let error = records.write(&record("a", uuid)).unwrap_err();
            assert_eq!(error.errno(), Errno::EINVAL);
        }
    }
}

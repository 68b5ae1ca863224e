//! What is known of the logs, in files that end with the boot, for the server that is
//! started next.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cluster::serve::record::{Record, parse, to_bytes};
use crate::daemon::records::private;
use crate::error::{Errno, Error, Result};

/// A number that each boot has of its own (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How files end that are kept.
const ENDING: &str = "kept";

/// A file of so many bytes is written anew.
const LARGE: u64 = 4 << 20;

/// What a file begins with: what else it has is of this version, boot and log.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    version: u32,
    boot: String,
    log: String,
}

/// The version of the files.
const VERSION: u32 = 1;

/// The folder, as long as this server runs.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    boot: String,
    files: BTreeMap<String, (File, u64)>,
    _held: Flock<File>,
}

impl Keeper {
    /// Take the folder, making it where it does not exist.
    ///
    /// # Errors
    /// EBUSY where another server has it; EPERM where somebody else could write there.
    pub fn open(folder: &Path) -> Result<Keeper> {
        let folder = private::resolve(folder)?;
        let at = |error| Error::io(folder.display(), &error);
        private::make_folder(&folder).map_err(at)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = private::make_file(&folder.join("lock"), &options).map_err(at)?;
        let held = Flock::lock(lock, FlockArg::LockExclusiveNonblock);
        let _held = held.map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => Error::busy(format!(
                "another log server has {}: there is one a machine",
                folder.display()
            )),
            errno => Error::sys(folder.display(), errno),
        })?;
        let boot = fs::read_to_string(BOOT_ID).map_err(|error| Error::io(BOOT_ID, &error))?;
        Ok(Keeper {
            boot: boot.trim().into(),
            files: BTreeMap::new(),
            _held,
            folder,
        })
    }

    /// A number of this boot.
    pub fn boot(&self) -> u64 {
        let digest = Sha256::digest(self.boot.as_bytes());
        digest
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What a server before has kept, of each log.
    ///
    /// # Errors
    /// What reading the folder answers.
    pub fn load(&self) -> Result<Vec<(String, Vec<Record>)>> {
        let at = |error| Error::io(self.folder.display(), &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let bytes = fs::read(&path).map_err(at)?;
            match postcard::take_from_bytes::<Head>(&bytes) {
                Ok((head, rest)) if head == self.head(&head.log) => {
                    found.push((head.log, parse(rest)));
                }
                _ => drop(fs::remove_file(&path)),
            }
        }
        Ok(found)
    }

    fn head(&self, log: &str) -> Head {
        Head {
            version: VERSION,
            boot: self.boot.clone(),
            log: log.into(),
        }
    }

    /// A log may have any name.
    fn path(&self, log: &str) -> PathBuf {
        let digest = Sha256::digest(log.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension(ENDING)
    }

    /// Keep one more record; whether the file should be written anew. What cannot be kept
    /// whole is not kept at all: who knows nothing copies all.
    pub fn add(&mut self, log: &str, record: &Record) -> bool {
        let Some((file, size)) = self.files.get_mut(log) else {
            return true;
        };
        let bytes = to_bytes(record).unwrap_or_default();
        match file.write_all(&bytes) {
            Ok(()) if !bytes.is_empty() => {
                *size += bytes.len() as u64;
                *size > LARGE
            }
            _ => {
                self.forget(log);
                true
            }
        }
    }

    /// Keep this alone.
    pub fn replace(&mut self, log: &str, record: &Record) {
        match self.write(log, record) {
            Ok(file) => drop(self.files.insert(log.into(), file)),
            Err(error) => {
                log::warn!("the log {log} would not be known to another server: {error}");
                self.forget(log);
            }
        }
    }

    fn write(&self, log: &str, record: &Record) -> Result<(File, u64)> {
        let path = self.path(log);
        let new = path.with_extension("new");
        let at = |error| Error::io(new.display(), &error);
        let told = |error| Error::new(Errno::EIO, format!("{log}: {error}"));
        let head = postcard::to_stdvec(&self.head(log)).map_err(told)?;
        let bytes = [head, to_bytes(record).map_err(told)?].concat();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = private::make_file(&new, &options).map_err(at)?;
        file.write_all(&bytes).map_err(at)?;
        fs::rename(&new, &path).map_err(at)?;
        Ok((file, bytes.len() as u64))
    }

    /// Keep nothing of a log.
    pub fn forget(&mut self, log: &str) {
        self.files.remove(log);
        if let Err(error) = fs::remove_file(self.path(log))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("what was kept of the log {log} stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(luid: u64) -> Record {
        Record::Words(luid, format!("8 clustered-core {luid}"))
    }

    #[test]
    fn the_next_server_knows_what_this_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(folder.path()).unwrap();
        assert!(keeper.add("a/b", &words(1)), "nothing to add to");
        keeper.replace("a/b", &Record::All(Box::default()));
        keeper.replace("gone", &words(9));
        assert!(!keeper.add("a/b", &words(2)));
        keeper.forget("gone");
        let busy = Keeper::open(folder.path()).unwrap_err();
        assert_eq!(busy.errno(), Errno::EBUSY, "{busy}");
        drop(keeper);
        let keeper = Keeper::open(folder.path()).unwrap();
        let all = vec![Record::All(Box::default()), words(2)];
        assert_eq!(keeper.load(), Ok(vec![("a/b".into(), all)]));
    }

    #[test]
    fn of_another_boot_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(folder.path()).unwrap();
        keeper.replace("a", &words(1));
        keeper.boot = "another".into();
        assert_eq!(keeper.load(), Ok(vec![]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the lock");
    }
}

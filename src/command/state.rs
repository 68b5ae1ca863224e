//! The state directory belongs to one daemon at a time: two would both act on
//! every mirror.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, metadata, read_dir, remove_dir, remove_file};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;

use super::config::{EngineName, Options};
use crate::daemon::records::durable::sync_parent;
use crate::daemon::records::private;
use crate::error::{Errno, Error, Result};

/// The kernel engine's: one for the whole machine, as its mirrors are.
const SYSTEM: &str = "/var/lib/mirrorfs";

/// How long to wait for a daemon whose mount is gone and that is about to end.
const LOCK_WITHIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Held for as long as the daemon lives; the kernel lets go of it whatever way
/// the daemon ends.
#[derive(Debug)]
pub struct Lock {
    held: Mutex<Option<Flock<File>>>,
    path: PathBuf,
    /// The folders that were made for it, the innermost first, by this daemon or
    /// by one before that could not leave them: the file names them.
    made: Vec<PathBuf>,
}

/// The state directory that the options name, or the engine's own.
///
/// # Errors
/// ENOENT where neither the options nor the environment name one.
pub fn folder(options: &Options) -> Result<PathBuf> {
    match (&options.state_dir, options.engine) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, EngineName::Kernel) => Ok(SYSTEM.into()),
        (None, EngineName::Embedded) => of_user(|name| std::env::var_os(name)),
    }
}

/// The XDG Base Directory Specification: a relative path does not count.
fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let home = || folder("HOME").map(|home| home.join(".local/state"));
    let state = folder("XDG_STATE_HOME").or_else(home);
    state.map(|state| state.join("mirrorfs")).ok_or_else(|| {
        let sentence = "neither XDG_STATE_HOME nor HOME is set: name a folder with --state-dir";
        Error::new(Errno::ENOENT, sentence)
    })
}

/// Take the state directory, making it where it does not exist.
///
/// # Errors
/// EBUSY where another daemon has it; EPERM where somebody else could write there; what
/// the file system answers.
pub fn take(folder: &Path) -> Result<Lock> {
    let at = |error| Error::io(format!("the state directory {}", folder.display()), &error);
    let folder = &private::resolve(folder)?;
    let missing = folder.ancestors().take_while(|folder| !folder.exists());
    let mut made: Vec<PathBuf> = missing.map(Into::into).collect();
    private::make_folder(folder).map_err(at)?;
    for error in made.iter().filter_map(|made| sync_parent(made).err()) {
        log::warn!("{}", at(error));
    }
    let path = folder.join("lock");
    let mut held = lock(folder, &path)?;
    if made.is_empty() {
        made = made_before(&mut held);
    }
    if let Err(error) = note(&mut held, &made) {
        // The lock itself holds. Whoever cannot write here can still look.
        log::warn!("{}", at(error));
    }
    let held = Mutex::new(Some(held));
    Ok(Lock { held, path, made })
}

/// The file's lines are the daemon's process and the folders that were made.
fn note(held: &mut File, made: &[PathBuf]) -> std::io::Result<()> {
    let folders = made.iter().map(|folder| folder.as_os_str().as_bytes());
    let pid = std::process::id().to_string();
    let lines: Vec<&[u8]> = std::iter::once(pid.as_bytes()).chain(folders).collect();
    held.set_len(0)?;
    held.rewind()?;
    held.write_all(&[&lines.join(&b'\n')[..], b"\n"].concat())
}

fn made_before(held: &mut File) -> Vec<PathBuf> {
    let mut bytes = Vec::new();
    // Without them the folders stay, which does no harm.
    let _ = held.read_to_end(&mut bytes);
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    let paths = lines.filter(|line| line.starts_with(b"/"));
    paths
        .map(|line| PathBuf::from(OsStr::from_bytes(line)))
        .collect()
}

/// The file is removed by who leaves: one that was locked after that is another
/// one than the next daemon will find.
fn lock(folder: &Path, path: &Path) -> Result<Flock<File>> {
    let at = |error| Error::io(format!("the state directory {}", folder.display()), &error);
    let end = Instant::now() + LOCK_WITHIN;
    loop {
        let opened = open(folder, path).map_err(at)?;
        let held = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() < end => {
                sleep(PAUSE);
                continue;
            }
            Err((mut file, errno)) => return Err(refuse(folder, &mut file, errno)),
            Ok(held) => held,
        };
        let inode = |data: Metadata| (data.dev(), data.ino());
        let ours = held.metadata().map(inode).map_err(at)?;
        let there = [path, folder].map(|path| metadata(path).map(inode).ok());
        if there.contains(&Some(ours)) {
            return Ok(held);
        }
    }
}

/// The lock's file. Where none can be made or written, a full or read-only disk
/// must not keep anybody from looking at the mirrors: the file as it is, or the
/// folder, can be locked too.
fn open(folder: &Path, path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match private::make_file(path, &options) {
        Err(error) if is_unwritable(&error) => File::open(path).or_else(|_| File::open(folder)),
        opened => opened,
    }
}

fn is_unwritable(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EROFS | Errno::ENOSPC | Errno::EDQUOT))
}

impl Lock {
    /// The state directory, without links.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Leave nothing behind that was made for the lock alone.
    pub fn leave(&self) {
        let mut held = self.held.lock();
        let Some(file) = held.take() else { return };
        let folder = self.path.parent().and_then(|folder| read_dir(folder).ok());
        // The next daemon will want to know who made a folder that is in use.
        if folder.is_some_and(|entries| entries.count() == 1) {
            let _ = remove_file(&self.path);
            // What cannot be removed, or is not empty, stays.
            for folder in &self.made {
                let _ = remove_dir(folder);
            }
        }
        drop(file);
    }
}

fn refuse(folder: &Path, file: &mut File, errno: Errno) -> Error {
    if errno != Errno::EWOULDBLOCK {
        return Error::sys(
            format!("locking the state directory {}", folder.display()),
            errno,
        );
    }
    let mut holder = String::new();
    // Without the number the sentence still says what matters.
    let _ = file.read_to_string(&mut holder);
    Error::busy(format!(
        "another mirrorfs (process {}) uses the state directory {}: stop it, or choose another with --state-dir",
        holder.lines().next().unwrap_or_default(),
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("deep/state");
        let lock = take(&inside).expect("free");
        let error = take(&inside).expect_err("held");
        assert_eq!(error.errno(), Errno::EBUSY);
        assert!(
            error.sentence().contains(&std::process::id().to_string()),
            "{error}"
        );
        lock.leave();
        assert_eq!(read_dir(folder.path()).expect("listed").count(), 0);
        assert!(take(&inside).is_ok());
    }

    #[test]
    fn what_was_there_before_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        std::fs::create_dir(&state).expect("made");
        take(&state).expect("free").leave();
        assert_eq!(read_dir(&state).expect("still there").count(), 0);
        let lock = take(&state).expect("free");
        std::fs::write(state.join("record"), "").expect("written");
        lock.leave();
        assert!(state.join("record").exists());
        remove_file(state.join("record")).expect("removed");
        take(&state).expect("free").leave();
        assert!(state.exists());
    }

    #[test]
    fn what_one_daemon_made_and_could_not_leave_the_next_one_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("deep/state");
        let lock = take(&inside).expect("free");
        std::fs::write(inside.join("record"), "").expect("written");
        lock.leave();
        remove_file(inside.join("record")).expect("removed");
        take(&inside).expect("free").leave();
        assert!(!folder.path().join("deep").exists());
    }

    #[test]
    fn a_user_s_folder_is_where_xdg_says() {
        let with = |pairs: &'static [(&str, &str)]| {
            of_user(|name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            })
        };
        let home = Ok("/home/a/.local/state/mirrorfs".into());
        assert_eq!(with(&[("HOME", "/home/a")]), home);
        assert_eq!(
            with(&[("XDG_STATE_HOME", "rel"), ("HOME", "/home/a")]),
            home
        );
        let state = with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/home/a")]);
        assert_eq!(state, Ok("/s/mirrorfs".into()));
        assert_eq!(with(&[]).map_err(|e| e.errno()), Err(Errno::ENOENT));
    }
}

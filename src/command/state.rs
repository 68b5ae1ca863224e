//! The state directory belongs to one daemon at a time: two would both act on
//! every mirror.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Errno, Error, Result};

/// Held for as long as the daemon lives; the kernel lets go of it whatever way
/// the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Take the state directory, making it where it does not exist.
///
/// # Errors
/// EBUSY where another daemon has it; what the file system answers.
pub fn take(folder: &Path) -> Result<Lock> {
    let at = |error| Error::io(format!("the state directory {}", folder.display()), &error);
    create_dir_all(folder).map_err(at)?;
    let path = folder.join("lock");
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let mut held = Flock::lock(opened.map_err(at)?, FlockArg::LockExclusiveNonblock)
        .map_err(|(mut file, errno)| refuse(folder, &mut file, errno))?;
    let pid = format!("{}\n", std::process::id());
    let written = held.set_len(0).and_then(|()| held.rewind());
    written
        .and_then(|()| held.write_all(pid.as_bytes()))
        .map_err(at)?;
    Ok(Lock { _held: held })
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
        holder.trim(),
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
        drop(lock);
        assert!(take(&inside).is_ok());
    }
}

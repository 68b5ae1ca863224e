//! One daemon for the kernel's device-mapper: two would both act on every mirror, whatever
//! state directories they have. The lock is on the control node, which only root can open;
//! nothing of it is left behind, whatever way the daemon ends.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::open::CONTROL;
use crate::error::{Errno, Error, Result};

/// How long a daemon is waited for that is about to end.
const HOLDER_WITHIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Who holds which lock (proc_locks(5)).
const LOCKS: &str = "/proc/locks";

/// The machine's device-mapper, as long as this is kept. Its descriptor is no other
/// call's: a child that outlives the daemon closes it at once.
#[derive(Debug)]
pub(super) struct Only {
    _held: Flock<File>,
}

/// Be the only one.
///
/// # Errors
/// EBUSY where another daemon is, and what open(2) and flock(2) answer.
pub(super) fn only() -> Result<Only> {
    let end = Instant::now() + HOLDER_WITHIN;
    let opened = File::open(CONTROL);
    let mut file = opened.map_err(|error| Error::io(CONTROL, &error))?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_held) => return Ok(Only { _held }),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < end => file,
            Err((file, Errno::EWOULDBLOCK)) => return Err(taken(&file)),
            Err((_, errno)) => return Err(Error::sys(format!("locking {CONTROL}"), errno)),
        };
        sleep(PAUSE);
    }
}

fn taken(file: &File) -> Error {
    let locks = fs::read_to_string(LOCKS).unwrap_or_default();
    let inode = file.metadata().map(|stat| stat.ino());
    let process = inode.ok().and_then(|inode| holder(&locks, inode));
    let process = process.map_or_else(String::new, |process| format!(" (process {process})"));
    Error::busy(format!(
        "another mirrorfs{process} uses this machine's device-mapper: stop it first"
    ))
}

/// Who has locked a file with this inode number by flock(2); where several have the
/// number, nobody is named.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    let mut found = locks.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", process, place, ..] = words.as_slice() else {
            return None;
        };
        let number: u64 = place.rsplit_once(':')?.1.parse().ok()?;
        (number == inode).then(|| process.parse().ok())?
    });
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_named_where_one_does() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:05:9 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:05:9 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 6 00:05:9 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 00:05:10 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 5 08:01:10 0 EOF\n\
                     garbage\n";
        assert_eq!(holder(locks, 9), Some(8));
        assert_eq!(holder(locks, 10), None);
        assert_eq!(holder(locks, 11), None);
    }
}

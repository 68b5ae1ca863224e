//! What keeps others off a leg or log while a table uses it: a lock on a regular
//! file (flock(2)), an exclusive open of a block device (open(2), O_EXCL), which
//! also keeps mounts off. All tables of this process share one hold of a place.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;

use crate::engine::Facts;
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;

/// A file or device that is kept from others until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    /// What tells it from all others, whatever its names are.
    pub(super) key: String,
    /// What it was called.
    node: PathBuf,
    _kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Locked { _file: Flock<File> },
    Open { _file: File },
}

/// All holds of this process.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<String, Weak<Hold>>>);

impl Holds {
    /// Hold what `facts` tells of.
    ///
    /// # Errors
    /// EBUSY where another program holds it, and what open(2) answers.
    pub(super) fn take(&self, facts: &Facts) -> Result<Arc<Hold>> {
        let key = key(facts);
        let mut all = self.0.lock();
        if let Some(hold) = all.get(&key).and_then(Weak::upgrade) {
            return Ok(hold);
        }
        // A table names its files by their paths: two of one name would be one to it,
        // and what was checked another than what is opened.
        let mut held = all.values().filter_map(Weak::upgrade);
        if held.any(|hold| hold.node == facts.node) {
            let node = facts.node.display();
            let sentence = format!("{node} is no longer the file in use");
            return Err(Error::busy(sentence));
        }
        let hold = Arc::new(Hold {
            _kept: keep(facts)?,
            key: key.clone(),
            node: facts.node.clone(),
        });
        all.retain(|_, hold| hold.strong_count() > 0);
        all.insert(key, Arc::downgrade(&hold));
        Ok(hold)
    }

    /// Whether a table of this process uses it.
    pub(super) fn has(&self, facts: &Facts) -> bool {
        let all = self.0.lock();
        all.get(&key(facts))
            .is_some_and(|hold| hold.strong_count() > 0)
    }
}

/// A device is told by its number, a file by what it is.
pub(super) fn key(facts: &Facts) -> String {
    match &facts.device {
        DeviceRef::Number(number) => number.to_string(),
        DeviceRef::Path(_) => facts.extent.base.clone(),
    }
}

fn keep(facts: &Facts) -> Result<Kept> {
    let node = facts.node.display();
    let block = matches!(facts.device, DeviceRef::Number(_));
    let exclusive = if block { libc::O_EXCL } else { 0 };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | exclusive)
        .open(facts.way());
    let file = opened.map_err(|error| Error::io(node, &error))?;
    if block {
        return Ok(Kept::Open { _file: file });
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Kept::Locked { _file: file }),
        Err((_, Errno::EWOULDBLOCK)) => {
            let node = facts.node.display();
            Err(Error::busy(format!("{node} is locked by another program")))
        }
        Err((file, errno)) => {
            log::debug!("{}: no lock: {}", facts.node.display(), errno.desc());
            Ok(Kept::Open { _file: file })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::Host;

    #[test]
    fn tables_share_a_hold_and_others_are_kept_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let facts = Host::new()
            .facts(&DeviceRef::Path(file.path().into()))
            .unwrap();
        let (holds, others) = (Holds::default(), Holds::default());
        let one = holds.take(&facts).unwrap();
        let two = holds.take(&facts).unwrap();
        assert!(holds.has(&facts) && !others.has(&facts));
        let refused = others.take(&facts).unwrap_err();
        assert_eq!(refused.errno(), Errno::EBUSY);
        drop(one);
        assert!(others.take(&facts).is_err());
        drop(two);
        assert!(others.take(&facts).is_ok() && !holds.has(&facts));
    }
}

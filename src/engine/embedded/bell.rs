//! Events: a count for each device, and one descriptor that tells of all.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::{Error, Result};

/// Readable from any event until it is silenced.
#[derive(Debug)]
pub(super) struct Bell(EventFd);

impl Bell {
    /// A bell that nobody has rung (eventfd(2)).
    pub(super) fn new() -> Result<Arc<Bell>> {
        let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
        let fd = fd.map_err(|errno| Error::sys("making an event descriptor", errno))?;
        Ok(Arc::new(Bell(fd)))
    }

    /// Something happened. One that rings already needs no more.
    pub(super) fn ring(&self) {
        let _ = self.0.write(1);
    }

    /// Forget what has happened.
    pub(super) fn silence(&self) {
        let _ = nix::unistd::read(self.0.as_fd(), &mut [0; 8]);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The event counter of one device.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    count: Arc<AtomicU32>,
    bell: Arc<Bell>,
}

impl Counter {
    pub(super) fn new(bell: &Arc<Bell>) -> Counter {
        Counter {
            count: Arc::default(),
            bell: Arc::clone(bell),
        }
    }

    /// An event of this device (`dm_table_event`, drivers/md/dm-table.c).
    pub(super) fn raise(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }

    pub(super) fn get(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn it_is_readable_from_an_event_until_it_is_silenced() {
        let bell = Bell::new().unwrap();
        let readable = || {
            let mut fds = [PollFd::new(bell.fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        let counter = Counter::new(&bell);
        assert!(!readable());
        counter.raise();
        counter.raise();
        assert!(readable() && counter.get() == 2);
        bell.silence();
        assert!(!readable());
        bell.silence();
    }
}

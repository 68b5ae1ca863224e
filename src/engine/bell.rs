//! A bell: how any thread wakes the one that waits for descriptors.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::{Error, Result};

/// Wakes one thread that waits in poll(2): readable from the ring on until it is silenced.
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    /// A bell that nobody has rung (eventfd(2)).
    ///
    /// # Errors
    /// EMFILE, ENFILE where no descriptor can be had.
    pub fn new() -> Result<Arc<Bell>> {
        let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
        let fd = fd.map_err(|errno| Error::sys("making an event descriptor", errno))?;
        Ok(Arc::new(Bell(fd)))
    }

    /// Wake it. One that rings already needs no more.
    pub fn ring(&self) {
        let _ = self.0.write(1);
    }

    /// Forget that somebody rang: called before the look that it asked for.
    pub fn silence(&self) {
        let _ = nix::unistd::read(self.0.as_fd(), &mut [0; 8]);
    }

    /// What to wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

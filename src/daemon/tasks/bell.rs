//! A bell: how any thread wakes the one that waits for descriptors.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::error::{Error, Result};

/// Wakes one thread that waits in poll(2).
#[derive(Debug)]
pub struct Bell {
    hear: PipeReader,
    ring: PipeWriter,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// EMFILE, ENFILE where no pipe can be had.
    pub fn new() -> Result<Self> {
        let (hear, ring) = pipe().map_err(|error| Error::io("making a pipe", &error))?;
        for fd in [hear.as_fd(), ring.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(|errno| Error::sys("a pipe that does not block", errno))?;
        }
        Ok(Bell { hear, ring })
    }

    /// Wake it. A full pipe has woken it already.
    pub fn ring(&self) {
        let _ = (&self.ring).write(&[0]);
    }

    /// Readable once somebody has rung.
    pub fn hear(&self) -> BorrowedFd<'_> {
        self.hear.as_fd()
    }

    /// Forget that somebody rang: called before the look that it asked for.
    pub fn silence(&self) {
        let mut sounds = [0; 64];
        while matches!((&self.hear).read(&mut sounds), Ok(count) if count > 0) {}
    }
}

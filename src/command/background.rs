//! The background: the command returns once the mount is usable, or with the
//! reason why it will not be.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::exit;

use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use super::logging;
use crate::error::{Error, Result};

/// What the waiting command reads when the mount is usable.
const READY: &[u8] = b"\0";

/// The daemon's end of the line to the command that waits for it.
#[derive(Debug)]
pub struct Waiting {
    command: PipeWriter,
}

/// Go on in a new process. The old one waits for [`Waiting::ready`] or
/// [`Waiting::failed`] and ends with 0 or 1; only the new one returns.
///
/// # Errors
/// EAGAIN, ENOMEM, EMFILE where the system has no room for it.
pub fn enter() -> Result<Waiting> {
    let (read, command) = pipe().map_err(|error| Error::io("making a pipe", &error))?;
    // SAFETY: `main` calls this before any thread is started, so the child has
    // every lock and buffer in the state that it sees.
    match unsafe { fork() }.map_err(|errno| Error::sys("starting the daemon", errno))? {
        ForkResult::Parent { .. } => {
            drop(command);
            exit(wait(read));
        }
        ForkResult::Child => {
            drop(read);
            setsid().map_err(|errno| Error::sys("leaving the terminal", errno))?;
            Ok(Waiting { command })
        }
    }
}

fn wait(mut read: PipeReader) -> i32 {
    let mut words = Vec::new();
    let ended = read.read_to_end(&mut words);
    match words.as_slice() {
        READY => 0,
        [] => {
            eprintln!("mirrorfs: the daemon exited before it was ready ({ended:?})");
            1
        }
        words => {
            eprintln!("mirrorfs: {}", String::from_utf8_lossy(words));
            1
        }
    }
}

impl Waiting {
    /// The mount is usable: let the command return, and leave the terminal.
    ///
    /// # Errors
    /// Where the standard streams cannot be led away.
    pub fn ready(mut self) -> Result<()> {
        let away = |errno| Error::sys("leaving the terminal", errno);
        chdir("/").map_err(away)?;
        let null = null()?;
        dup2_stdin(null.as_fd()).map_err(away)?;
        dup2_stdout(null.as_fd()).map_err(away)?;
        if !logging::to_journal() {
            dup2_stderr(null.as_fd()).map_err(away)?;
        }
        // A command that no longer waits needs no word.
        let _ = self.command.write_all(READY);
        Ok(())
    }

    /// The mount will not be usable, and why.
    pub fn failed(mut self, error: &Error) {
        let _ = self.command.write_all(error.sentence().as_bytes());
    }
}

fn null() -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/null");
    opened.map_err(|error| Error::io("/dev/null", &error))
}

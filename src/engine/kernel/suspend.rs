//! A suspend that outlives us.
//!
//! While DM_DEV_SUSPEND waits for I/O, a signal makes it give up after
//! dm-mirror's presuspend, which has no undo: the next suspend of that device
//! hangs in dm_rh_stop_recovery until the machine is rebooted. SIGKILL cannot be
//! blocked, and any exit of the process kills its other threads. So a child in a
//! session of its own does the waiting, and where it finds itself alone afterwards it
//! puts the device back as it was. Where a resume is to follow it stays until that
//! is done ([`Guard`]).
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};

use super::alone::{self, SuspendJob};
use super::raw::{Header, NOFLUSH, SKIP_LOCKFS, SUSPEND};
use crate::engine::{Id, Suspend};
use crate::error::Errno;

/// Where the kernel says whether the daemon's first thread lives (proc_pid_stat(5)).
const ITSELF: &str = "/proc/self/stat";

/// The child that suspended a device, and stays. Dropped without a word, as when the
/// daemon ends, it lets the device go on with its old table.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    line: PipeWriter,
}

/// A child to be waited for, so that no zombie stays.
#[derive(Debug)]
pub(super) struct Child(Pid);

impl Guard {
    /// The device was resumed: the child may go.
    pub(super) fn release(mut self) -> Child {
        // One that was killed hears nothing.
        let _ = self.line.write_all(&[0]);
        self.child
    }
}

impl Child {
    /// Whether it is gone; nobody waits for it here.
    pub(super) fn is_gone(&self) -> bool {
        let status = waitpid(self.0, Some(WaitPidFlag::WNOHANG));
        // Where SIGCHLD is ignored there is nothing to wait for (ECHILD).
        !matches!(status, Ok(WaitStatus::StillAlive))
    }
}

/// DM_DEV_SUSPEND, to be called with all signals blocked: the child inherits that.
/// Answers who stays until the resume, where one is to follow.
///
/// # Errors
/// Its errno; EINTR where the child was killed; EMFILE, EAGAIN where the system has no
/// room for it.
pub(super) fn suspend(control: &File, id: &Id, how: Suspend) -> Result<Option<Guard>, Errno> {
    let (heard, answer) = pipe().map_err(errno)?;
    let (ear, line) = pipe().map_err(errno)?;
    // Without it, only the pipe tells of the daemon's end.
    let daemon = File::open(ITSELF).ok();
    let mut work = SuspendJob {
        control,
        answer: &answer,
        ear: &ear,
        line: &line,
        daemon: daemon.as_ref(),
        suspend: Header::of(id)?.flags(flags(how)),
        plain: Header::of(id)?,
        parent: getpid(),
        stays: how.passing,
    };
    // SAFETY: the child of a process with threads may only call what is
    // async-signal-safe: `alone` makes system calls on memory that is there,
    // allocates nothing, and leaves by exit_group(2).
    let child = match unsafe { fork() }? {
        ForkResult::Child => alone::work(&mut work),
        ForkResult::Parent { child } => Child(child),
    };
    drop((answer, ear));
    let answered = hear(heard);
    match answered {
        Ok(()) if how.passing => Ok(Some(Guard { child, line })),
        _ => {
            // It has nothing left to do but to end.
            let _ = waitpid(child.0, None);
            answered.map(|()| None)
        }
    }
}

fn flags(how: Suspend) -> u32 {
    let noflush = if how.noflush { NOFLUSH } else { 0 };
    let skip_lockfs = if how.skip_lockfs { SKIP_LOCKFS } else { 0 };
    SUSPEND | noflush | skip_lockfs
}

/// The child's errno, by the pipe: its exit status is lost where SIGCHLD is ignored.
fn hear(mut heard: PipeReader) -> Result<(), Errno> {
    let mut number = [0; 4];
    match heard
        .read_exact(&mut number)
        .map(|()| i32::from_ne_bytes(number))
    {
        Ok(0) => Ok(()),
        Ok(number) => Err(Errno::from_raw(number)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Errno::EINTR),
        Err(error) => Err(errno(error)),
    }
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_s_errno_is_ours() {
        let null = File::open("/dev/null").unwrap();
        let id = Id::Name("m0".into());
        for passing in [false, true] {
            let how = Suspend {
                passing,
                ..Suspend::default()
            };
            let answer = suspend(&null, &id, how).map(drop);
            assert_eq!(answer, Err(Errno::ENOTTY));
        }
    }

    #[test]
    fn the_flags_are_those_of_dm_ioctl_h() {
        let all = Suspend {
            noflush: true,
            skip_lockfs: true,
            passing: true,
        };
        assert_eq!(flags(Suspend::default()), 0x002);
        assert_eq!(flags(all), 0xc02);
    }
}

//! A suspend that outlives us.
//!
//! While DM_DEV_SUSPEND waits for I/O, a signal makes it give up after
//! dm-mirror's presuspend, which has no undo: the next suspend of that device
//! hangs in dm_rh_stop_recovery until the machine is rebooted. SIGKILL cannot be
//! blocked, and any exit of the process kills its other threads. So a child of
//! its own process group does the waiting, and where it finds itself alone
//! afterwards it puts the device back as it was.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::sys::prctl;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, setsid};

use super::raw::{Call, Header, NOFLUSH, SKIP_LOCKFS, SUSPEND, call};
use crate::engine::{Id, Suspend};
use crate::error::Errno;

/// What the child will ask, made before there is one: it may not allocate.
struct Work<'a> {
    control: &'a File,
    suspend: Header,
    clear: Header,
    resume: Header,
    parent: Pid,
}

/// DM_DEV_SUSPEND, to be called with all signals blocked: the child inherits that.
///
/// Its errno, or EINTR where the child was killed. Needs SIGCHLD not ignored
/// (waitpid(2)).
pub(super) fn suspend(control: &File, id: &Id, how: Suspend) -> Result<(), Errno> {
    let mut work = Work {
        control,
        suspend: Header::of(id)?.flags(flags(how)),
        clear: Header::of(id)?,
        resume: Header::of(id)?,
        parent: getpid(),
    };
    // SAFETY: the child of a process with threads may only call what is
    // async-signal-safe: `in_child` makes system calls on memory that is there,
    // allocates nothing, and leaves by _exit.
    match unsafe { fork() }? {
        ForkResult::Child => in_child(&mut work),
        ForkResult::Parent { child } => answer(waitpid(child, None)?),
    }
}

fn flags(how: Suspend) -> u32 {
    let noflush = if how.noflush { NOFLUSH } else { 0 };
    let skip_lockfs = if how.skip_lockfs { SKIP_LOCKFS } else { 0 };
    SUSPEND | noflush | skip_lockfs
}

fn answer(status: WaitStatus) -> Result<(), Errno> {
    match status {
        WaitStatus::Exited(_, 0) => Ok(()),
        WaitStatus::Exited(_, errno) => Err(Errno::from_raw(errno)),
        _ => Err(Errno::EINTR),
    }
}

fn in_child(work: &mut Work) -> ! {
    // Who kills the daemon by its name or its group does not mean this.
    let _ = setsid();
    let _ = prctl::set_name(c"dm-suspend");
    let_go_of_all_but(work.control);
    let answer = call(work.control, Call::Suspend, &mut work.suspend);
    if answer.is_ok() && getppid() != work.parent {
        // Nobody is left who would: the table that was to follow has nobody
        // either who would check it.
        let _ = call(work.control, Call::Clear, &mut work.clear);
        let _ = call(work.control, Call::Suspend, &mut work.resume);
    }
    let status = answer.map_or_else(|errno| errno as i32, |()| 0);
    // SAFETY: _exit(2) runs no destructor and no handler of the parent's.
    unsafe { libc::_exit(status) }
}

// The daemon's mount and locks must end with the daemon, not with this child.
fn let_go_of_all_but(kept: &File) {
    let kept = kept.as_raw_fd().unsigned_abs();
    // SAFETY: nothing in this process uses the others any more; on a kernel
    // without close_range(2) they stay, which only delays their end.
    unsafe {
        if let Some(below) = kept.checked_sub(1) {
            libc::syscall(libc::SYS_close_range, 0, below, 0);
        }
        libc::syscall(libc::SYS_close_range, kept + 1, u32::MAX, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_s_errno_is_ours() {
        let null = File::open("/dev/null").unwrap();
        let id = Id::Name("m0".into());
        let answer = suspend(&null, &id, Suspend::default());
        assert_eq!(answer, Err(Errno::ENOTTY));
    }

    #[test]
    fn the_flags_are_those_of_dm_ioctl_h() {
        let all = Suspend {
            noflush: true,
            skip_lockfs: true,
        };
        assert_eq!(flags(Suspend::default()), 0x002);
        assert_eq!(flags(all), 0xc02);
    }
}

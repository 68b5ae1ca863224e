//! The child of a suspend, `dm-suspend` to ps(1): what it does from fork(2) to its end.
//!
//! It is a copy of one thread of a process with others, so that it may make system
//! calls and nothing else. It may also be the only one who can free a device on which
//! this very program stands: what it runs and touches then is in memory by then.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::unistd::{Pid, getppid, setsid};

use super::raw::{Call, Header, call};
use crate::error::Errno;

/// How often it is seen whether the daemon dies, in milliseconds: the pipe tells of its
/// end, and that waits for a thread that reads from a dead disk.
const LOOK: i32 = 200;

/// How often a resume that fails is tried, and how long the child waits between. Then
/// the device is left to the next mount.
const TRIES: u32 = 20;
const PAUSE: i32 = 500;

/// The highest descriptor that is closed one by one where close_range(2) is not there.
const HIGHEST: RawFd = 65_535;

/// What the child needs, made before there is one.
pub(super) struct SuspendJob<'a> {
    pub control: &'a File,
    /// Takes the errno of the suspend.
    pub answer: &'a PipeWriter,
    /// A byte means that the device was resumed; its end that of the daemon.
    pub ear: &'a PipeReader,
    /// The daemon's end of it, which must not live on in the child.
    pub line: &'a PipeWriter,
    /// The daemon's /proc/PID/stat.
    pub daemon: Option<&'a File>,
    pub suspend: Header,
    /// A header that asks for nothing.
    pub plain: Header,
    pub parent: Pid,
    /// Whether to stay until the device was resumed.
    pub stays: bool,
}

pub(super) fn work(work: &mut SuspendJob<'_>) -> ! {
    // Who kills the daemon by its name or its group does not mean this.
    let _ = setsid();
    let _ = prctl::set_name(c"dm-suspend");
    work.let_go();
    work.rehearse();
    let answer = call(work.control, Call::Suspend, &mut work.suspend);
    if !work.stays && answer.is_ok() && getppid() != work.parent {
        // Nobody is left who would: the table that was to follow has nobody
        // either who would check it.
        work.go_on();
    }
    work.tell(answer);
    if work.stays && answer.is_ok() && work.is_left() {
        work.go_on();
    }
    leave()
}

impl SuspendJob<'_> {
    /// The daemon's mount, locks and pipes must end with the daemon, not with this
    /// child.
    fn let_go(&self) {
        // SAFETY: nothing in this process uses it any more.
        unsafe { libc::syscall(libc::SYS_close, self.line.as_raw_fd()) };
        let daemon = self.daemon.map_or(-1, AsRawFd::as_raw_fd);
        let (control, answer) = (self.control.as_raw_fd(), self.answer.as_raw_fd());
        let mut kept = [control, answer, self.ear.as_raw_fd(), daemon];
        kept.sort_unstable();
        let mut next = 0;
        for fd in kept.into_iter().filter(|fd| *fd >= 0) {
            close(next, fd - 1);
            next = fd + 1;
        }
        close(next, RawFd::MAX);
    }

    /// Do once in vain what may have to be done when no disk answers: a pipe refuses
    /// what device-mapper is asked.
    fn rehearse(&self) {
        let later = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
        // Locks are not inherited. Without them it mostly works too.
        let _ = mlockall(MlockAllFlags::MCL_CURRENT | later);
        let _ = self.put_back(self.answer);
        let _ = is_dying(self.daemon);
        let _ = read(self.ear.as_raw_fd(), &mut []);
        poll(self.ear.as_raw_fd(), 0);
    }

    fn tell(&self, answer: Result<(), Errno>) {
        let number = answer.map_or_else(|errno| errno as i32, |()| 0);
        let bytes = number.to_ne_bytes();
        // SAFETY: the bytes outlive the call. Where nobody is left to read, the
        // signal is blocked.
        unsafe {
            libc::syscall(
                libc::SYS_write,
                self.answer.as_raw_fd(),
                bytes.as_ptr(),
                bytes.len(),
            )
        };
    }

    /// Wait for the daemon's word; whether it ended without one.
    fn is_left(&self) -> bool {
        let ear = self.ear.as_raw_fd();
        loop {
            if !poll(ear, LOOK) {
                if is_dying(self.daemon) {
                    return true;
                }
                continue;
            }
            match read(ear, &mut [0]) {
                0 => return true,
                1.. => return false,
                _ if Errno::last() == Errno::EINTR => {}
                _ => return false,
            }
        }
    }

    fn go_on(&self) {
        for _ in 0..TRIES {
            if self.put_back(self.control) {
                return;
            }
            // Nobody says anything there any more.
            poll(-1, PAUSE);
        }
    }

    /// Resume the device on its old table; whether nothing is left to be done. One that
    /// is not suspended is somebody else's matter.
    fn put_back(&self, control: &impl AsRawFd) -> bool {
        let mut seen = self.plain;
        match call(control, Call::Status, &mut seen) {
            Err(Errno::ENXIO) => return true,
            Ok(()) if !seen.is_suspended() => return true,
            _ => {}
        }
        let (mut clear, mut resume) = (self.plain, self.plain);
        let cleared = call(control, Call::Clear, &mut clear);
        let resumed = cleared.and_then(|()| call(control, Call::Suspend, &mut resume));
        resumed.is_ok()
    }
}

/// Whether the daemon is dead, or dying: its first thread is, and another hangs.
fn is_dying(daemon: Option<&File>) -> bool {
    let Some(daemon) = daemon else {
        return false;
    };
    let mut text = [0_u8; 128];
    let fd = daemon.as_raw_fd();
    // SAFETY: the kernel writes no more than there is room, and `text` outlives the
    // call.
    let size = unsafe { libc::syscall(libc::SYS_pread64, fd, text.as_mut_ptr(), text.len(), 0) };
    let Some(text) = usize::try_from(size).ok().and_then(|size| text.get(..size)) else {
        return Errno::last() == Errno::ESRCH;
    };
    // Its name may have anything in it but its end.
    let name = text.iter().rposition(|byte| *byte == b')');
    let letter = name.and_then(|end| text.get(end + 2));
    matches!(letter, Some(b'Z' | b'X'))
}

fn close(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    // SAFETY: nothing in this process uses them any more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    for fd in first..=last.min(HIGHEST) {
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
}

/// How much was read; less than nothing where it failed.
fn read(fd: RawFd, room: &mut [u8]) -> libc::c_long {
    // SAFETY: the kernel writes no more than there is room.
    unsafe { libc::syscall(libc::SYS_read, fd, room.as_mut_ptr(), room.len()) }
}

/// Wait until something can be read, or so many milliseconds; whether it can be.
fn poll(fd: RawFd, limit: i32) -> bool {
    let events = libc::POLLIN;
    let mut waits = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one structure, which outlives the call.
    unsafe { libc::poll(&raw mut waits, 1, limit) == 1 }
}

fn leave() -> ! {
    loop {
        // SAFETY: exit_group(2) runs no destructor and no handler of the daemon's.
        unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_lives_is_told_from_who_is_dead() {
        let stat = |pid: u32| File::open(format!("/proc/{pid}/stat")).unwrap();
        let itself = stat(std::process::id());
        assert!(!is_dying(Some(&itself)));
        assert!(!is_dying(None));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let file = stat(child.id());
        assert!(!is_dying(Some(&file)));
        child.kill().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !is_dying(Some(&file)) && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        // A zombie, then nothing.
        assert!(is_dying(Some(&file)));
        child.wait().unwrap();
        assert!(is_dying(Some(&file)));
    }

    #[test]
    fn a_pipe_can_be_waited_for_and_read() {
        let (ear, line) = std::io::pipe().unwrap();
        assert!(!poll(ear.as_raw_fd(), 0));
        assert_eq!(read(ear.as_raw_fd(), &mut []), 0);
        drop(line);
        assert!(poll(ear.as_raw_fd(), 0));
        assert_eq!(read(ear.as_raw_fd(), &mut [0]), 0);
    }
}

//! The cookie by which udev tells that its rules for a change have run: a System
//! V semaphore that starts at one and that udev's `dmsetup udevcomplete` brings
//! to zero (libdevmapper.h, "Udev cookie"). The devicemapper crate waits for that
//! without a limit; here it has one, since udev's worker may hang in the very
//! device (blkid reads from it), and who could free it must not wait for it.
#![allow(unsafe_code)]

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::error::Errno;

/// What udevd listens at; the devicemapper crate looks for the same file.
pub(super) const UDEV: &str = "/run/udev/control";

/// DM_COOKIE_MAGIC, the upper half of the semaphore's key.
const MAGIC: u32 = 0x0d4d;

/// DM_UDEV_PRIMARY_SOURCE_FLAG: a change that udev's rules are to act on.
const PRIMARY_SOURCE: u32 = 0x40;

/// Keys that are tried: others may have taken some.
const TRIES: u32 = 64;

/// semctl(2)'s SETVAL (include/uapi/linux/sem.h), which libc lacks.
const SETVAL: i32 = 16;

/// A semaphore for one change, or none where nobody would bring it to zero.
#[derive(Debug)]
pub(super) struct Cookie {
    semaphore: Option<(i32, u16)>,
}

impl Cookie {
    /// A cookie for the change that comes; none without udev, or where the system
    /// has no semaphore left.
    pub(super) fn new() -> Cookie {
        let udev = Path::new(UDEV).exists();
        let semaphore = udev
            .then(|| (0..TRIES).find_map(|_| make(next())))
            .flatten();
        Cookie { semaphore }
    }

    /// None: udev's rules run, and nobody waits for them.
    pub(super) fn none() -> Cookie {
        Cookie { semaphore: None }
    }

    /// What `struct dm_ioctl` takes as its `event_nr`.
    pub(super) fn event_nr(&self) -> u32 {
        let base = self.semaphore.map_or(0, |(_, base)| base);
        (PRIMARY_SOURCE << 16) | u32::from(base)
    }

    /// Wait until udev's rules have run; false where `limit` was not enough.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        self.semaphore.is_none_or(|(id, _)| wait(id, limit))
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        if let Some((id, _)) = self.semaphore {
            // SAFETY: IPC_RMID takes no further argument. Where it fails the
            // semaphore is gone already.
            unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        }
    }
}

/// Bases differ from those of other processes by chance, from ours for certain.
fn next() -> u16 {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let mine = LAST.fetch_add(1, Ordering::Relaxed);
    mine.wrapping_mul(7).wrapping_add(std::process::id() as u16)
}

fn make(base: u16) -> Option<(i32, u16)> {
    let key = (MAGIC << 16) | u32::from(base);
    // Base 0 means that there is no semaphore.
    let free = base != 0;
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
    // SAFETY: semget(2) takes three numbers.
    let id = free.then(|| unsafe { libc::semget(key as i32, 1, flags) })?;
    // SAFETY: SETVAL takes an int, the value.
    let set = id >= 0 && unsafe { libc::semctl(id, 0, SETVAL, 1) } == 0;
    set.then_some((id, base))
}

fn wait(id: i32, limit: Duration) -> bool {
    let mut operation = libc::sembuf {
        sem_num: 0,
        sem_op: 0,
        sem_flg: 0,
    };
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: limit.subsec_nanos().into(),
    };
    let (operation, limit) = (&raw mut operation, &raw const limit);
    // SAFETY: semtimedop(2), which libc lacks, takes a semaphore, one operation,
    // their number and a time, both of which outlive the call.
    let waited = unsafe { libc::syscall(libc::SYS_semtimedop, id, operation, 1, limit) };
    waited == 0 || Errno::last() != Errno::EAGAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_udev_nothing_is_waited_for() {
        let none = Cookie::none();
        assert_eq!(none.event_nr(), 0x0040_0000);
        assert!(none.wait(Duration::ZERO));
    }

    #[test]
    fn udev_ends_the_wait_or_its_limit_does() {
        let Some(made) = (0..TRIES).find_map(|_| make(next())) else {
            eprintln!("SKIPPED: this kernel has no semaphores left");
            return;
        };
        let cookie = Cookie {
            semaphore: Some(made),
        };
        assert_eq!(cookie.event_nr() & 0xffff, u32::from(made.1));
        assert!(make(made.1).is_none(), "a base is given once");
        let limit = Duration::from_millis(20);
        assert!(!cookie.wait(limit));
        // SAFETY: SETVAL takes an int, the value.
        unsafe { libc::semctl(made.0, 0, SETVAL, 0) };
        assert!(cookie.wait(limit));
    }
}

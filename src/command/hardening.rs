//! A daemon that lives when the system does not: while a mirror is suspended, what
//! stands on it cannot be read or written, and that may be this program's own code,
//! or the swap.
#![allow(unsafe_code)]

use std::fs;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;

use crate::error::Errno;

/// Never chosen when memory runs out (proc_pid_oom_score_adj(5)).
const NEVER: &str = "-1000";

/// Before ordinary programs; the watch itself has real time.
const NICE: i32 = -10;

/// How many arenas malloc has.
const ARENAS: i32 = 2;

/// From this size on, in bytes, a piece of memory is the system's again when it is freed.
const LARGE: i32 = 128 * 1024;

/// PR_SET_IO_FLUSHER (include/uapi/linux/prctl.h), which libc lacks.
const IO_FLUSHER: i32 = 57;

/// Make sure of it, as far as this process may; threads inherit it, so it comes
/// before them.
pub fn ensure() {
    let memory = mlockall(MlockAllFlags::MCL_CURRENT).and_then(|()| {
        // What is made later is locked once it is used: stacks are mostly empty.
        let later = MlockAllFlags::from_bits_retain(libc::MCL_FUTURE | libc::MCL_ONFAULT);
        mlockall(later)
    });
    log_failure("locking memory", memory);
    let score = fs::write("/proc/self/oom_score_adj", NEVER);
    log_failure("the OOM score", score.map_err(|error| errno(&error)));
    // SAFETY: setpriority(2) and prctl(2) take numbers only.
    let (nice, flusher) = unsafe {
        let nice = libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        (nice, libc::prctl(IO_FLUSHER, 1, 0, 0, 0))
    };
    log_failure("the priority", Errno::result(nice).map(drop));
    // Memory that it needs is never got by writing to a disk (PR_SET_IO_FLUSHER(2const)).
    log_failure("memory without I/O", Errno::result(flusher).map(drop));
    // A dump would be written to a disk, maybe the very one that is held, and until it
    // is, this process is not gone and nothing is let go.
    log_failure("no dump of its memory", prctl::set_dumpable(false));
}

/// Let what is freed go back to the system, which counts where memory is locked: malloc
/// (mallopt(3)) would keep an arena for each of many threads, and in each as much as a
/// thread has ever used at once.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_ARENA_MAX, ARENAS),
        (libc::M_MMAP_THRESHOLD, LARGE),
        (libc::M_TRIM_THRESHOLD, LARGE),
    ] {
        // SAFETY: mallopt(3) takes numbers only, and no other thread runs yet.
        unsafe { libc::mallopt(what, value) };
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn log_failure(what: &str, done: Result<(), Errno>) {
    if let Err(errno) = done {
        log::warn!(
            "{what}: {}; under pressure this daemon may not live",
            errno.desc()
        );
    }
}

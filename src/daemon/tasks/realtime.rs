//! Threads that others wait for: real time lets them run before ordinary programs,
//! however many there are (sched(7)). What they start inherits it.
#![allow(unsafe_code)]

use super::thread::spawn;
use crate::error::{Errno, Result};

/// The lowest: it is enough to come before all that is not real time.
const PRIORITY: i32 = 1;

/// Start a named thread with real time, where this process may have it.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_realtime(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    spawn(name, move || in_real_time(body))
}

/// Do this with real time, where this process may have it; the thread keeps it.
pub fn in_real_time(body: impl FnOnce()) {
    if let Err(errno) = real_time() {
        log::debug!("no real time for a thread: {}", errno.desc());
    }
    body();
}

fn real_time() -> Result<(), Errno> {
    let param = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: 0 is the calling thread, and `param` outlives the call.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const param) };
    Errno::result(set).map(drop)
}

//! Threads that others wait for: real time lets them run before ordinary programs,
//! however many there are (sched(7)). What they start inherits it.
#![allow(unsafe_code)]

use std::marker::PhantomData;

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

/// Let this thread come when all others do: it may have been started by one that has real
/// time.
pub fn ordinary() {
    if let Err(errno) = schedule(libc::SCHED_OTHER, 0) {
        log::debug!("a thread keeps its real time: {}", errno.desc());
    }
}

/// Until this is dropped the thread has real time. What it starts meanwhile inherits it.
pub struct First {
    // The scheduling is the thread's: given back elsewhere it would be another's.
    _here: PhantomData<*const ()>,
}

/// Let this thread come first for a while; none where it does already, or may not.
pub fn first() -> Option<First> {
    // SAFETY: 0 is the calling thread, and nothing is passed.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let ordinary = policy == libc::SCHED_OTHER;
    let raised = ordinary && real_time().is_ok();
    raised.then_some(First { _here: PhantomData })
}

impl Drop for First {
    fn drop(&mut self) {
        if let Err(errno) = schedule(libc::SCHED_OTHER, 0) {
            log::warn!("a thread keeps its real time: {}", errno.desc());
        }
    }
}

fn real_time() -> Result<(), Errno> {
    schedule(libc::SCHED_RR, PRIORITY)
}

/// The thread keeps its nice value, which counts again once it is an ordinary one.
fn schedule(policy: libc::c_int, sched_priority: i32) -> Result<(), Errno> {
    let param = libc::sched_param { sched_priority };
    // SAFETY: 0 is the calling thread, and `param` outlives the call.
    let set = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
    Errno::result(set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> libc::c_int {
        // SAFETY: as above.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn who_comes_first_does_so_for_a_while() {
        let before = policy();
        let once = first();
        let raised = if once.is_some() {
            libc::SCHED_RR
        } else {
            before
        };
        assert_eq!(policy(), raised);
        assert!(once.is_none() || first().is_none());
        drop(once);
        assert_eq!(policy(), before);
    }
}

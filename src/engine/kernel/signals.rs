//! No signal reaches this thread for a while. One during DM_DEV_SUSPEND wedges
//! the device (see [`super::suspend`]); one while udev is waited for would leave
//! its semaphore behind, and its device half made.

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::error::{Error, Result};

/// While this lives, its thread sees no signal but SIGKILL.
pub(super) struct Blocked {
    before: SigSet,
    // The mask is the thread's: restored elsewhere it would be another's.
    _here: std::marker::PhantomData<*const ()>,
}

impl Blocked {
    /// Block them all (pthread_sigmask(3)).
    pub(super) fn all() -> Result<Self> {
        let before = SigSet::all()
            .thread_swap_mask(SigmaskHow::SIG_SETMASK)
            .map_err(|errno| Error::sys("blocking signals", errno))?;
        let _here = std::marker::PhantomData;
        Ok(Blocked { before, _here })
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if let Err(errno) = self.before.thread_set_mask() {
            log::warn!("signals stay blocked in a thread: {}", errno.desc());
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn they_are_blocked_and_come_back() {
        let mask = || SigSet::thread_get_mask().unwrap();
        let before = mask();
        let blocked = Blocked::all().unwrap();
        assert!(mask().contains(Signal::SIGTERM));
        drop(blocked);
        assert_eq!(mask(), before);
    }
}

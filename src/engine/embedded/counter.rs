//! Events: a count for each device; one bell tells of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::bell::Bell;

/// The event counter of one device.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    count: Arc<AtomicU32>,
    bell: Arc<Bell>,
}

impl Counter {
    pub(super) fn new(bell: &Arc<Bell>) -> Counter {
        Counter {
            count: Arc::default(),
            bell: Arc::clone(bell),
        }
    }

    /// An event of this device (`dm_table_event`, drivers/md/dm-table.c).
    pub(super) fn raise(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }

    pub(super) fn get(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn it_is_readable_from_an_event_until_it_is_silenced() {
        let bell = Bell::new().unwrap();
        let readable = || {
            let mut fds = [PollFd::new(bell.fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        let counter = Counter::new(&bell);
        assert!(!readable());
        counter.raise();
        counter.raise();
        assert!(readable() && counter.get() == 2);
        bell.silence();
        assert!(!readable());
        bell.silence();
    }
}

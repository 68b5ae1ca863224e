//! One at a time, but not for ever: a load that hangs on a dead disk must not
//! keep every other mirror from loading.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What is taken by one thread at a time.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// Whoever holds it is alone.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Turn);

impl Turn {
    /// Wait for the turn, at most `patience`; none if it did not come.
    pub(super) fn take(&self, patience: Duration) -> Option<Alone<'_>> {
        let mut taken = self.taken.lock();
        let free = &self.free;
        let waited = free.wait_while_for(&mut taken, |taken| *taken, patience);
        if waited.timed_out() && *taken {
            return None;
        }
        *taken = true;
        Some(Alone(self))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock() = false;
        self.0.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_not_for_ever() {
        let turn = Turn::default();
        let first = turn.take(Duration::ZERO).unwrap();
        assert!(turn.take(Duration::from_millis(5)).is_none());
        drop(first);
        assert!(turn.take(Duration::ZERO).is_some());
    }
}

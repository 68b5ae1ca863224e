//! How much of the time copying may take, all mirrors together, as kcopyd keeps
//! it (`io_job_start`, drivers/md/dm-kcopyd.c): busy time is what at least one
//! piece was under way, and a new piece waits until that is a small enough part.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What is older weighs half as much with each such span.
const WINDOW: Duration = Duration::from_secs(1);

/// The longest that a waiter sleeps before it looks whether it is to stop.
const NAP: Duration = Duration::from_millis(20);

/// The share of time, and how it has been used.
#[derive(Debug)]
pub(super) struct Throttle {
    percent: AtomicU32,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    jobs: u32,
    busy: Duration,
    total: Duration,
    last: Instant,
}

impl Default for Throttle {
    fn default() -> Self {
        let used = Used {
            jobs: 0,
            busy: Duration::ZERO,
            total: Duration::ZERO,
            last: Instant::now(),
        };
        Throttle {
            percent: AtomicU32::new(100),
            used: Mutex::new(used),
        }
    }
}

/// A piece of copying under way, until this is dropped.
pub(super) struct Turn<'a>(&'a Throttle);

impl Throttle {
    pub(super) fn percent(&self) -> u32 {
        self.percent.load(Ordering::Relaxed)
    }

    /// Set it; the caller has checked that it is 1 to 100.
    pub(super) fn set(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// Begin a piece when it is time; none where `stop` says so first.
    pub(super) fn begin(&self, stop: impl Fn() -> bool) -> Option<Turn<'_>> {
        loop {
            if stop() {
                return None;
            }
            let mut used = self.used.lock();
            used.account(Instant::now());
            let wait = used.wait(self.percent());
            if wait.is_zero() {
                used.jobs += 1;
                return Some(Turn(self));
            }
            drop(used);
            sleep(wait.min(NAP));
        }
    }
}

impl Used {
    fn account(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.last);
        self.last = now;
        self.total += passed;
        if self.jobs > 0 {
            self.busy += passed;
        }
        while self.total > WINDOW {
            self.total /= 2;
            self.busy /= 2;
        }
    }

    /// How long until copying has taken no more than `percent` of the time.
    fn wait(&self, percent: u32) -> Duration {
        if percent >= 100 {
            return Duration::ZERO;
        }
        let percent = percent.max(1);
        (self.busy * 100 / percent).saturating_sub(self.total)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut used = self.0.used.lock();
        used.account(Instant::now());
        used.jobs = used.jobs.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copying_takes_its_share_and_no_more() {
        let throttle = Throttle::default();
        throttle.set(20);
        let begin = Instant::now();
        for _ in 0..10 {
            let job = throttle.begin(|| false);
            sleep(Duration::from_millis(5));
            drop(job);
        }
        // The last piece owes its rest to the next one.
        assert!(begin.elapsed() >= Duration::from_millis(225));
    }

    #[test]
    fn all_of_the_time_is_no_wait_and_a_stop_ends_one() {
        let throttle = Throttle::default();
        let begin = Instant::now();
        for _ in 0..100 {
            assert!(throttle.begin(|| false).is_some());
        }
        assert!(begin.elapsed() < Duration::from_millis(100));
        throttle.set(1);
        let job = throttle.begin(|| false);
        sleep(Duration::from_millis(10));
        drop(job);
        let begin = Instant::now();
        let stop = || begin.elapsed() > Duration::from_millis(30);
        assert!(throttle.begin(stop).is_none());
        assert!(begin.elapsed() < Duration::from_millis(500));
    }
}

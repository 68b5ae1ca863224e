//! How long somebody is waited for who may never answer. Whoever has kept one waiting in
//! vain keeps the next one for a moment only, until he answers again.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The patience with one who answers.
#[derive(Debug)]
pub struct Patience {
    long: Duration,
    short: Duration,
    forgives_after: Duration,
    in_vain: Mutex<Option<Instant>>,
}

impl Patience {
    /// Wait `long`; once that was in vain, `short`, until there was an answer or
    /// `forgives_after` has passed.
    pub const fn new(long: Duration, short: Duration, forgives_after: Duration) -> Patience {
        Patience {
            long,
            short,
            forgives_after,
            in_vain: Mutex::new(None),
        }
    }

    /// How long to wait at most, of what is worth that much.
    pub fn at_most(&self, long: Duration) -> Duration {
        let in_vain = *self.in_vain.lock();
        let tired = in_vain.is_some_and(|since| since.elapsed() < self.forgives_after);
        if tired { self.short.min(long) } else { long }
    }

    /// How long to wait.
    pub fn now(&self) -> Duration {
        self.at_most(self.long)
    }

    /// There was an answer.
    pub fn answered(&self) {
        *self.in_vain.lock() = None;
    }

    /// There was none; answers whether that is news.
    pub fn ran_out(&self) -> bool {
        let mut in_vain = self.in_vain.lock();
        let news = in_vain.is_none_or(|since| since.elapsed() >= self.forgives_after);
        if news {
            *in_vain = Some(Instant::now());
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_waited_for_once() {
        let (long, short) = (Duration::from_secs(3), Duration::from_millis(100));
        let patience = Patience::new(long, short, Duration::MAX);
        assert_eq!(patience.now(), long);
        assert!(patience.ran_out());
        assert_eq!(patience.now(), short);
        assert!(!patience.ran_out());
        patience.answered();
        assert_eq!(patience.now(), long);
        assert_eq!(patience.at_most(short), short);
        let forgives = Patience::new(long, short, Duration::ZERO);
        assert!(forgives.ran_out());
        assert_eq!(forgives.now(), long);
    }
}

//! How fast a mirror copies, from samples of how much it has copied.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples older than this say nothing about now.
const WINDOW: Duration = Duration::from_secs(10);

/// Two samples nearer than this give a rate that jumps.
const NEAREST: Duration = Duration::from_millis(500);

/// What the samples say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rate {
    /// Too few samples.
    #[default]
    Unknown,
    /// Nothing was copied between the oldest and the newest.
    Standing,
    /// Bytes per second, at least 1.
    Moving(u64),
}

impl Rate {
    /// Bytes per second, where known.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Rate::Unknown => None,
            Rate::Standing => Some(0),
            Rate::Moving(bytes) => Some(bytes),
        }
    }
}

/// The samples of one mirror, oldest first.
#[derive(Debug, Clone, Default)]
pub struct RateMeter {
    samples: VecDeque<(Instant, u64)>,
}

impl RateMeter {
    /// Note that `done` bytes were copied by `now`. Less than before means that
    /// the copy began anew: what came before no longer counts.
    pub fn sample(&mut self, now: Instant, done: u64) {
        if self.samples.back().is_some_and(|(_, last)| done < *last) {
            self.samples.clear();
        }
        self.samples.push_back((now, done));
        while self.samples.len() > 2 && self.second_is_old(now) {
            self.samples.pop_front();
        }
    }

    /// The second, so that the window is always spanned by what remains.
    fn second_is_old(&self, now: Instant) -> bool {
        let second = self.samples.get(1);
        second.is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
    }

    /// What the samples say of now.
    pub fn rate(&self) -> Rate {
        let (Some((start, from)), Some((end, to))) = (self.samples.front(), self.samples.back())
        else {
            return Rate::Unknown;
        };
        let span = end.saturating_duration_since(*start);
        if span < NEAREST {
            return Rate::Unknown;
        }
        let bytes = u128::from(to.saturating_sub(*from)) * 1_000_000 / span.as_micros().max(1);
        match u64::try_from(bytes).unwrap_or(u64::MAX) {
            0 => Rate::Standing,
            bytes => Rate::Moving(bytes),
        }
    }

    /// Forget everything, as when copying stops.
    pub fn clear(&mut self) {
        self.samples.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(samples: &[(u64, u64)]) -> RateMeter {
        let start = Instant::now();
        let mut pace = RateMeter::default();
        for (millis, done) in samples {
            pace.sample(start + Duration::from_millis(*millis), *done);
        }
        pace
    }

    #[test]
    fn one_sample_or_two_close_ones_say_nothing() {
        assert_eq!(pace(&[]).rate(), Rate::Unknown);
        assert_eq!(pace(&[(0, 5)]).rate(), Rate::Unknown);
        assert_eq!(pace(&[(0, 5), (100, 500)]).rate(), Rate::Unknown);
    }

    #[test]
    fn bytes_per_second_over_the_window() {
        assert_eq!(pace(&[(0, 0), (2000, 4096)]).rate(), Rate::Moving(2048));
        assert_eq!(pace(&[(0, 7), (2000, 7)]).rate(), Rate::Standing);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let samples: Vec<(u64, u64)> = (0..30)
            .map(|s| (s * 1000, if s < 15 { 0 } else { s }))
            .collect();
        assert_eq!(pace(&samples).rate(), Rate::Moving(1));
        let stopped: Vec<(u64, u64)> = (0..30).map(|s| (s * 1000, s.min(5) << 20)).collect();
        assert_eq!(pace(&stopped).rate(), Rate::Standing);
    }

    #[test]
    fn a_copy_that_begins_anew_begins_its_pace_anew() {
        assert_eq!(
            pace(&[(0, 900), (1000, 1000), (2000, 0)]).rate(),
            Rate::Unknown
        );
    }
}

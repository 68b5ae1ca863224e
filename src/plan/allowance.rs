//! How much of a copy somebody allows in a second, and how much of that is used. Pure.

use std::time::{Duration, Instant};

/// Between two steps of a limited copy. I/O is held for some 30 ms at each: under a
/// hundredth of the time.
const EACH: Duration = Duration::from_secs(4);

/// What somebody allows, and how much of it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// The limit that it is of, and when it was last counted.
    pub(super) last: Option<(u64, Instant)>,
    /// Bytes that may be copied; below zero where too many are.
    pub(super) bytes: i128,
    /// Bytes of the last step.
    pub(super) stride: u64,
}

impl Allowance {
    /// Count what is allowed by now of a mirror with regions of so many bytes. What is not
    /// used is saved for two steps: of a limit that is higher than what the disks do there
    /// would be ever more.
    pub fn note(&mut self, limit: Option<u64>, region: u64, now: Instant) {
        let before = self.last.filter(|(of, _)| Some(*of) == limit);
        self.last = limit.map(|limit| (limit, now));
        let Some((limit, at)) = before else {
            self.bytes = 0;
            return;
        };
        let span = now.saturating_duration_since(at).as_micros();
        let more = u128::from(limit).saturating_mul(span) / 1_000_000;
        let more = i128::try_from(more).unwrap_or(i128::MAX);
        let most = step(limit, region).saturating_mul(2);
        self.bytes = self.bytes.saturating_add(more).min(i128::from(most));
    }

    /// Note that so many bytes more are copied from now on.
    pub fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(i128::from(bytes));
        self.stride = bytes;
    }
}

/// Bytes of a step.
pub(super) fn step(limit: u64, region: u64) -> u64 {
    limit.saturating_mul(EACH.as_secs()).max(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_of_one_limit() {
        let (start, mut allowance) = (Instant::now(), Allowance::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (limit, seconds, spent, wanted) in [
            (Some(10), 0, 40, -40),
            (Some(10), 3, 0, -10),
            (Some(10), 9, 30, 20),
            // No more is saved than for two steps.
            (Some(10), 99, 0, 80),
            (Some(20), 99, 0, 0),
            (Some(20), 100, 0, 20),
            (None, 101, 0, 0),
        ] {
            allowance.note(limit, 1, at(seconds));
            allowance.spend(spent);
            assert_eq!(allowance.bytes, wanted, "{limit:?} {seconds}");
        }
    }
}

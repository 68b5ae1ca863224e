//! What is remembered of the check of a mirror while it goes on, beside what is recorded.

use std::time::Instant;

use crate::model::check::CheckPace;
use crate::model::rate::RateMeter;

/// How a check goes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checking {
    /// Rises with each that begins or ends: the thread of an earlier one is not wanted any
    /// more.
    pub run: u64,
    /// Samples of how far it is.
    pub meter: RateMeter,
    /// What it waits for, as a word.
    pub waits: Option<&'static str>,
    /// The life of the table under which all of it was made, that was whole all the time.
    pub life: Option<u64>,
    /// When it was last recorded how far it is.
    pub recorded: Option<Instant>,
}

impl Checking {
    /// One begins, or goes on; answers its number.
    pub fn begin(&mut self) -> u64 {
        self.run += 1;
        self.meter.clear();
        self.waits = Some("waiting");
        self.recorded = Some(Instant::now());
        self.run
    }

    /// That of a mirror which is gone: no thread of before is taken for a later one.
    pub fn after(&self) -> Checking {
        Checking {
            run: self.run + 1,
            ..Checking::default()
        }
    }

    /// What is shown of it.
    pub fn pace(&self) -> CheckPace {
        CheckPace {
            rate: self.meter.rate(),
            waits: self.waits,
        }
    }

    /// The table is in another life, in which the legs have what they had.
    pub fn carry_over(&mut self, then: u64, now: u64) {
        if self.life == Some(then) {
            self.life = Some(now);
        }
    }
}

//! What is remembered of a source that is slow, and of a copy that gets no further.

use std::time::Instant;

use crate::model::health::SLOW_READ;
use crate::model::progress::Progress;
use crate::model::snapshot::Snapshot;
use crate::plan::front::window;

/// A source that is slow.
#[derive(Debug, Clone, Default)]
pub struct Slow {
    /// How much it had come to the end of, and since when no more.
    pub(super) ended: Option<(Instant, u64)>,
    /// Since when the copy gets no further.
    pub(super) stalled: Stalled,
    /// The life of the table in which a read took very long.
    pub(crate) life: Option<u64>,
}

/// Since when a copy gets no further which has something to copy. Others may be answered
/// meanwhile, so whether a read is at fault is not known.
#[derive(Debug, Clone, Default)]
pub struct Stalled(Option<(Option<u64>, u64, Instant)>);

impl Stalled {
    /// Note how far it is.
    pub(super) fn note(&mut self, snapshot: &Snapshot, progress: &Progress) {
        let done = progress.bytes_done;
        let same = |(life, before, _): &(Option<u64>, u64, Instant)| {
            *life == snapshot.life && *before == done
        };
        let copies = window(snapshot) > 0;
        let before = self.0.filter(same);
        let now = || (snapshot.life, done, Instant::now());
        self.0 = copies.then(|| before.unwrap_or_else(now));
    }

    /// Whether that lasts.
    pub(super) fn is_slow(&self) -> bool {
        self.0
            .is_some_and(|(_, _, since)| since.elapsed() >= SLOW_READ)
    }
}

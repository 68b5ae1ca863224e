//! The last look at all mirrors: one of which nothing is otherwise is the same snapshot, and
//! so is all that was made of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::engine::{Id, Listed};
use crate::model::id::MirrorId;
use crate::model::shared::Shared;
use crate::model::snapshot::Snapshot;

/// How much was looked at, beside the mappings themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What the legs are.
    Devices,
    /// Who else has them too.
    Whole,
}

/// How long what was seen is kept although nobody has said anything: the file behind a loop
/// device may get another name, of which no one tells. A snapshot is as old as this when what
/// it was made of was too: a minute in all.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(30);

/// What was seen of one mirror.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) mirror_id: MirrorId,
    /// How its device is addressed.
    pub(super) id: Id,
    /// What had been said of its devices, or of all, when it was looked at them, and when
    /// that was.
    pub(super) changes: Option<u64>,
    pub(super) at: Instant,
    pub(super) seen: Arc<Shared>,
}

impl Kept {
    /// Whether it is of the same life of the table as a device that was just listed.
    pub(super) fn is_of(&self, device: &Listed) -> bool {
        device.life.is_some() && self.seen.life == device.life
    }

    /// Whether what was seen beside the mapping may still be so, now that so much was said: a
    /// copy goes on, and a log changes, without anybody saying so.
    pub(super) fn holds(&self, depth: Depth, changes: Option<u64>, now: Instant) -> bool {
        let young = now.saturating_duration_since(self.at) < KEPT_FOR;
        let silent = changes.is_some() && self.changes == changes;
        young && silent && (depth == Depth::Devices || self.seen.is_copied())
    }

    /// A new snapshot of the same mirror; the last one where that is equal.
    pub(super) fn or_new(&self, seen: Snapshot) -> Arc<Shared> {
        if **self.seen == seen {
            return Arc::clone(&self.seen);
        }
        Arc::new(Shared::new(seen))
    }
}

/// What was seen of all, in the order of the list.
pub(super) type All = Arc<[Kept]>;

/// The last look of each depth.
#[derive(Default)]
pub(crate) struct Last([Mutex<All>; 2]);

impl Last {
    /// What was seen last.
    pub(super) fn of(&self, depth: Depth) -> All {
        let last = self.0.get(depth as usize);
        last.map_or_else(|| [].into(), |last| Arc::clone(&last.lock()))
    }

    /// What is seen now.
    pub(super) fn keep(&self, depth: Depth, all: Vec<Kept>) {
        if let Some(last) = self.0.get(depth as usize) {
            *last.lock() = all.into();
        }
    }
}

/// Finds each mirror among those of the last look, which mostly has them in the same order.
pub(super) struct Finder<'a> {
    all: &'a [Kept],
    next: usize,
    places: Option<HashMap<MirrorId, usize>>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(all: &'a [Kept]) -> Finder<'a> {
        Finder {
            all,
            next: 0,
            places: None,
        }
    }

    /// What was seen of it; none where it was not there.
    pub(super) fn find(&mut self, mirror_id: MirrorId) -> Option<&'a Kept> {
        let all = self.all;
        let is = |place: &usize| {
            all.get(*place)
                .is_some_and(|kept| kept.mirror_id == mirror_id)
        };
        let place = Some(self.next).filter(is).or_else(|| {
            let places = self.places.get_or_insert_with(|| {
                let places = all.iter().enumerate();
                places
                    .map(|(place, kept)| (kept.mirror_id, place))
                    .collect()
            });
            places.get(&mirror_id).copied()
        })?;
        self.next = place + 1;
        all.get(place)
    }
}

/// How many single ones are remembered at least before those that are gone are looked for.
const ROOM: usize = 64;

/// What was seen of each mirror when it was last read by itself, and how it is addressed.
#[derive(Default)]
pub(crate) struct Singles(Mutex<HashMap<MirrorId, (Id, Arc<Shared>)>>);

impl Singles {
    /// What was seen of it.
    pub(super) fn of(&self, mirror_id: MirrorId) -> Option<(Id, Arc<Shared>)> {
        self.0.lock().get(&mirror_id).cloned()
    }

    /// What is seen now; above that many, those that are not there are forgotten.
    pub(super) fn keep(
        &self,
        mirror_id: MirrorId,
        seen: (Id, Arc<Shared>),
        room: usize,
        is_there: impl Fn(MirrorId) -> bool,
    ) {
        let mut singles = self.0.lock();
        if singles.len() >= room.max(ROOM) {
            singles.retain(|mirror_id, _| is_there(*mirror_id));
        }
        singles.insert(mirror_id, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Known;
    use crate::model::tests::snapshot;

    fn kept(number: u64, at: Instant) -> Kept {
        let seen = snapshot("core 2 8 nosync", 2, "8/8 AA", Known::default());
        Kept {
            mirror_id: MirrorId::new(number),
            id: seen.info.id(),
            changes: Some(1),
            at,
            seen: Arc::new(Shared::new(seen)),
        }
    }

    #[test]
    fn each_is_found_in_whatever_order_it_is_looked_for() {
        let now = Instant::now();
        let all: Vec<Kept> = (1..6).map(|number| kept(number, now)).collect();
        let mut finder = Finder::new(&all);
        for number in [1, 2, 4, 5, 3, 9, 1] {
            let mirror_id = MirrorId::new(number);
            let found = finder.find(mirror_id).map(|kept| kept.mirror_id);
            assert_eq!(found, (number < 6).then_some(mirror_id), "{number}");
        }
    }

    #[test]
    fn what_was_seen_holds_until_something_is_said_and_not_for_ever() {
        let now = Instant::now();
        let kept = kept(1, now);
        for depth in [Depth::Devices, Depth::Whole] {
            assert!(kept.holds(depth, Some(1), now));
            assert!(!kept.holds(depth, Some(2), now));
            assert!(!kept.holds(depth, None, now));
            assert!(!kept.holds(depth, Some(1), now + KEPT_FOR));
        }
        let seen = snapshot("core 2 8 nosync", 2, "8/8 AA", Known::default());
        assert!(Arc::ptr_eq(&kept.or_new(seen), &kept.seen));
        let other = snapshot("core 2 8 nosync", 2, "8/8 AD", Known::default());
        assert!(!Arc::ptr_eq(&kept.or_new(other), &kept.seen));
        let last = Last::default();
        last.keep(Depth::Whole, vec![kept]);
        assert_eq!(
            (last.of(Depth::Whole).len(), last.of(Depth::Devices).len()),
            (1, 0)
        );
    }
}

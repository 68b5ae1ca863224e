//! Which of the listed devices are mirrors. As long as the list is the same, and nobody has
//! entered or forgotten one, so is the answer; where some are new, the others are who they
//! were.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::engine::Listed;
use crate::model::id::MirrorId;

/// The mirrors that run, in the order of a list.
#[derive(Clone)]
pub struct Mirrors {
    list: Arc<[Listed]>,
    ids: Arc<[At]>,
}

/// Where a mirror stands in a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) mirror_id: MirrorId,
    pub(super) place: usize,
    /// Whether it has a table: it goes, and is renamed, with a new life then.
    pub(super) live: bool,
}

impl Mirrors {
    pub(super) fn new(list: &Arc<[Listed]>, ids: Vec<At>) -> Mirrors {
        Mirrors {
            list: Arc::clone(list),
            ids: ids.into(),
        }
    }

    /// Each, as it was listed.
    pub fn iter(&self) -> impl Iterator<Item = (MirrorId, &Listed)> {
        self.with_places()
            .map(|(at, device)| (at.mirror_id, device))
    }

    fn with_places(&self) -> impl Iterator<Item = (At, &Listed)> {
        let ids = self.ids.iter();
        ids.filter_map(|at| Some((*at, self.list.get(at.place)?)))
    }
}

/// What was found last.
#[derive(Default)]
pub(crate) struct Running(Mutex<Option<Arc<Found>>>);

pub(super) struct Found {
    /// What the registry was then.
    pub(super) version: u64,
    /// All lives together, before the list was made.
    pub(super) lives: Option<u64>,
    pub(super) mirrors: Mirrors,
    /// Whether all of the list was there, and nothing in it is shown, or is not, for what is
    /// remembered of it.
    pub(super) lasting: bool,
    by_name: OnceLock<HashMap<String, MirrorId>>,
}

impl Found {
    pub(super) fn new(version: u64, lives: Option<u64>, mirrors: Mirrors, lasting: bool) -> Found {
        Found {
            version,
            lives,
            mirrors,
            lasting,
            by_name: OnceLock::new(),
        }
    }

    /// The names of those with a table.
    fn by_name(&self) -> &HashMap<String, MirrorId> {
        self.by_name.get_or_init(|| {
            let live = self.mirrors.with_places().filter(|(at, _)| at.live);
            let named = live.map(|(at, device)| (device.name.clone(), at.mirror_id));
            named.collect()
        })
    }
}

impl Running {
    /// What was found last.
    pub(super) fn last(&self) -> Option<Arc<Found>> {
        self.0.lock().clone()
    }

    /// The mirrors of a list, where they are known.
    pub(super) fn of(&self, list: &Arc<[Listed]>, version: u64) -> Option<Mirrors> {
        let found = self.last()?;
        let same = Arc::ptr_eq(&found.mirrors.list, list) && found.version == version;
        (same && found.lasting).then(|| found.mirrors.clone())
    }

    /// The mirror with this name, where it is known in these lives.
    pub(super) fn under(&self, name: &str, version: u64, lives: Option<u64>) -> Option<MirrorId> {
        let found = self.last()?;
        let same = lives.is_some() && found.lives == lives && found.version == version;
        let known = same && found.lasting;
        known.then(|| found.by_name().get(name).copied()).flatten()
    }

    /// What was found.
    pub(super) fn keep(&self, found: Found) {
        *self.0.lock() = Some(Arc::new(found));
    }
}

/// Finds those of a new list that were in the last one, which mostly are in the same order.
pub(super) struct Before<'a> {
    before: Vec<(At, &'a Listed)>,
    next: usize,
}

impl<'a> Before<'a> {
    /// Those of the last list, as long as the registry is the same.
    pub(super) fn of(last: Option<&'a Found>, version: u64) -> Before<'a> {
        let last = last.filter(|last| last.version == version);
        Before {
            before: last.map_or_else(Vec::new, |last| last.mirrors.with_places().collect()),
            next: 0,
        }
    }

    /// The mirror that a device was, which has the same name and number in the same life.
    pub(super) fn find(&mut self, device: &Listed) -> Option<At> {
        let left = self.before.get(self.next..)?;
        // Lists are in the order of names (drivers/md/dm-ioctl.c, `name_rb_tree`).
        let gone = left
            .iter()
            .take_while(|(_, before)| before.name < device.name);
        self.next += gone.count();
        let (at, before) = self.before.get(self.next)?;
        let same = device.life.is_some()
            && (before.dev, before.life) == (device.dev, device.life)
            && before.name == device.name;
        same.then_some(*at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::device::DevNo;

    fn listed(devices: &[(&str, u32, u64)]) -> Arc<[Listed]> {
        let device = |(name, minor, life): &(&str, u32, u64)| Listed {
            name: (*name).into(),
            dev: DevNo {
                major: 253,
                minor: *minor,
            },
            event_nr: 0,
            life: Some(*life),
        };
        devices.iter().map(device).collect()
    }

    fn found(list: &Arc<[Listed]>) -> Found {
        let at = |(place, device): (usize, &Listed)| At {
            mirror_id: MirrorId::new(u64::from(device.dev.minor)),
            place,
            live: device.name != "empty",
        };
        let ids = list.iter().enumerate().map(at).collect();
        Found::new(1, Some(1), Mirrors::new(list, ids), true)
    }

    #[test]
    fn who_was_there_before_is_found_whatever_came_and_went() {
        let last = found(&listed(&[
            ("a", 1, 1),
            ("b", 2, 1),
            ("d", 3, 1),
            ("e", 4, 1),
        ]));
        let mut before = Before::of(Some(&last), 1);
        let now = listed(&[("b", 2, 1), ("c", 5, 1), ("d", 3, 2), ("e", 6, 1)]);
        let ids = now.iter().map(|device| before.find(device));
        let ids: Vec<_> = ids.map(|at| at.map(|at| at.mirror_id)).collect();
        // One is new, one has another table, one another number.
        assert_eq!(ids, [Some(MirrorId::new(2)), None, None, None]);
        assert!(Before::of(Some(&last), 2).find(&now[0]).is_none());
    }

    #[test]
    fn a_name_is_known_in_the_lives_that_it_was_found_in() {
        let (running, list) = (Running::default(), listed(&[("a", 1, 1), ("empty", 2, 1)]));
        running.keep(found(&list));
        assert_eq!(running.under("a", 1, Some(1)), Some(MirrorId::new(1)));
        assert_eq!(running.under("a", 1, Some(2)), None);
        assert_eq!(running.under("a", 2, Some(1)), None);
        assert_eq!(running.under("a", 1, None), None);
        // What has no table goes without a word.
        assert_eq!(running.under("empty", 1, Some(1)), None);
        assert!(running.of(&list, 1).is_some() && running.of(&list, 2).is_none());
        assert!(running.of(&listed(&[]), 1).is_none());
    }
}

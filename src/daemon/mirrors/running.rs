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

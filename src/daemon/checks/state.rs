//! What all checks have in common: who is at it, and how one comes to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::begun::Begun;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::query::Mirrors;
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::switch::act::Switcher;
use crate::engine::Devices;
use crate::model::check::Check;
use crate::model::id::MirrorId;

/// How many mirrors are compared at once: each has a thread for each leg.
const CROWD: usize = 8;

/// How often somebody who waits looks whether he is still wanted, and whether it goes on.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// Compares the legs of mirrors.
pub struct Checks {
    pub(super) registry: Arc<Registry>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) devices: Arc<dyn Devices>,
    pub(super) journal: Arc<Journal>,
    pub(super) switcher: Arc<Switcher>,
    pub(super) events: Arc<Events>,
    pub(super) busy: Mutex<Busy>,
    pub(super) changed: Condvar,
    pub(super) closing: AtomicBool,
}

/// Who is at it.
#[derive(Debug, Default)]
pub(super) struct Busy {
    /// Checks that have their turn.
    going: usize,
    /// Those of them that hold I/O.
    pub(super) holding: usize,
}

impl Checks {
    /// Those of a switcher's mirrors.
    pub fn new(switcher: &Arc<Switcher>) -> Checks {
        Checks {
            registry: Arc::clone(&switcher.registry),
            mirrors: Arc::clone(&switcher.mirrors),
            devices: Arc::clone(&switcher.devices),
            journal: Arc::clone(&switcher.journal),
            events: Arc::clone(&switcher.events),
            switcher: Arc::clone(switcher),
            busy: Mutex::default(),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// The last check of a mirror.
    pub(super) fn check_of(&self, mirror_id: MirrorId) -> Option<Arc<Check>> {
        let check = self.registry.update(mirror_id, |entry| {
            let settings = entry.settings.as_ref()?;
            settings.check.clone()
        });
        check.flatten()
    }

    /// A check comes to its end: that of this number, or the one that there is. Nothing
    /// where another one has begun since.
    pub(super) fn end(
        &self,
        mirror_id: MirrorId,
        number: Option<u64>,
        change: impl FnOnce(&mut Check),
    ) {
        let ended = self.registry.update(mirror_id, |entry| {
            if number.is_some_and(|number| number != entry.checking.run) {
                return None;
            }
            let check = Arc::make_mut(entry.settings.as_mut()?.check.as_mut()?);
            change(check);
            (check.ended, check.places_only) = (now(), false);
            entry.checking.run += 1;
            entry.settings.as_ref()?.check.clone()
        });
        let Some(check) = ended.flatten() else {
            return;
        };
        self.tell(mirror_id, Kind::Check, &check.summary());
        if check.finds_something() {
            self.tell(mirror_id, Kind::Differs, &check.found());
        }
        if check.repaired > 0 {
            let text = format!("{} bytes", check.repaired);
            self.tell(mirror_id, Kind::Repaired, &text);
        }
        self.journal.keep_soon(mirror_id, Begun::Still);
    }

    pub(super) fn tell(&self, mirror_id: MirrorId, kind: Kind, text: &str) {
        let name = self.registry.name_of(mirror_id);
        self.events.add(&name, kind, text);
    }

    /// Wait until not too many are at it, as long as this is wanted; whether it is.
    pub(super) fn take_turn(&self, wanted: &dyn Fn() -> bool) -> bool {
        let mut busy = self.busy.lock();
        while busy.going >= CROWD {
            if !wanted() {
                return false;
            }
            self.changed.wait_for(&mut busy, LOOK);
        }
        busy.going += 1;
        true
    }

    pub(super) fn leave(&self) {
        self.busy.lock().going -= 1;
        self.changed.notify_all();
    }

    /// Whether the daemon is about to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

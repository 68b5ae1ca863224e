//! What can be asked for: a check, a repair, and their end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::course::go;
use super::run::Run;
use super::state::{Busy, Checks};
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::begun::Begun;
use crate::daemon::mirrors::query::Detail;
use crate::error::{Error, Result};
use crate::model::check::{Check, Phase, Right};
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;

/// How long an unmount waits for whoever holds I/O.
const LEAVING: Duration = Duration::from_secs(2);

impl Checks {
    /// Compare all legs of a mirror.
    ///
    /// # Errors
    /// EBUSY where that is under way, EINVAL where there is nothing to compare.
    pub fn begin(self: &Arc<Self>, mirror_id: MirrorId, snapshot: &Snapshot) -> Result<()> {
        if is_running(snapshot) {
            let name = &snapshot.info.name;
            let sentence = format!("{name} is being checked: `check stop` ends it");
            return Err(Error::busy(sentence));
        }
        let check = new(snapshot);
        self.start(mirror_id, snapshot, check)
    }

    /// Copy what differs from the right leg: what is known to differ, or what a check finds
    /// from now on.
    ///
    /// # Errors
    /// EINVAL where there is no such leg, or nothing to compare.
    pub fn repair(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        right: Right,
    ) -> Result<()> {
        let has = |place: usize| {
            let mut parts = snapshot.parts.iter();
            parts.all(|part| place < part.legs.len())
        };
        if let Some(place) = right.place().filter(|place| !has(*place)) {
            let name = &snapshot.info.name;
            return Err(Error::invalid(format!("{name} has no leg {place}")));
        }
        if is_running(snapshot) {
            self.repair_from_now_on(mirror_id, right);
            return Ok(());
        }
        let known = snapshot.check().filter(|check| check.finds_something());
        let check = match known {
            Some(known) => Check {
                phase: Phase::Running,
                places_only: true,
                repaired: 0,
                digest: None,
                repairs: Some(right),
                ..known.clone()
            },
            None => Check {
                repairs: Some(right),
                ..new(snapshot)
            },
        };
        self.start(mirror_id, snapshot, check)
    }

    fn repair_from_now_on(self: &Arc<Self>, mirror_id: MirrorId, right: Right) {
        self.registry.update(mirror_id, |entry| {
            let check = entry.settings.as_mut()?.check.as_mut()?;
            Arc::make_mut(check).repairs = Some(right);
            Some(())
        });
        self.journal.keep_seen(mirror_id);
        let text = "what differs is repaired from now on";
        self.tell(mirror_id, Kind::Check, text);
    }

    /// Compare them no longer.
    ///
    /// # Errors
    /// EINVAL where they are not compared.
    pub fn stop(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Result<()> {
        if !is_running(snapshot) {
            let name = &snapshot.info.name;
            let sentence = format!("{name} is not being checked");
            return Err(Error::invalid(sentence));
        }
        self.end(mirror_id, None, |check| {
            check.phase = Phase::Stopped;
            check.why = Some("by request".into());
        });
        Ok(())
    }

    /// All of a mirror is copied anew: what was found is of before. A check that runs goes on.
    pub fn forget(self: &Arc<Self>, mirror_id: MirrorId) {
        self.registry.update(mirror_id, |entry| {
            let known = &mut entry.settings.as_mut()?.check;
            let check = Arc::make_mut(known.as_mut()?);
            (check.differs, check.unreadable) = Default::default();
            if check.phase != Phase::Running {
                *known = None;
            }
            Some(())
        });
        self.journal.keep_seen(mirror_id);
    }

    /// A mirror runs again, or a daemon has come to one that runs: what was under way goes
    /// on. `renamed`: its devices may have other names since.
    pub fn go_on(self: &Arc<Self>, mirror_id: MirrorId, renamed: bool) {
        let Ok(snapshot) = self.mirrors.snapshot(mirror_id, Detail::Kernel) else {
            return;
        };
        let number = self.registry.update(mirror_id, |entry| {
            let check = entry.settings.as_mut()?.check.as_mut()?;
            let legs = snapshot.leg_places();
            if renamed && check.legs.len() == legs.len() && check.legs != legs {
                Arc::make_mut(check).legs = legs;
            }
            if check.held {
                Arc::make_mut(check).held = false;
            }
            entry.checking.life = None;
            let runs = check.phase == Phase::Running;
            runs.then(|| entry.checking.begin())
        });
        if let Some(number) = number.flatten() {
            self.spawn(mirror_id, number);
        }
    }

    /// The daemon is about to end: what is under way goes on with the next one.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let end = Instant::now() + LEAVING;
        let mut busy = self.busy.lock();
        let is_held = |busy: &mut Busy| busy.holding > 0;
        self.changed.wait_while_until(&mut busy, is_held, end);
        drop(busy);
        for mirror_id in self.registry.ids() {
            let check = self.check_of(mirror_id);
            if check.is_some_and(|check| check.phase == Phase::Running) {
                self.journal.keep_soon(mirror_id, Begun::Still);
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        check: Check,
    ) -> Result<()> {
        if snapshot.parts.is_empty() {
            let name = &snapshot.info.name;
            let sentence = format!("{name} has no mirror target: there is nothing to compare");
            return Err(Error::invalid(sentence));
        }
        let whole = snapshot.is_whole() && !check.places_only;
        let life = snapshot.life.filter(|_| whole);
        let text = match (check.places_only, check.repairs) {
            (true, _) => "what differs is being repaired",
            (false, Some(_)) => "all legs are compared, and repaired",
            (false, None) => "all legs are compared",
        };
        let number = self.registry.update(mirror_id, |entry| {
            entry.settings.get_or_insert_default().check = Some(Arc::new(check));
            entry.checking.life = life;
            entry.checking.begin()
        });
        self.journal.keep_seen(mirror_id);
        self.tell(mirror_id, Kind::Check, text);
        if let Some(number) = number {
            self.spawn(mirror_id, number);
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, mirror_id: MirrorId, number: u64) {
        let run = Run::new(self, mirror_id, number);
        self.journal.hands.apart("check", move || go(&run));
    }
}

fn new(snapshot: &Snapshot) -> Check {
    Check::new(snapshot.leg_places(), snapshot.table.length())
}

fn is_running(snapshot: &Snapshot) -> bool {
    let check = snapshot.known.settings.check.as_ref();
    check.is_some_and(|check| check.phase == Phase::Running)
}

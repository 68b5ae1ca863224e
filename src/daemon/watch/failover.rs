//! What failed is taken out: the way on is found, recorded, and switched to while
//! the kernel holds the writes, on a thread of the mirror's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::remedy::{AGAIN, Remedy, remedy};
use crate::daemon::admission::admit::Admission;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::switch::act::Switcher;
use crate::daemon::switch::change::{Aftermath, Turn};
use crate::daemon::tasks::hands::Hands;
use crate::engine::bell::Bell;
use crate::engine::{PromptDevices, PromptEngine};
use crate::error::{Errno, Error, Result};
use crate::model::failure::{Switch, Verdict, assess};
use crate::model::health::left_out;
use crate::model::id::MirrorId;
use crate::model::policy::Dropped;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::change::Change;
use crate::text::letter::Letter;

/// How often it is seen whether writes are held by a target's errors, and how long
/// they may be: a copy with its log in memory begins anew then.
const LOOK: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(3);
const STUCK_CORE: Duration = Duration::from_secs(10);

/// The verb that stands in `health` meanwhile.
const VERB: &str = "on_failure drop";

/// Does what the policy says where something failed.
pub(super) struct Failover {
    engine: Arc<dyn PromptEngine>,
    devices: Arc<dyn PromptDevices>,
    registry: Arc<Registry>,
    mirrors: Arc<Mirrors>,
    admission: Arc<Admission>,
    switcher: Arc<Switcher>,
    events: Arc<Events>,
    bell: Arc<Bell>,
    hands: Arc<Hands>,
}

impl Failover {
    /// One that acts by `switcher`, with `hands`.
    pub(super) fn new(switcher: &Arc<Switcher>, hands: &Arc<Hands>) -> Failover {
        Failover {
            hands: Arc::clone(hands),
            engine: Arc::clone(&switcher.mirrors.engine),
            devices: Arc::clone(&switcher.mirrors.devices),
            registry: Arc::clone(&switcher.registry),
            mirrors: Arc::clone(&switcher.mirrors),
            admission: Arc::clone(&switcher.admission),
            switcher: Arc::clone(switcher),
            events: Arc::clone(&switcher.events),
            bell: Arc::clone(&switcher.bell),
        }
    }

    /// Do what is to be done about a mirror, which was just looked at.
    pub(super) fn handle_failure(self: &Arc<Self>, mirror_id: MirrorId, snapshot: &Snapshot) {
        let Ok(entry) = self.registry.get(mirror_id) else {
            return;
        };
        match remedy(&entry, snapshot, self.engine.carries_io()) {
            Remedy::Nothing => {}
            Remedy::LookAgain(after) => self.look_again(mirror_id, after),
            Remedy::TellHeld => self.tell_held(mirror_id),
            Remedy::ReleaseIfStuck => self.release_if_stuck(mirror_id, snapshot),
            Remedy::Listen => self.listen(mirror_id),
            Remedy::Free => self.do_alone(mirror_id, |switcher, id| switcher.free(id)),
            Remedy::Requeue => self.do_alone(mirror_id, |switcher, id| switcher.requeue(id)),
            Remedy::LoseWord => self.do_alone(mirror_id, |switcher, id| switcher.lose_word(id)),
            Remedy::GoOnWithout => self.work(mirror_id, move |it| it.go_on_without(mirror_id)),
        }
    }

    /// A target had errors before all was in sync: see whether writes are held. A
    /// new table lets them go.
    fn release_if_stuck(self: &Arc<Self>, mirror_id: MirrorId, snapshot: &Snapshot) {
        let Some(traffic) = self.devices.traffic(snapshot.info.dev) else {
            return;
        };
        let moves = traffic.under_way == 0;
        let since = self.registry.update(mirror_id, |entry| match entry.stuck {
            Some((since, done)) if !moves && done == traffic.done => since,
            _ => entry.stuck.insert((Instant::now(), traffic.done)).0,
        });
        let disk = snapshot.logs.iter().all(|log| log.kind == "disk");
        let patience = if disk { STUCK } else { STUCK_CORE };
        if since.is_some_and(|since| since.elapsed() >= patience) {
            self.do_alone(mirror_id, |switcher, id| switcher.release(id));
        } else {
            self.look_again(mirror_id, LOOK);
        }
    }

    /// Say once that writes wait, and why.
    fn tell_held(&self, mirror_id: MirrorId) {
        let Ok(snapshot) = self.mirrors.snapshot(mirror_id, Detail::Devices) else {
            return;
        };
        let reason = match assess(&snapshot) {
            Verdict::Healthy => return,
            Verdict::Hold(reason) => reason,
            Verdict::Switch(switch) => format!("{} failed, on_failure is hold", left_out(&switch)),
        };
        let before = self.registry.update(mirror_id, |entry| {
            let pending_failure = entry.pending_failure.get_or_insert_default();
            std::mem::replace(&mut pending_failure.reason, reason.clone())
        });
        if before.is_some_and(|before| before != reason) {
            let text = format!("writes wait: {reason}");
            self.events.add(&snapshot.info.name, Kind::Held, &text);
        }
    }

    /// See which legs answer. One of them may take very long, so whatever else is to be
    /// done about the mirror is done meanwhile.
    fn listen(self: &Arc<Self>, mirror_id: MirrorId) {
        self.registry.update(mirror_id, |entry| {
            (entry.due, entry.listening) = (None, true);
        });
        let failover = Arc::clone(self);
        self.hands.apart("listen", move || {
            let heard = failover.switcher.listen(mirror_id);
            heard.unwrap_or_else(|error| log::debug!("{error}"));
            let registry = &failover.registry;
            registry.update(mirror_id, |entry| entry.listening = false);
            failover.bell.ring();
        });
    }

    /// Do something after which nothing is left to do.
    fn do_alone(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        what: impl FnOnce(&Switcher, MirrorId) -> Result<()> + Send + 'static,
    ) {
        let what = move |it: &Failover| what(&it.switcher, mirror_id).map(|()| None);
        self.work(mirror_id, what);
    }

    /// Do `what` on a thread of its own.
    fn work(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        what: impl FnOnce(&Failover) -> Result<Option<Aftermath>> + Send + 'static,
    ) {
        self.registry.update(mirror_id, |entry| {
            entry.due = None;
            entry.pending_failure.get_or_insert_default().working = true;
        });
        let failover = Arc::clone(self);
        let job = move || failover.try_to(mirror_id, what);
        self.hands.at_once("on_failure", job);
    }

    fn try_to(
        &self,
        mirror_id: MirrorId,
        what: impl FnOnce(&Failover) -> Result<Option<Aftermath>>,
    ) {
        let done = what(self);
        self.registry.update(mirror_id, |entry| match &done {
            Ok(_) => entry.pending_failure = None,
            Err(error) => {
                let pending_failure = entry.pending_failure.get_or_insert_default();
                pending_failure.working = false;
                pending_failure.reason = error.sentence().into();
            }
        });
        match done.as_ref().map_err(Error::errno) {
            Ok(_) | Err(Errno::ENODEV) => {}
            // A verb came first, most likely.
            Err(Errno::EBUSY) => self.look_again(mirror_id, LOOK),
            Err(_) => {
                self.look_again(mirror_id, AGAIN);
                let name = self.registry.name_of(mirror_id);
                let _ = self
                    .events
                    .report(&name, done.as_ref().map_err(Error::clone));
            }
        }
        self.bell.ring();
        // The next failure is nobody's to wait for: this may take as long as a disk does.
        if let Ok(Some(aftermath)) = done {
            self.admission.earlier.remember(aftermath.before());
            self.switcher.settle(aftermath);
        }
    }

    fn look_again(&self, mirror_id: MirrorId, after: Duration) {
        let due = Some(Instant::now() + after);
        self.registry.update(mirror_id, |entry| entry.due = due);
    }

    /// Switch to what is left of a mirror.
    fn go_on_without(&self, mirror_id: MirrorId) -> Result<Option<Aftermath>> {
        self.switcher.planned(|| self.go_on_without_now(mirror_id))
    }

    fn go_on_without_now(&self, mirror_id: MirrorId) -> Result<Option<Aftermath>> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let Verdict::Switch(switch) = assess(&snapshot) else {
            return Ok(None);
        };
        let gone = dropped(&snapshot, &switch);
        let before = snapshot.known.settings.dropped.iter();
        let edit = SettingsEdit {
            dropped: Some(before.chain(&gone).cloned().collect()),
            ..SettingsEdit::default()
        };
        let change = Change {
            table: switch.table,
            equal: switch.was_in_sync,
            ..Change::default()
        };
        let announcements = gone.iter().map(|what| (Kind::Dropped, what.line()));
        let turn = Turn {
            change,
            edit,
            announcements: announcements.collect(),
            own: Some(VERB),
        };
        let changed = self.switcher.change(mirror_id, &snapshot, &turn, &[]);
        let changed = changed.map(Some);
        changed.map_err(|error| error.context("continuing without what has failed"))
    }
}

fn dropped(snapshot: &Snapshot, switch: &Switch) -> Vec<Dropped> {
    let legs = snapshot.legs.iter();
    let legs = legs.filter(|leg| switch.legs.contains(&leg.number));
    let legs = legs.map(|leg| Dropped {
        leg: Some(leg.number),
        node: leg.node(),
        letter: leg.letter,
    });
    let logs = snapshot.logs.iter();
    let logs = logs.filter(|log| switch.log && log.letter != Letter::Alive);
    let logs = logs.map(|log| Dropped {
        leg: None,
        node: log.node(),
        letter: log.letter,
    });
    legs.chain(logs).collect()
}

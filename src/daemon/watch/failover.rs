//! What failed is taken out: what is to be done is decided here, and done on a thread of
//! the mirror's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acts::{Act, Acts};
use super::remedy::{Remedy, remedy};
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::tasks::hands::Apart;
use crate::model::failure::{Verdict, assess};
use crate::model::health::left_out;
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;
use crate::plan::pace::Pace;

/// How often it is seen whether writes are held by a target's errors, and how long
/// they may be: a copy with its log in memory begins anew then.
const LOOK: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(3);
const STUCK_CORE: Duration = Duration::from_secs(10);

/// Does what the policy says where something failed.
pub(super) struct Failover {
    pub(super) registry: Arc<Registry>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) events: Arc<Events>,
    pub(super) acts: Apart<Acts>,
}

impl Failover {
    /// Do what is to be done about a mirror, which was just looked at.
    pub(super) fn handle_failure(&self, mirror_id: MirrorId, snapshot: &Snapshot) {
        let Ok(entry) = self.registry.get(mirror_id) else {
            return;
        };
        match remedy(&entry, snapshot, self.mirrors.engine.carries_io()) {
            Remedy::Nothing => {}
            Remedy::LookAgain(after) => self.registry.look_again(mirror_id, after),
            Remedy::TellHeld => self.tell_held(mirror_id),
            Remedy::ReleaseIfStuck => self.release_if_stuck(mirror_id, snapshot),
            Remedy::Listen => self.listen(mirror_id),
            Remedy::Free => self.act(mirror_id, Act::Free),
            Remedy::SetAside => self.act(mirror_id, Act::SetAside),
            Remedy::Narrow => self.narrow(mirror_id),
            Remedy::StepIn(after) => self.registry.step_in(mirror_id, after),
            Remedy::Move(pace) => self.move_front(mirror_id, pace),
            Remedy::Requeue => self.act(mirror_id, Act::Requeue),
            Remedy::LoseWord => self.act(mirror_id, Act::LoseWord),
            Remedy::GoOnWithout => self.act(mirror_id, Act::GoOnWithout),
        }
    }

    /// A target had errors before all was in sync: see whether writes are held. A
    /// new table lets them go.
    fn release_if_stuck(&self, mirror_id: MirrorId, snapshot: &Snapshot) {
        let Some(traffic) = self.mirrors.devices.traffic(snapshot.info.dev) else {
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
            self.act(mirror_id, Act::Release);
        } else {
            self.registry.look_again(mirror_id, LOOK);
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
    fn listen(&self, mirror_id: MirrorId) {
        self.registry.update(mirror_id, |entry| {
            (entry.due, entry.listening) = (None, true);
        });
        self.acts
            .at_once("listen", move |acts| acts.listen(mirror_id));
    }

    /// Find what is bad of what was set aside: nobody waits for it, and each bad block may
    /// take very long.
    fn narrow(&self, mirror_id: MirrorId) {
        self.registry
            .update(mirror_id, |entry| entry.narrowing = true);
        self.acts
            .apart("narrow", move |acts| acts.narrow(mirror_id));
    }

    /// Let the copy go on, or not: nobody's I/O waits for that.
    fn move_front(&self, mirror_id: MirrorId, pace: Pace) {
        self.registry.update(mirror_id, |entry| {
            (entry.front.next, entry.front.moving) = (None, true);
        });
        self.acts
            .apart("front", move |acts| acts.move_front(mirror_id, pace));
    }

    /// What others' writes wait for comes before ordinary programs.
    fn act(&self, mirror_id: MirrorId, act: Act) {
        self.registry.update(mirror_id, |entry| {
            entry.due = None;
            entry.pending_failure.get_or_insert_default().working = true;
        });
        self.acts
            .at_once("on_failure", move |acts| acts.act(mirror_id, act));
    }
}

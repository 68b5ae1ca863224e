//! What failed is taken out: the way on is found, recorded, and switched to while
//! the kernel holds the writes, on a thread of the mirror's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Daemon;
use super::answers::has_listened;
use super::change::Turn;
use super::desk::spawn;
use super::entry::{Edit, Entry};
use super::events::Kind;
use super::look::Detail;
use crate::error::{Errno, Error, Result};
use crate::model::failure::{Hurt, Switch, Verdict, hurt, judge};
use crate::model::health::left_out;
use crate::model::policy::{Dropped, OnFailure};
use crate::model::snapshot::{Leg, Owner, Snapshot};
use crate::plan::build;
use crate::plan::legs::Change;

/// Between two attempts, where one failed.
const AGAIN: Duration = Duration::from_secs(5);

/// For how long nothing may have happened before a sync word is taken out: until
/// its regions are in sync again, what is written is on one leg alone.
const CALM: Duration = Duration::from_secs(5);

/// How often it is seen whether writes are held by a target's errors, and how long
/// they may be: a copy with its log in memory begins anew then.
const LOOK: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(3);
const STUCK_CORE: Duration = Duration::from_secs(10);

/// The verb that stands in `health` meanwhile.
const VERB: &str = "on_failure drop";

/// What the daemon remembers of a failure that lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Why it lasts, as it was told.
    pub reason: String,
    /// Whether a thread is at work on it.
    pub(super) working: bool,
}

impl Daemon {
    /// Do what the policy says, where something has failed; called at each look.
    pub(super) fn attend(self: &Arc<Self>, serial: u64, snapshot: &Snapshot) {
        let Ok(entry) = self.registry.get(serial) else {
            return;
        };
        let busy = entry.running.is_some() || entry.trouble.as_ref().is_some_and(|t| t.working);
        if snapshot.owner() == Owner::Lvm || busy {
            return;
        }
        if snapshot.info.suspended {
            if entry.left_suspended && !is_early(&entry) {
                self.work(serial, Daemon::free);
            }
            return;
        }
        // Nobody waits for what an embedded mirror does.
        if self.forgets() {
            return;
        }
        match judge(snapshot) {
            Verdict::Healthy => self.attend_healthy(serial, snapshot, &entry),
            Verdict::Hold(_) => self.tell_held(serial),
            Verdict::Switch(_) if snapshot.known.on_failure == OnFailure::Hold => {
                self.tell_held(serial);
            }
            Verdict::Switch(_) if is_early(&entry) && entry.trouble.is_some() => {}
            Verdict::Switch(_) => self.work(serial, Daemon::go_on_without),
        }
    }

    /// The same, where no leg has to go.
    fn attend_healthy(self: &Arc<Self>, serial: u64, snapshot: &Snapshot, entry: &Entry) {
        let asleep = |leg: &Leg| leg.silent && leg.letter == 'A';
        match hurt(snapshot) {
            // It may be back.
            Hurt::None if snapshot.legs.iter().any(asleep) && entry.due.is_none() => {
                self.look_again(serial, AGAIN);
            }
            Hurt::None if snapshot.legs.iter().any(asleep) && !is_early(entry) => {
                self.work(serial, Daemon::listen);
            }
            Hurt::Targets | Hurt::Source if !has_listened(entry, snapshot) => {
                self.work(serial, Daemon::listen);
            }
            Hurt::Targets if is_early(entry) => {}
            Hurt::Targets if snapshot.known.on_failure == OnFailure::Drop => {
                self.attend_hurt(serial, snapshot);
            }
            Hurt::Targets | Hurt::Source => {}
            // What was held is let go by a resume alone.
            Hurt::None if is_early(entry) => {}
            Hurt::None if entry.trouble.is_some() => self.work(serial, Daemon::requeue),
            Hurt::None if !build::has_word_to_lose(snapshot) => {}
            Hurt::None if entry.due.is_none() => self.look_again(serial, CALM),
            Hurt::None => self.work(serial, Daemon::lose_word),
        }
    }

    /// A target had errors before all was in sync: see whether writes are held. A
    /// new table lets them go.
    fn attend_hurt(self: &Arc<Self>, serial: u64, snapshot: &Snapshot) {
        let Some(traffic) = self.devices.traffic(snapshot.info.dev) else {
            return;
        };
        let moves = traffic.under_way == 0;
        let since = self.registry.update(serial, |entry| match entry.stuck {
            Some((since, done)) if !moves && done == traffic.done => since,
            _ => entry.stuck.insert((Instant::now(), traffic.done)).0,
        });
        let disk = snapshot.logs.iter().all(|log| log.kind == "disk");
        let patience = if disk { STUCK } else { STUCK_CORE };
        match since.is_some_and(|since| since.elapsed() >= patience) {
            true => self.work(serial, Daemon::release),
            false => self.look_again(serial, LOOK),
        }
    }

    /// Say once that writes wait, and why.
    fn tell_held(&self, serial: u64) {
        let Ok(snapshot) = self.snapshot(serial, Detail::Devices) else {
            return;
        };
        let reason = match judge(&snapshot) {
            Verdict::Healthy => return,
            Verdict::Hold(reason) => reason,
            Verdict::Switch(switch) => format!("{} failed, on_failure is hold", left_out(&switch)),
        };
        let before = self.registry.update(serial, |entry| {
            let trouble = entry.trouble.get_or_insert_default();
            std::mem::replace(&mut trouble.reason, reason.clone())
        });
        if before.is_some_and(|before| before != reason) {
            let text = format!("writes wait: {reason}");
            self.events.add(&snapshot.info.name, Kind::Held, &text);
        }
    }

    /// Run `what` on a thread of its own; where none can be had, on this one.
    fn work(self: &Arc<Self>, serial: u64, what: fn(&Arc<Daemon>, u64) -> Result<()>) {
        self.registry.update(serial, |entry| {
            entry.due = None;
            entry.trouble.get_or_insert_default().working = true;
        });
        let daemon = Arc::clone(self);
        let job = move || daemon.try_to(serial, what);
        if spawn("on_failure", job.clone()).is_err() {
            job();
        }
    }

    fn try_to(self: Arc<Self>, serial: u64, what: fn(&Arc<Daemon>, u64) -> Result<()>) {
        let done = what(&self, serial);
        self.registry.update(serial, |entry| match &done {
            Ok(()) => entry.trouble = None,
            Err(error) => {
                let trouble = entry.trouble.get_or_insert_default();
                trouble.working = false;
                trouble.reason = error.sentence().into();
            }
        });
        match done.as_ref().map_err(Error::errno) {
            Ok(()) | Err(Errno::ENODEV) => {}
            // A verb came first, most likely.
            Err(Errno::EBUSY) => self.look_again(serial, LOOK),
            Err(_) => {
                self.look_again(serial, AGAIN);
                let _ = self.report(&self.name_of(serial), done);
            }
        }
        self.bell.ring();
    }

    fn look_again(&self, serial: u64, after: Duration) {
        let due = Some(Instant::now() + after);
        self.registry.update(serial, |entry| entry.due = due);
    }

    /// Switch to what is left of a mirror.
    fn go_on_without(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, VERB)?;
        self.planned(|| self.go_on_without_now(serial))
    }

    fn go_on_without_now(self: &Arc<Self>, serial: u64) -> Result<()> {
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        let Verdict::Switch(switch) = judge(&snapshot) else {
            return Ok(());
        };
        let gone = dropped(&snapshot, &switch);
        let before = snapshot.known.dropped.iter();
        let edit = Edit {
            dropped: Some(before.chain(&gone).cloned().collect()),
            ..Edit::default()
        };
        let change = Change {
            table: switch.table,
            equal: switch.whole,
            ..Change::default()
        };
        let told = gone.iter().map(|what| (Kind::Dropped, what.line()));
        let turn = Turn {
            change,
            edit,
            told: told.collect(),
        };
        let changed = self.change(serial, &snapshot, &turn, &[]);
        changed.map_err(|error| error.context("going on without what has failed"))?;
        self.remember(&snapshot);
        Ok(())
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
    let logs = logs.filter(|log| switch.log && log.letter != 'A');
    let logs = logs.map(|log| Dropped {
        leg: None,
        node: log.node(),
        letter: log.letter,
    });
    legs.chain(logs).collect()
}

/// Whether it is to be looked at again, but not yet.
fn is_early(entry: &Entry) -> bool {
    entry.due.is_some_and(|due| due > Instant::now())
}

//! The watch: one thread that sleeps until device-mapper says that something
//! happened, compares what is with what was, and tells the difference. While
//! something copies it also wakes each second to take samples, since progress
//! raises no event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::failover::Failover;
use super::leaving::Leaving;
use super::observe::Observer;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::switch::act::Switcher;
use crate::daemon::tasks::realtime::spawn_realtime;
use crate::engine::bell::Bell;
use crate::engine::{Listed, PromptEngine};
use crate::error::Result;
use crate::model::id::MirrorId;

/// Between two samples of a copy.
const BEAT: u16 = 1000;

/// Watches all mirrors.
pub struct Watch {
    engine: Arc<dyn PromptEngine>,
    registry: Arc<Registry>,
    mirrors: Arc<Mirrors>,
    journal: Arc<Journal>,
    events: Arc<Events>,
    bell: Arc<Bell>,
    observer: Observer,
    failover: Arc<Failover>,
    leaving: Arc<Leaving>,
}

impl Watch {
    /// A watch that acts by `switcher` where something fails.
    pub fn new(switcher: &Arc<Switcher>) -> Watch {
        let hands = &switcher.journal.hands;
        Watch {
            engine: Arc::clone(&switcher.mirrors.engine),
            registry: Arc::clone(&switcher.registry),
            mirrors: Arc::clone(&switcher.mirrors),
            journal: Arc::clone(&switcher.journal),
            events: Arc::clone(&switcher.events),
            bell: Arc::clone(&switcher.bell),
            observer: Observer::new(&switcher.journal),
            failover: Arc::new(Failover::new(switcher, hands)),
            leaving: Arc::new(Leaving::new(&switcher.journal, hands)),
        }
    }

    /// Enter what runs already, then watch on a thread of its own.
    ///
    /// # Errors
    /// What the list of devices answers; EAGAIN where no thread can be had.
    pub fn start(self: &Arc<Self>) -> Result<()> {
        self.engine.arm()?;
        self.pass(Kind::Adopted)?;
        let watch = Arc::clone(self);
        spawn_realtime("watch", move || watch.watch())
    }

    fn watch(&self) {
        let mut reported = None;
        loop {
            // Armed before the list is read, so that nothing falls between.
            let start = Instant::now();
            let armed = self.engine.arm();
            let passed = armed.and_then(|()| self.pass(Kind::Created));
            let copying = *passed.as_ref().unwrap_or(&true);
            // What lasts is told of once.
            let error = passed.err();
            if let Some(error) = error.as_ref().filter(|_| error != reported) {
                log::error!("watching device-mapper: {error}");
            }
            reported = error;
            self.sleep(copying, start);
        }
    }

    fn sleep(&self, copying: bool, last: Instant) {
        let due = self.registry.next_due(last).map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let beat = copying.then(|| PollTimeout::from(BEAT));
        let timeouts = [due, beat].into_iter().flatten();
        let timeout = timeouts.min_by_key(|timeout| timeout.duration());
        let timeout = timeout.unwrap_or(PollTimeout::NONE);
        let fds = self.engine.events().into_iter();
        let fds = fds.chain([self.bell.fd()]);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted poll is one more pass.
        let _ = poll(&mut fds, timeout);
        self.bell.silence();
    }

    /// Look at everything once; answers whether something copies.
    fn pass(&self, appeared: Kind) -> Result<bool> {
        // Those that were known before the list was made, and are not on it, may
        // be gone; what was made meanwhile is not.
        let before = self.registry.ids();
        let listed = self.engine.list()?;
        let mut copying = false;
        let mut present = Vec::new();
        for device in &listed {
            let Ok(mirror_id) = self.mirrors.find(&device.name) else {
                continue;
            };
            present.push(mirror_id);
            // What is half made has nothing to tell yet; its maker rings.
            if self.registry.is_reserved(&device.name) {
                self.look_after_new(mirror_id);
                continue;
            }
            self.announce(mirror_id, device, appeared);
            if let Some(seen) = self.observer.observe(mirror_id, device) {
                self.events.waiters.tell(&device.name);
                self.failover.handle_failure(mirror_id, &seen.snapshot);
                copying |= seen.copying;
            }
        }
        let missing = before
            .into_iter()
            .filter(|mirror_id| !present.contains(mirror_id));
        missing.for_each(|mirror_id| self.leaving.forget_removed(mirror_id));
        Ok(copying)
    }

    /// A leg of a mirror that is still being made may fail while that waits for a disk.
    fn look_after_new(&self, mirror_id: MirrorId) {
        if self.registry.is_half_made(mirror_id) {
            return;
        }
        if let Ok(snapshot) = self.mirrors.snapshot(mirror_id, Detail::Kernel) {
            self.failover.handle_failure(mirror_id, &snapshot);
        }
    }

    /// Tell of a mirror that somebody else made or renamed.
    fn announce(&self, mirror_id: MirrorId, device: &Listed, appeared: Kind) {
        if self.registry.is_running(mirror_id) {
            return;
        }
        let name = &device.name;
        let before = self
            .registry
            .update(mirror_id, |entry| entry.announced.replace(name.clone()));
        let known = before.flatten();
        if self.registry.take_returned(mirror_id) {
            self.events.add(name, Kind::Created, "by another program");
            self.journal.keep_seen(mirror_id);
        }
        match known {
            Some(old) if old == *name => {}
            Some(old) => {
                self.events.renamed(&old, name, ", by another program");
                self.journal.keep_seen(mirror_id);
            }
            None if appeared == Kind::Adopted => self.events.add(name, appeared, "it runs already"),
            None => self.events.add(name, appeared, "by another program"),
        }
    }
}

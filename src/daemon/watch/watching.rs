//! The watch: one thread that sleeps until device-mapper says that something
//! happened, compares what is with what was, and tells the difference. While
//! something copies it also wakes each second to take samples, since progress
//! raises no event: of those that copy, and of no other.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::acts::Acts;
use super::failover::Failover;
use super::observe::Observer;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::tasks::hands::Apart;
use crate::daemon::tasks::realtime::spawn_realtime;
use crate::engine::Listed;
use crate::engine::bell::Bell;
use crate::error::Result;
use crate::model::id::MirrorId;

/// Between two samples of a copy.
const BEAT: Duration = Duration::from_secs(1);

/// The watch comes before all ordinary programs, so after each look it leaves them the
/// processor for so many times as long as it took, and at most for [`REST`]: there may be
/// very many devices, and making one of them is several words of the kernel.
const LEFT_TO_OTHERS: u32 = 4;

/// The longest that somebody who has something to tell waits for the next look.
const REST: Duration = Duration::from_millis(100);

/// What the watch was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Something was said of some device, or by somebody here.
    Word,
    /// The next look is due, and nothing was said of anything.
    Time,
}

/// Watches all mirrors.
pub struct Watch {
    pub(super) registry: Arc<Registry>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) events: Arc<Events>,
    pub(super) bell: Arc<Bell>,
    pub(super) observer: Observer,
    pub(super) failover: Failover,
    pub(super) acts: Apart<Acts>,
}

impl Watch {
    /// Enter what runs already, then watch on a thread of its own.
    ///
    /// # Errors
    /// What the list of devices answers; EAGAIN where no thread can be had.
    pub fn start(self: &Arc<Self>) -> Result<()> {
        self.mirrors.engine.arm()?;
        self.pass(Kind::Adopted)?;
        let watch = Arc::clone(self);
        spawn_realtime("watch", move || watch.watch())
    }

    fn watch(&self) {
        let (mut reported, mut copying) = (None, HashSet::new());
        let mut woken = Woken::Word;
        loop {
            let start = Instant::now();
            let passed = match woken {
                Woken::Word => self.pass_now(),
                Woken::Time => self.beat(&copying).map_or_else(|| self.pass_now(), Ok),
            };
            let failed = passed.is_err();
            // What lasts is told of once.
            let error = passed.map(|found| copying = found).err();
            if let Some(error) = error.as_ref().filter(|_| error != reported) {
                log::error!("watching device-mapper: {error}");
            }
            reported = error;
            sleep(start.elapsed().saturating_mul(LEFT_TO_OTHERS).min(REST));
            woken = self.sleep(failed || !copying.is_empty(), start);
            if failed {
                woken = Woken::Word;
            }
        }
    }

    fn pass_now(&self) -> Result<HashSet<MirrorId>> {
        // Armed before the list is read, so that nothing falls between.
        self.mirrors.engine.arm()?;
        self.pass(Kind::Created)
    }

    /// Wait until something happens, or the next look is due.
    fn sleep(&self, copying: bool, last: Instant) -> Woken {
        let beat = copying.then(|| Instant::now() + BEAT);
        let end = self.registry.next_due(last).into_iter().chain(beat).min();
        let woken = loop {
            match self.hear_until(end) {
                Some(woken) => break woken,
                None => self.mirrors.engine.hear(),
            }
        };
        // A word that comes after the time was up is for the next pass.
        if woken == Woken::Word {
            self.bell.silence();
        }
        woken
    }

    /// What ends a sleep; none where there is something to hear, and nothing more than that,
    /// before the end.
    fn hear_until(&self, end: Option<Instant>) -> Option<Woken> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| PollTimeout::try_from(left + Duration::from_millis(1)));
        let timeout = timeout.map_or(PollTimeout::NONE, |left| left.unwrap_or(PollTimeout::MAX));
        let engine = &self.mirrors.engine;
        let messages = engine.messages();
        let fds = messages
            .into_iter()
            .chain(engine.events())
            .chain([self.bell.fd()]);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted poll is one more pass.
        match poll(&mut fds, timeout) {
            Ok(0) => return Some(Woken::Time),
            Ok(_) => {}
            Err(_) => return Some(Woken::Word),
        }
        let mut readable = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let heard = messages.is_some() && readable.next() == Some(true);
        let more = readable.any(|readable| readable);
        // Messages without an end must not keep what is due from its turn.
        let due = left.is_some_and(|left| left.is_zero());
        if more || !heard {
            return Some(Woken::Word);
        }
        due.then_some(Woken::Time)
    }

    /// Look again at those that copy and those that are due, since time has passed and
    /// nothing else; none where one of them is not as it was, and all are to be looked at.
    fn beat(&self, copying: &HashSet<MirrorId>) -> Option<HashSet<MirrorId>> {
        let due = self.registry.due(Instant::now()).into_iter();
        let of: HashSet<MirrorId> = due.chain(copying.iter().copied()).collect();
        let mut still = HashSet::new();
        for mirror_id in of {
            if self.registry.absent(mirror_id).is_some() {
                continue;
            }
            let device = self.mirrors.listed_as(mirror_id)?;
            if self.look_at(mirror_id, &device, Kind::Created) {
                still.insert(mirror_id);
            }
        }
        Some(still)
    }

    /// Look at everything once; answers what copies.
    fn pass(&self, appeared: Kind) -> Result<HashSet<MirrorId>> {
        // Those that were known before the list was made, and are not on it, may
        // be gone; what was made meanwhile is not.
        let before = self.registry.ids();
        let (running, _) = self.mirrors.all_running()?;
        let mut copying = HashSet::new();
        let mut present = HashSet::new();
        for (mirror_id, device) in running.iter() {
            present.insert(mirror_id);
            if !self.registry.is_quiet(mirror_id, device)
                && self.look_at(mirror_id, device, appeared)
            {
                copying.insert(mirror_id);
            }
        }
        let missing = before
            .into_iter()
            .filter(|mirror_id| !present.contains(mirror_id));
        missing.for_each(|mirror_id| self.forget_removed(mirror_id));
        Ok(copying)
    }

    /// Look at one that may not be as it was; answers whether it copies.
    fn look_at(&self, mirror_id: MirrorId, device: &Listed, appeared: Kind) -> bool {
        // What is half made has nothing to tell yet; its maker rings.
        if self.registry.is_reserved(&device.name) {
            self.look_after_new(mirror_id);
            return false;
        }
        self.announce(mirror_id, device, appeared);
        let Some(seen) = self.observer.observe(mirror_id, device) else {
            return false;
        };
        self.events.waiters.tell(&device.name);
        self.failover.handle_failure(mirror_id, &seen.snapshot);
        seen.copying
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

    /// Forget a mirror that is gone; the verb that removes one tells it itself,
    /// and one that was renamed meanwhile is not gone.
    fn forget_removed(&self, mirror_id: MirrorId) {
        if self.registry.absent(mirror_id).is_some() {
            return;
        }
        if self.mirrors.is_there(mirror_id) || self.registry.is_running(mirror_id) {
            return;
        }
        let before = self.registry.update(mirror_id, |entry| {
            let before = entry.clone();
            entry.leaving = true;
            before
        });
        if let Some(entry) = before.filter(|entry| !entry.leaving) {
            self.acts
                .at_once("leaving", move |acts| acts.see_off(&entry));
        }
    }

    /// Tell of a mirror that somebody else made or renamed.
    fn announce(&self, mirror_id: MirrorId, device: &Listed, appeared: Kind) {
        // What runs on one that is adopted is its adoption.
        if appeared != Kind::Adopted && self.registry.is_running(mirror_id) {
            return;
        }
        let name = &device.name;
        let before = self
            .registry
            .update(mirror_id, |entry| entry.announced.replace(name.clone()));
        let known = before.flatten();
        if self.registry.take_returned(mirror_id) {
            self.events.add(name, Kind::Created, "by another program");
            self.observer.record(mirror_id);
            self.acts.apart("check", move |acts| acts.go_on(mirror_id));
        }
        match known {
            Some(old) if old == *name => {}
            Some(old) => {
                self.events.renamed(&old, name, ", by another program");
                self.observer.record(mirror_id);
            }
            None if appeared == Kind::Adopted => self.events.add(name, appeared, "it runs already"),
            None => self.events.add(name, appeared, "by another program"),
        }
    }
}

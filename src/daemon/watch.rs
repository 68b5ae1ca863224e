//! The watch: one thread that sleeps until device-mapper says that something
//! happened, compares what is with what was, and tells the difference. While
//! something copies it also wakes each second to take samples, since progress
//! raises no event.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Daemon;
use super::entry::{Entry, Seen};
use super::events::Kind;
use super::look::Detail;
use super::urgent::spawn_urgent;
use crate::engine::Listed;
use crate::error::{Error, Result};
use crate::model::health::State;
use crate::model::progress::{Progress, SyncState};
use crate::model::snapshot::Snapshot;
use crate::text::status::{leg_words, log_words};
use crate::text::table::Table;

/// Between two samples of a copy.
const BEAT: u16 = 1000;

/// A copy that has not got further for this long is not sampled until somebody
/// looks or something happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Wakes the watch.
#[derive(Debug)]
pub struct Bell {
    hear: PipeReader,
    ring: PipeWriter,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// EMFILE, ENFILE where no pipe can be had.
    pub fn new() -> Result<Self> {
        let (hear, ring) = pipe().map_err(|error| Error::io("making a pipe", &error))?;
        for fd in [hear.as_fd(), ring.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(|errno| Error::sys("a pipe that does not block", errno))?;
        }
        Ok(Bell { hear, ring })
    }

    /// Wake the watch. A full pipe has woken it already.
    pub fn ring(&self) {
        let _ = (&self.ring).write(&[0]);
    }

    fn silence(&self) {
        let mut sounds = [0; 64];
        while matches!((&self.hear).read(&mut sounds), Ok(count) if count > 0) {}
    }
}

/// Enter what runs already, then watch on a thread of its own.
///
/// # Errors
/// What the list of devices answers; EAGAIN where no thread can be had.
pub fn start(daemon: &Arc<Daemon>) -> Result<()> {
    daemon.engine.arm()?;
    daemon.pass(Kind::Adopted)?;
    let daemon = Arc::clone(daemon);
    spawn_urgent("watch", move || daemon.watch())
}

impl Daemon {
    /// Take samples again of a copy that had stopped: somebody looks at it.
    pub fn stir(&self, serial: u64) {
        let stirred = self.registry.update(serial, |entry| {
            let asleep = entry.moved.is_some_and(|(at, _)| at.elapsed() >= PATIENCE);
            if asleep {
                entry.moved = None;
            }
            asleep
        });
        if stirred == Some(true) {
            self.bell.ring();
        }
    }

    fn watch(self: &Arc<Self>) {
        let mut told = None;
        loop {
            // Armed before the list is read, so that nothing falls between.
            let start = Instant::now();
            let armed = self.engine.arm();
            let passed = armed.and_then(|()| self.pass(Kind::Created));
            let copying = *passed.as_ref().unwrap_or(&true);
            // What lasts is told of once.
            let error = passed.err();
            if let Some(error) = error.as_ref().filter(|_| error != told) {
                log::error!("watching device-mapper: {error}");
            }
            told = error;
            self.events.changes.tell();
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
        let fds = fds.chain([self.bell.hear.as_fd()]);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted poll is one more pass.
        let _ = poll(&mut fds, timeout);
        self.bell.silence();
    }

    /// Look at everything once; answers whether something copies.
    fn pass(self: &Arc<Self>, appeared: Kind) -> Result<bool> {
        // Those that were known before the list was made, and are not on it, may
        // be gone; what was made meanwhile is not.
        let before = self.registry.serials();
        let listed = self.engine.list()?;
        let mut copying = false;
        let mut present = Vec::new();
        for device in &listed {
            let Ok(serial) = self.find(&device.name) else {
                continue;
            };
            present.push(serial);
            // What is half made has nothing to tell yet; its maker rings.
            if self.registry.is_reserved(&device.name) {
                continue;
            }
            self.announce(serial, device, appeared);
            copying |= self.observe(serial, device);
        }
        let missing = before
            .into_iter()
            .filter(|serial| !present.contains(serial));
        missing.for_each(|serial| self.bury(serial));
        Ok(copying)
    }

    /// Tell of a mirror that somebody else made or renamed.
    fn announce(&self, serial: u64, device: &Listed, appeared: Kind) {
        if self.registry.is_running(serial) {
            return;
        }
        let name = &device.name;
        let told = self
            .registry
            .update(serial, |entry| entry.announced.replace(name.clone()));
        match told.flatten() {
            Some(old) if old == *name => {}
            Some(old) => {
                self.events.renamed(&old, name, ", by another program");
                self.keep_seen(name, serial);
            }
            None if appeared == Kind::Adopted => self.events.add(name, appeared, "it runs already"),
            None => self.events.add(name, appeared, "by another program"),
        }
    }

    /// Forget a mirror that is gone; the verb that removes one tells it itself,
    /// and one that was renamed meanwhile is not gone.
    fn bury(&self, serial: u64) {
        if self.registry.absent(serial).is_some() {
            return;
        }
        let there = self.snapshot(serial, Detail::Kernel);
        let shown = there.is_ok_and(|there| self.shows(&there.info, &there.lines));
        if shown || self.registry.is_running(serial) {
            return;
        }
        let entry = self.registry.forget(serial);
        if let Some(entry) = entry.filter(|entry| entry.announced.is_some()) {
            let text = "by another program, or closed at last";
            self.events.add(&entry.name, Kind::Removed, text);
            let lines: Vec<&str> = entry.seen.table.iter().map(String::as_str).collect();
            if let Ok(mut table) = Table::parse(&lines) {
                self.let_go_of_all(table.devices().map(|device| device.clone()));
            }
        }
    }

    /// Look at one mirror if it copies or something happened to it.
    fn observe(self: &Arc<Self>, serial: u64, device: &Listed) -> bool {
        let Ok(entry) = self.registry.get(serial) else {
            return false;
        };
        // Before the look: where it is the same afterwards, all that was seen is of it.
        let life = self.engine.life(device.dev).ok();
        if entry.event_nr == Some(device.event_nr) && entry.is_settled(life) {
            return false;
        }
        let Ok(snapshot) = self.snapshot(serial, Detail::Kernel) else {
            return false;
        };
        let (progress, now) = (Progress::of(&snapshot), Instant::now());
        let copying = self.registry.update(serial, |entry| {
            entry.event_nr = Some(device.event_nr);
            sample(entry, &snapshot, &progress, now)
        });
        self.compare(&entry, &snapshot, &progress);
        self.remember_whole(serial, &snapshot, life);
        self.attend(serial, &snapshot);
        copying.unwrap_or(false)
    }

    /// Remember in which life of its table all regions were in sync and no leg had an
    /// error; where some are missing and no leg has one, they are so no more.
    fn remember_whole(&self, serial: u64, snapshot: &Snapshot, life: Option<u64>) {
        let healthy = snapshot.legs.iter().all(|leg| leg.letter == 'A');
        // What was seen of two lives says nothing of either.
        let of_one = life.is_some() && snapshot.life == life;
        if !healthy || !of_one || snapshot.parts.is_empty() {
            return;
        }
        self.registry
            .update(serial, |entry| match (snapshot.whole, entry.whole_in) {
                (true, _) => entry.whole_in = life,
                (false, known) if known == life => entry.whole_in = None,
                (false, _) => {}
            });
    }

    /// Tell what changed since the mirror was last looked at.
    fn compare(&self, entry: &Entry, snapshot: &Snapshot, progress: &Progress) {
        let (old, new) = (&entry.seen, seen(snapshot, progress));
        let same_table = old.table == new.table;
        if !same_table && !old.table.is_empty() && !self.registry.is_running(entry.serial) {
            self.keep_seen(&snapshot.info.name, entry.serial);
        }
        let mut errors = if same_table {
            entry.errors.clone()
        } else {
            Vec::new()
        };
        errors.resize(new.letters.len(), 0);
        for (number, letter) in new.letters.iter().enumerate() {
            let before = old
                .letters
                .get(number)
                .filter(|_| same_table)
                .unwrap_or(&'A');
            if before == letter {
                continue;
            }
            if let Some(count) = errors.get_mut(number).filter(|_| *letter != 'A') {
                *count += 1;
            }
            let text = format!(
                "{number} {} {letter} {}",
                leg_name(self, snapshot, number),
                leg_words(*letter)
            );
            self.events.add(&snapshot.info.name, Kind::Leg, &text);
        }
        self.compare_log(snapshot, old.log.filter(|_| same_table), new.log);
        self.compare_state(snapshot, old.state, new.state);
        if new.in_sync && !(old.in_sync && same_table) && !new.table.is_empty() {
            let text = format!("{} regions in sync", progress.regions_total);
            self.events.add(&snapshot.info.name, Kind::Synced, &text);
        }
        let was_hurt =
            !self.forgets() && same_table && old.letters.iter().any(|letter| *letter != 'A');
        self.registry.update(entry.serial, |entry| {
            if new.in_sync && was_hurt {
                // Writes may have been held meanwhile.
                entry.trouble.get_or_insert_default();
            }
            if new.in_sync {
                entry.notes.clear();
            }
            let before = entry.seen.state;
            (entry.seen, entry.errors) = (new, errors);
            if entry.seen.state == Some(State::Suspended) {
                entry.seen.state = before;
            }
        });
    }

    /// The states that somebody is called for, and their end.
    fn compare_state(&self, snapshot: &Snapshot, old: Option<State>, new: Option<State>) {
        let alarming = |state: Option<State>| state.is_some_and(|s| s >= State::Degraded);
        // What is being switched is suspended for a moment.
        let news = new.filter(|now| *now != State::Suspended && old != new);
        let Some(now) = news.filter(|_| alarming(old) || alarming(new)) else {
            return;
        };
        let before = old.map_or_else(String::new, |old| format!(", before: {}", old.word()));
        let text = format!("{}{before}", now.word());
        self.events.add(&snapshot.info.name, Kind::Health, &text);
    }

    fn compare_log(&self, snapshot: &Snapshot, old: Option<char>, new: Option<char>) {
        let Some(letter) = new.filter(|letter| *letter != old.unwrap_or('A')) else {
            return;
        };
        let text = format!("{letter} {}", log_words(letter));
        self.events.add(&snapshot.info.name, Kind::Log, &text);
    }
}

/// A leg as an event names it: by its node, which costs a look at the device.
fn leg_name(daemon: &Daemon, snapshot: &Snapshot, number: usize) -> String {
    let Some(leg) = snapshot.legs.get(number) else {
        return "-".into();
    };
    let facts = daemon.devices.facts(&leg.device);
    facts.map_or_else(|_| leg.node(), |facts| facts.node.display().to_string())
}

fn seen(snapshot: &Snapshot, progress: &Progress) -> Seen {
    Seen {
        table: snapshot.lines.iter().map(ToString::to_string).collect(),
        life: snapshot.life,
        letters: snapshot.legs.iter().map(|leg| leg.letter).collect(),
        log: snapshot.log().map(|log| log.letter),
        in_sync: progress.state == SyncState::InSync,
        state: Some(State::of(snapshot)),
    }
}

/// Note how far the copy is; answers whether to look again soon.
fn sample(entry: &mut Entry, snapshot: &Snapshot, progress: &Progress, now: Instant) -> bool {
    let missing = !matches!(progress.state, SyncState::None | SyncState::InSync);
    if !missing || snapshot.info.suspended {
        entry.pace.clear();
        entry.moved = None;
        return false;
    }
    let done = progress.bytes_done;
    entry.pace.sample(now, done);
    match entry.moved {
        Some((at, before)) if before == done => now.duration_since(at) < PATIENCE,
        _ => {
            entry.moved = Some((now, done));
            true
        }
    }
}

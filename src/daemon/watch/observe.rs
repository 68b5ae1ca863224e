//! What changed of a mirror since it was last looked at, as events.

use std::sync::Arc;
use std::time::Instant;

use super::acts::Acts;
use crate::daemon::events::kind::Kind;
use crate::daemon::events::log::Events;
use crate::daemon::mirrors::entry::{Entry, SAMPLED_FOR, Seen};
use crate::daemon::mirrors::query::{Detail, Mirrors};
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::tasks::hands::Apart;
use crate::engine::Listed;
use crate::model::health::State;
use crate::model::id::MirrorId;
use crate::model::progress::{Progress, SyncState};
use crate::model::snapshot::Snapshot;
use crate::text::letter::Letter;

/// What a look at a mirror has found.
pub struct Observed {
    /// The mirror as it was at this look.
    pub snapshot: Snapshot,
    /// Whether it copies, and is to be looked at again soon.
    pub copying: bool,
}

/// Compares what is with what was.
pub struct Observer {
    pub(super) registry: Arc<Registry>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) events: Arc<Events>,
    pub(super) acts: Apart<Acts>,
}

impl Observer {
    /// Look at one mirror.
    pub fn observe(&self, mirror_id: MirrorId, device: &Listed) -> Option<Observed> {
        let entry = self.registry.get(mirror_id).ok()?;
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel).ok()?;
        let (progress, now) = (Progress::of(&snapshot), Instant::now());
        let copying = self.registry.update(mirror_id, |entry| {
            entry.event_nr = Some(device.event_nr);
            sample(entry, &snapshot, &progress, now)
        });
        self.compare(&entry, &snapshot, &progress);
        self.mirrors.slow(mirror_id, &snapshot);
        // From before the look: where it is the same afterwards, all that was seen is of it.
        self.remember_in_sync(mirror_id, &snapshot, device.life);
        Some(Observed {
            snapshot,
            copying: copying.unwrap_or(false),
        })
    }

    /// Remember in which life of its table all regions were in sync and no leg had an
    /// error; where some are missing and no leg has one, they are so no more.
    fn remember_in_sync(&self, mirror_id: MirrorId, snapshot: &Snapshot, life: Option<u64>) {
        let healthy = snapshot.legs.iter().all(|leg| leg.letter == Letter::Alive);
        // What was seen of two lives says nothing of either.
        let of_one = life.is_some() && snapshot.life == life;
        if !healthy || !of_one || snapshot.parts.is_empty() {
            return;
        }
        self.registry.update(mirror_id, |entry| {
            match (snapshot.was_in_sync, entry.in_sync_life) {
                (true, _) => entry.in_sync_life = life,
                (false, known) if known == life => entry.in_sync_life = None,
                (false, _) => {}
            }
        });
    }

    /// Tell what changed since the mirror was last looked at.
    fn compare(&self, entry: &Entry, snapshot: &Snapshot, progress: &Progress) {
        let (old, new) = (&entry.seen, seen(snapshot, progress));
        let same_table = old.table == new.table;
        if !same_table && !old.table.is_empty() && !self.registry.is_at_work(entry.mirror_id) {
            self.record(entry.mirror_id);
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
                .unwrap_or(&Letter::Alive);
            if before == letter {
                continue;
            }
            if let Some(count) = errors.get_mut(number).filter(|_| *letter != Letter::Alive) {
                *count += 1;
            }
            let text = format!(
                "{number} {} {letter} {}",
                self.leg_name(snapshot, number),
                letter.leg_words()
            );
            self.events.add(&snapshot.info.name, Kind::Leg, &text);
        }
        self.compare_log(snapshot, old.log.filter(|_| same_table), new.log);
        self.compare_state(snapshot, old.state, new.state);
        if new.in_sync && !(old.in_sync && same_table) && !new.table.is_empty() {
            let text = format!("{} regions in sync", progress.regions_total);
            self.events.add(&snapshot.info.name, Kind::Synced, &text);
            // What udev did not know of the disks yet when the mirror was made is recorded.
            self.record(entry.mirror_id);
        }
        let was_hurt = self.mirrors.engine.carries_io()
            && same_table
            && old.letters.iter().any(|letter| *letter != Letter::Alive);
        self.registry.update(entry.mirror_id, |entry| {
            if new.in_sync && was_hurt {
                // Writes may have been held meanwhile.
                entry.pending_failure.get_or_insert_default();
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

    /// Record a mirror that no verb has changed.
    pub(super) fn record(&self, mirror_id: MirrorId) {
        self.acts
            .at_once("record", move |acts| acts.keep_seen(mirror_id));
    }

    /// A leg as an event names it: by its node.
    fn leg_name(&self, snapshot: &Snapshot, number: usize) -> String {
        let leg = snapshot.legs.get(number);
        leg.map_or_else(|| "-".into(), |leg| self.mirrors.node_of(&leg.device))
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

    fn compare_log(&self, snapshot: &Snapshot, old: Option<Letter>, new: Option<Letter>) {
        let Some(letter) = new.filter(|letter| *letter != old.unwrap_or(Letter::Alive)) else {
            return;
        };
        let text = format!("{letter} {}", letter.log_words());
        self.events.add(&snapshot.info.name, Kind::Log, &text);
    }
}

fn seen(snapshot: &Snapshot, progress: &Progress) -> Seen {
    Seen {
        table: snapshot.lines.iter().map(ToString::to_string).collect(),
        life: snapshot.life,
        letters: snapshot.legs.iter().map(|leg| leg.letter).collect(),
        log: snapshot.log_letter(),
        in_sync: progress.state == SyncState::InSync,
        state: Some(State::of(snapshot)),
    }
}

/// Note how far the copy is; answers whether to look again soon.
fn sample(entry: &mut Entry, snapshot: &Snapshot, progress: &Progress, now: Instant) -> bool {
    let missing = !matches!(progress.state, SyncState::None | SyncState::InSync);
    let limit = snapshot.known.settings.limit;
    let region = snapshot.region_size().unwrap_or(0);
    entry.front.allowance.note(limit, region, now);
    if missing && snapshot.info.suspended && entry.switching.is_some() {
        // It goes on at once.
        return true;
    }
    if !missing || snapshot.info.suspended {
        entry.meter.clear();
        entry.moved = None;
        return false;
    }
    let done = progress.bytes_done;
    entry.meter.sample(now, done);
    match entry.moved {
        Some((at, before)) if before == done => now.duration_since(at) < SAMPLED_FOR,
        _ => {
            entry.moved = Some((now, done));
            true
        }
    }
}

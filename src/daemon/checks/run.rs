//! One run of a check: whether it is still wanted, what is noted of it, how long it pauses.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::state::{Checks, LOOK};
use crate::daemon::mirrors::checking::Checking;
use crate::daemon::mirrors::query::Detail;
use crate::error::{Errno, Error};
use crate::model::check::Check;
use crate::model::id::MirrorId;
use crate::model::snapshot::{SECTOR, Snapshot};

/// More places than this are no matter of places any more.
const MOST_PLACES: usize = 10_000;

/// How often it is recorded how far it is.
const RECORDED: Duration = Duration::from_secs(10);

/// Why a run is over before its end.
pub(super) enum End {
    /// Nobody wants it any more.
    NotWanted,
    /// It cannot go on.
    Because(String),
}

/// What is over before its end where that is so.
pub(super) type Go<T> = Result<T, End>;

/// It cannot go on because of an error.
pub(super) fn because(error: Error) -> End {
    End::Because(error.sentence().into())
}

/// One run.
pub(super) struct Run {
    pub(super) checks: Arc<Checks>,
    pub(super) mirror_id: MirrorId,
    number: u64,
}

impl Run {
    pub(super) fn new(checks: &Arc<Checks>, mirror_id: MirrorId, number: u64) -> Run {
        Run {
            checks: Arc::clone(checks),
            mirror_id,
            number,
        }
    }

    /// Whether no other one has begun since, and nobody has ended it.
    pub(super) fn is_wanted(&self) -> bool {
        self.with(|_, _| ()).is_ok() && !self.checks.is_closing()
    }

    /// What is known by now.
    pub(super) fn check(&self) -> Go<Arc<Check>> {
        let check = self.with(|check, _| Arc::clone(check))?;
        if self.checks.is_closing() {
            return Err(End::NotWanted);
        }
        Ok(check)
    }

    /// Do something with what is remembered of this very run.
    fn with<T>(&self, what: impl FnOnce(&mut Arc<Check>, &mut Checking) -> T) -> Go<T> {
        let done = self.checks.registry.update(self.mirror_id, |entry| {
            let checking = &mut entry.checking;
            let check = entry.settings.as_mut()?.check.as_mut()?;
            (checking.run == self.number).then(|| what(check, checking))
        });
        done.flatten().ok_or(End::NotWanted)
    }

    /// The mirror as it is now, which is made of the same legs.
    pub(super) fn snapshot(&self, detail: Detail) -> Go<Snapshot> {
        let check = self.check()?;
        let snapshot = self.checks.mirrors.snapshot(self.mirror_id, detail);
        let snapshot = snapshot.map_err(|error| match error.errno() {
            // A mirror that is gone has nothing to be told of.
            Errno::ENODEV => End::NotWanted,
            _ => because(error),
        })?;
        if snapshot.known.absent.is_some() {
            return Err(End::NotWanted);
        }
        if snapshot.parts.is_empty() || snapshot.leg_places() != check.legs {
            return Err(End::Because("its legs have changed".into()));
        }
        match snapshot.legs.iter().find(|leg| leg.is_dead()) {
            Some(leg) => {
                let (number, device) = (leg.number, &leg.device);
                Err(End::Because(format!("leg {number} {device} has failed")))
            }
            None => Ok(snapshot),
        }
    }

    /// Change what is known.
    pub(super) fn update(&self, change: impl FnOnce(&mut Check)) -> Go<()> {
        self.with(|check, _| change(Arc::make_mut(check)))
    }

    /// All before `at` was looked at; so many sectors were since this run began.
    pub(super) fn note(&self, at: u64, done: u64) -> Go<()> {
        let now = Instant::now();
        let (many, due) = self.with(|check, checking| {
            if check.at != at {
                Arc::make_mut(check).at = at;
            }
            let many = check.differs.len() + check.unreadable.len() > MOST_PLACES;
            checking.meter.sample(now, done.saturating_mul(SECTOR));
            let recorded = checking.recorded.get_or_insert(now);
            let due = now.saturating_duration_since(*recorded) >= RECORDED;
            if due {
                *recorded = now;
            }
            (many, due)
        })?;
        if due {
            self.checks.journal.keep_seen(self.mirror_id);
        }
        if many {
            let why = format!("more than {MOST_PLACES} places differ: `resync` copies everything");
            return Err(End::Because(why));
        }
        Ok(())
    }

    /// What it waits for; nothing any more.
    pub(super) fn note_wait(&self, waits: Option<&'static str>) {
        // Of a run that is not wanted nothing is shown.
        let _ = self.with(|_, checking| {
            if checking.waits != waits {
                checking.waits = waits;
                checking.meter.clear();
            }
        });
    }

    /// Leave the disks to others for a while.
    pub(super) fn pause(&self, time: Duration) -> Go<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK));
            if !self.is_wanted() {
                return Err(End::NotWanted);
            }
        }
    }

    /// It has come to its end, or cannot go on.
    pub(super) fn end(&self, change: impl FnOnce(&mut Check)) {
        self.checks.end(self.mirror_id, Some(self.number), change);
    }
}

//! Going through a mirror, piece by piece: what of it is to be equal is read from all legs,
//! what differs is doubted, and what stays so is looked at with I/O held.

use std::time::{Duration, Instant};

use super::digest::Digest;
use super::legs::{Legs, differing_of};
use super::run::{Go, Run, because};
use super::state::LOOK;
use crate::daemon::mirrors::query::Detail;
use crate::model::check::Right;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::model::spots::{Spot, common, outside, union};
use crate::plan::comparable::{Stretch, stretches};
use crate::plan::leisure::{Orders, pause};

/// Sectors that are read at once of each leg.
pub(super) const PIECE: u64 = 1 << 11;

/// How long a look at the mirror is believed before what comes next is read.
const SEEN_FOR: Duration = Duration::from_millis(200);

/// One run's way through a mirror.
pub(super) struct Walk<'a> {
    pub(super) run: &'a Run,
    pub(super) snapshot: Snapshot,
    pub(super) stretches: Vec<Stretch>,
    looked: Instant,
    pub(super) legs: Option<Legs>,
    /// What differed when it was read, and since when.
    pub(super) doubts: Vec<Spot>,
    pub(super) doubted_since: Option<Instant>,
    /// What differs however often it is read, and since when.
    pub(super) pending: Vec<Spot>,
    pub(super) pending_since: Option<Instant>,
    /// What was copied.
    pub(super) repaired: Vec<Spot>,
    pub(super) digest: Option<Digest>,
    /// Sectors that were looked at.
    done: u64,
    /// How long reads that failed have taken.
    pub(super) failing: Duration,
    /// How much went through the mirror by now.
    traffic: Option<u64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(run: &'a Run) -> Go<Walk<'a>> {
        let looked = Instant::now();
        let (snapshot, stretches) = look(run)?;
        Ok(Walk {
            run,
            snapshot,
            stretches,
            looked,
            legs: None,
            doubts: Vec::new(),
            doubted_since: None,
            pending: Vec::new(),
            pending_since: None,
            repaired: Vec::new(),
            digest: None,
            done: 0,
            failing: Duration::ZERO,
            traffic: None,
        })
    }

    /// See what of the mirror is to be equal now.
    pub(super) fn look(&mut self) -> Go<()> {
        self.looked = Instant::now();
        (self.snapshot, self.stretches) = look(self.run)?;
        Ok(())
    }

    fn look_if_due(&mut self) -> Go<()> {
        if self.looked.elapsed() < SEEN_FOR {
            return Ok(());
        }
        self.look()
    }

    /// Sectors of the mirror.
    pub(super) fn length(&self) -> u64 {
        self.snapshot.table.length()
    }

    /// Whether something of it is still being copied.
    pub(super) fn is_copying(&self) -> bool {
        !self.snapshot.is_copied() && !self.snapshot.info.suspended
    }

    /// Make a digest of what is compared, from the first byte on.
    pub(super) fn begin_digest(&mut self, at: u64) -> Go<()> {
        if at == 0 {
            self.digest = Some(Digest::new().map_err(because)?);
        }
        Ok(())
    }

    /// The digest of the whole mirror; none where some of it differs, or was not compared.
    pub(super) fn end_digest(&mut self) -> Go<Option<String>> {
        let (length, check) = (self.length(), self.run.check()?);
        let digest = self.digest.take().and_then(|digest| digest.end(length));
        let whole = check.left_out.is_empty() && check.repaired == 0 && !check.finds_something();
        Ok(digest.filter(|_| whole))
    }

    /// What of these spots is to be equal, as it was last looked at.
    pub(super) fn comparable(&self, spots: &[Spot]) -> Vec<Spot> {
        let all = self.stretches.iter().map(|stretch| stretch.spot);
        common(spots, &union(&all.collect::<Vec<_>>(), &[]))
    }

    /// Compare these spots, up to the last doubt.
    pub(super) fn compare_all(&mut self, spots: &[Spot]) -> Go<()> {
        for spot in spots {
            let mut at = spot.start;
            while at < spot.end() {
                self.look_if_due()?;
                at = self.next(at, spot.end())?;
                self.hold_if_due(false)?;
            }
        }
        while !self.doubts.is_empty() || !self.pending.is_empty() {
            self.hold_if_due(true)?;
        }
        Ok(())
    }

    /// Look at these spots with I/O held, and copy what differs there. Then compare them.
    pub(super) fn repair(&mut self, spots: &[Spot]) -> Go<()> {
        self.suspect(spots);
        while !self.pending.is_empty() {
            self.hold_if_due(true)?;
        }
        self.compare_all(spots)
    }

    /// Compare what comes next; answers where it ends.
    fn next(&mut self, at: u64, end: u64) -> Go<u64> {
        let behind = |stretch: &&Stretch| stretch.spot.end() > at && stretch.spot.start < end;
        let Some(stretch) = self.stretches.iter().find(behind).cloned() else {
            self.leave_out(at, end)?;
            return Ok(end);
        };
        self.leave_out(at, stretch.spot.start)?;
        let (at, end) = (at.max(stretch.spot.start), end.min(stretch.spot.end()));
        let piece = |at: u64| Spot::between(at, (at + 1).next_multiple_of(PIECE).min(end));
        let Some(spot) = piece(at) else {
            return Ok(end);
        };
        self.open(&stretch)?;
        let begun = Instant::now();
        self.piece(spot, piece(spot.end()))?;
        self.done += spot.length;
        self.note_up_to(spot.end())?;
        self.keep_pace(spot, begun.elapsed())?;
        Ok(spot.end())
    }

    /// All before `end` was looked at, but for what is doubted.
    fn note_up_to(&self, end: u64) -> Go<()> {
        let check = self.run.check()?;
        let open = self.doubts.first().into_iter().chain(self.pending.first());
        let open = open.map(|spot| spot.start).min();
        let seen = open.map_or(end, |open| open.min(end));
        let at = if check.places_only {
            check.at
        } else {
            check.at.max(seen)
        };
        self.run.note(at, self.done)
    }

    /// What lies here is not on all legs, and was not compared.
    pub(super) fn leave_out(&mut self, from: u64, to: u64) -> Go<()> {
        let Some(spot) = Spot::between(from, to) else {
            return Ok(());
        };
        self.digest = None;
        self.run.update(|check| {
            check.left_out.remove(spot);
            check.left_out.add(spot, &[]);
        })?;
        self.note_up_to(to)
    }

    /// What was known of a range is of before.
    pub(super) fn forget(&self, spot: Spot) -> Go<()> {
        let check = self.run.check()?;
        let all = [&check.differs, &check.unreadable, &check.left_out];
        if !all.into_iter().any(|places| places.has(spot)) {
            return Ok(());
        }
        self.run.update(|check| {
            check.differs.remove(spot);
            check.unreadable.remove(spot);
            check.left_out.remove(spot);
        })
    }

    /// Have the legs of a stretch open, and no others.
    pub(super) fn open(&mut self, stretch: &Stretch) -> Go<()> {
        let write = self.run.check()?.repairs.is_some();
        if self
            .legs
            .as_ref()
            .is_some_and(|legs| legs.are_of(stretch, write))
        {
            return Ok(());
        }
        // They are where the doubts of before are.
        self.legs = None;
        let devices = self.run.checks.devices.as_ref();
        self.legs = Some(Legs::open(devices, stretch, write).map_err(because)?);
        Ok(())
    }

    pub(super) fn stretch_at(&self, sector: u64) -> Option<Stretch> {
        let has = |stretch: &&Stretch| stretch.spot.start <= sector && sector < stretch.spot.end();
        self.stretches.iter().find(has).cloned()
    }

    fn piece(&mut self, spot: Spot, next: Option<Spot>) -> Go<()> {
        let Some(legs) = self.legs.as_mut() else {
            return Ok(());
        };
        let run = self.run;
        let mut answers = legs.read(spot, next, &|| run.is_wanted())?;
        if answers.iter().any(|(_, done)| done.is_err()) {
            legs.give_back(answers);
            return self.blocks(spot);
        }
        let found = differing_of(spot.start, answers.iter().map(|(piece, _)| piece));
        if let (Some(digest), Some((first, _))) = (self.digest.as_mut(), answers.first_mut()) {
            match digest.take(spot, std::mem::take(first)) {
                Ok(spare) => *first = spare.unwrap_or_default(),
                Err(piece) => {
                    *first = piece;
                    self.digest = None;
                }
            }
        }
        legs.give_back(answers);
        self.forget(spot)?;
        self.doubt(&found);
        Ok(())
    }

    /// Leave the disks to others, as much as is asked for.
    fn keep_pace(&mut self, spot: Spot, took: Duration) -> Go<()> {
        let (checks, dev) = (&self.run.checks, self.snapshot.info.dev);
        let traffic = checks.devices.traffic(dev).map(|traffic| traffic.done);
        let others = traffic != self.traffic;
        self.traffic = traffic;
        let throttle = checks.mirrors.engine.throttle().unwrap_or(100);
        loop {
            let registry = &checks.registry;
            let limit = registry.update(self.run.mirror_id, |entry| entry.settings.as_ref()?.limit);
            let limit = limit.flatten();
            let orders = Orders {
                limit,
                throttle,
                others,
            };
            let bytes = spot.length.saturating_mul(SECTOR);
            if let Some(time) = pause(bytes, took, orders) {
                self.run.note_wait(None);
                return self.run.pause(time);
            }
            self.run.note_wait(Some("paused"));
            self.run.pause(LOOK)?;
        }
    }

    /// These are no longer to be looked at with I/O held.
    pub(super) fn settled(&mut self, spots: &[Spot]) {
        self.pending = outside(&self.pending, spots);
        if self.pending.is_empty() {
            self.pending_since = None;
        }
    }
}

/// The mirror as it is now, and what of it is to be equal.
fn look(run: &Run) -> Go<(Snapshot, Vec<Stretch>)> {
    let check = run.check()?;
    let snapshot = run.snapshot(Detail::Logs)?;
    let right = check.repairs.and_then(Right::place);
    let stretches = stretches(&snapshot, right);
    let length = snapshot.table.length();
    if check.length != length {
        run.update(|check| check.length = length)?;
    }
    Ok((snapshot, stretches))
}

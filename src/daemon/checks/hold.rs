//! What differs however often it is read is looked at with I/O held: nobody writes then, and
//! what is copied from one leg to another cannot be what somebody has written over.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::legs::{Leg, Legs, Piece};
use super::run::{Go, because};
use super::walk::Walk;
use crate::engine::Suspend;
use crate::error::Errno;
use crate::model::map::copied;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::model::spots::{Spot, common, outside, sectors, union};
use crate::plan::compare::{cut, differing, grown};

/// For how long I/O is held, as far as the disks allow it.
const HELD_FOR: Duration = Duration::from_millis(30);

/// Sectors that are compared at once, and that are looked at in one hold.
const PIECE: u64 = 512;
const MOST: u64 = 1 << 13;

/// How much longer than it was held I/O goes on before the next hold.
const REST: u32 = 8;
const RESTS_FOR: Duration = Duration::from_secs(2);

/// How long to wait where somebody else is at the mirror.
const BUSY: Duration = Duration::from_millis(500);

/// What was found in a hold.
#[derive(Debug, Default)]
struct Found {
    /// What was looked at.
    looked: Vec<Spot>,
    /// What differs from the right leg, and which leg does.
    differs: Vec<(Spot, usize)>,
    /// What cannot be read from which leg.
    unreadable: Vec<(Spot, usize)>,
    /// What was copied.
    repaired: Vec<Spot>,
    /// What is not on all legs any more.
    uncopied: Vec<Spot>,
}

impl Walk<'_> {
    /// Look at some of what differs however often it is read.
    pub(super) fn hold(&mut self) -> Go<()> {
        self.look()?;
        let Some(first) = self.pending.first().copied() else {
            return Ok(());
        };
        let Some(stretch) = self.stretch_at(first.start) else {
            let starts = self.stretches.iter().map(|stretch| stretch.spot.start);
            let next = starts.filter(|start| *start > first.start).min();
            let end = next.unwrap_or(u64::MAX).min(first.end());
            let spot = Spot::between(first.start, end);
            self.settled(spot.as_slice());
            return self.leave_out(first.start, end);
        };
        self.open(&stretch)?;
        let repairs = self.run.check()?.repairs.is_some();
        let spots = self.next_pending(stretch.spot);
        let used = self.snapshot.info.open_count > 0;
        let mut found = self.held(Suspend::REQUEUE, &spots, repairs)?;
        if used && !repairs && !found.differs.is_empty() {
            // It may be what is dirty in memory, and about to be written once more.
            let differs: Vec<Spot> = found.differs.drain(..).map(|(spot, _)| spot).collect();
            let differs = union(&differs, &[]);
            // A resume of our own begins a new life of the table.
            self.look()?;
            let units = self.units(&differs, stretch.spot);
            let again = self.held(Suspend::FREEZE, &units, false)?;
            let late = outside(&units, &again.looked);
            found.looked = outside(&found.looked, &late);
            found.differs = again.differs;
            found.unreadable.extend(again.unreadable);
            found.uncopied.extend(again.uncopied);
        }
        self.settle(&found)
    }

    /// What is looked at in the next hold.
    fn next_pending(&self, stretch: Spot) -> Vec<Spot> {
        let mut left = MOST;
        let units = self.units(&self.pending, stretch).into_iter();
        let taken = units.take_while(|unit| {
            let fits = left > 0;
            left = left.saturating_sub(unit.length);
            fits
        });
        taken.collect()
    }

    /// These spots as what can be read and written as one, in pieces.
    fn units(&self, spots: &[Spot], stretch: Spot) -> Vec<Spot> {
        let unit = self.legs.as_ref().map_or(1, Legs::unit);
        let units = grown(&common(spots, &[stretch]), unit, self.length());
        let units = common(&units, &[stretch]).into_iter();
        units.flat_map(|spot| cut(spot, PIECE, 0)).collect()
    }

    /// Look at these with I/O held; nothing where somebody else is at the mirror.
    fn held(&mut self, how: Suspend, spots: &[Spot], repairs: bool) -> Go<Found> {
        if self.snapshot.info.suspended {
            self.run.note_wait(Some("waiting"));
            self.run.pause(BUSY)?;
            return Ok(Found::default());
        }
        self.run.note_wait(None);
        let Some(legs) = &self.legs else {
            return Ok(Found::default());
        };
        let work = Work::new(legs, repairs);
        let checks = &self.run.checks;
        checks.busy.lock().holding += 1;
        let mut done = Ok(Duration::ZERO);
        // An unmount waits for who holds I/O, and for nobody who only wants to.
        if !checks.is_closing() {
            let look = |now: &Snapshot| {
                work.look(now, spots);
                Ok(())
            };
            let switcher = &checks.switcher;
            done = switcher.while_held(self.run.mirror_id, &self.snapshot, how, &look);
        }
        checks.busy.lock().holding -= 1;
        checks.changed.notify_all();
        match done {
            Ok(held) => {
                if self.snapshot.info.open_count > 0 {
                    self.run.pause((held * REST).min(RESTS_FOR))?;
                }
                Ok(work.found.into_inner())
            }
            Err(error) if matches!(error.errno(), Errno::EAGAIN | Errno::EBUSY) => {
                log::debug!("{error}");
                self.run.pause(BUSY)?;
                Ok(Found::default())
            }
            Err(error) => Err(because(error)),
        }
    }

    /// Note what was found.
    fn settle(&mut self, found: &Found) -> Go<()> {
        let right = self.legs.as_ref().and_then(|legs| legs.legs.first());
        let right = right.map_or(0, |leg| leg.side.number);
        self.run.update(|check| {
            for spot in &found.looked {
                check.differs.remove(*spot);
                check.unreadable.remove(*spot);
            }
            for (spot, leg) in &found.differs {
                check
                    .differs
                    .add(*spot, &[right.min(*leg), right.max(*leg)]);
            }
            for (spot, leg) in &found.unreadable {
                check.unreadable.add(*spot, &[*leg]);
            }
            check.repaired += sectors(&found.repaired).saturating_mul(SECTOR);
        })?;
        if !found.differs.is_empty() || !found.unreadable.is_empty() {
            self.digest = None;
        }
        for spot in &found.uncopied {
            self.leave_out(spot.start, spot.end())?;
        }
        self.repaired = union(&self.repaired, &found.repaired);
        let looked = union(&found.looked, &found.uncopied);
        self.settled(&looked);
        Ok(())
    }
}

/// What is done with I/O held.
struct Work<'a> {
    legs: &'a [Leg],
    repairs: bool,
    memory: RefCell<Vec<Piece>>,
    found: RefCell<Found>,
}

impl Work<'_> {
    fn new(legs: &Legs, repairs: bool) -> Work<'_> {
        let legs = legs.legs.as_slice();
        let memory = legs.iter().map(|_| Piece::default()).collect();
        Work {
            legs,
            repairs,
            memory: RefCell::new(memory),
            found: RefCell::default(),
        }
    }

    /// Compare one spot after the other, as long as I/O may be held.
    fn look(&self, now: &Snapshot, spots: &[Spot]) {
        let (begun, copied) = (Instant::now(), copied(now));
        for (number, spot) in spots.iter().enumerate() {
            if number > 0 && begun.elapsed() >= HELD_FOR {
                break;
            }
            if outside(&[*spot], &copied).is_empty() {
                self.compare(*spot);
            } else {
                self.found.borrow_mut().uncopied.push(*spot);
            }
        }
    }

    fn compare(&self, spot: Spot) {
        let mut memory = self.memory.borrow_mut();
        let (Some((right, others)), Some((first, rest))) =
            (self.legs.split_first(), memory.split_first_mut())
        else {
            return;
        };
        let mut found = self.found.borrow_mut();
        found.looked.push(spot);
        if right.read_now(spot, first).is_err() {
            found.unreadable.push((spot, right.side.number));
            return;
        }
        for (leg, piece) in others.iter().zip(rest) {
            let number = leg.side.number;
            let read = leg.read_now(spot, piece).is_ok();
            let differs = differing(spot.start, first.bytes(), piece.bytes());
            if read && differs.is_empty() {
                continue;
            }
            if self.repairs && is_written(leg, spot, first.bytes(), piece) {
                found.repaired.push(spot);
            } else if read {
                found
                    .differs
                    .extend(differs.into_iter().map(|spot| (spot, number)));
            } else {
                found.unreadable.push((spot, number));
            }
        }
    }
}

/// Write the right bytes to a leg, and see whether they are there.
fn is_written(leg: &Leg, spot: Spot, bytes: &[u8], piece: &mut Piece) -> bool {
    let written = leg
        .write(spot, bytes)
        .and_then(|()| leg.read_now(spot, piece));
    if let Err(error) = &written {
        log::warn!("leg {}: {error}", leg.side.number);
    }
    written.is_ok() && piece.bytes() == bytes
}

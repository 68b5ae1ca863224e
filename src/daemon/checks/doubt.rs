//! What differs when it is read, since somebody writes, or cannot be read: it is read again a
//! few times, block by block where it has to be.

use std::time::{Duration, Instant};

use super::legs::{Piece, differing_of};
use super::run::{End, Go, because};
use super::walk::{PIECE, Walk};
use crate::engine::is_of_the_medium;
use crate::error::Error;
use crate::model::spots::{Spot, common, outside, sectors, union};
use crate::plan::comparable::Stretch;
use crate::plan::compare::cut;

/// How long to wait before each time that something is read again: a write to two disks is
/// on both of them after a while.
const AGAIN: [u64; 5] = [1, 5, 20, 50, 100];

/// How many doubts are kept, and for how long, until they are read again together.
const MOST_DOUBTS: usize = 128;
const DOUBTED_FOR: Duration = Duration::from_millis(500);

/// The same of what is looked at with I/O held.
const MOST_PENDING: usize = 128;
const PENDING_SECTORS: u64 = 1 << 11;
const PENDING_FOR: Duration = Duration::from_secs(1);

/// How long reads that fail may take together.
const FAILING_FOR: Duration = Duration::from_secs(60);

impl Walk<'_> {
    /// This differs, as it was read once.
    pub(super) fn doubt(&mut self, found: &[Spot]) {
        if !found.is_empty() {
            self.doubts = union(&self.doubts, found);
            self.doubted_since.get_or_insert_with(Instant::now);
        }
    }

    /// This is to be looked at with I/O held.
    pub(super) fn suspect(&mut self, found: &[Spot]) {
        if !found.is_empty() {
            self.pending = union(&self.pending, found);
            self.pending_since.get_or_insert_with(Instant::now);
        }
    }

    /// Look again at what is doubted, where there is much of it, or `now`.
    pub(super) fn hold_if_due(&mut self, now: bool) -> Go<()> {
        let is_old = |since: Option<Instant>, time| since.is_some_and(|at| at.elapsed() >= time);
        let many = self.doubts.len() >= MOST_DOUBTS;
        if now || many || is_old(self.doubted_since, DOUBTED_FOR) {
            self.read_again()?;
        }
        let much = sectors(&self.pending) >= PENDING_SECTORS || self.pending.len() >= MOST_PENDING;
        let due = much || is_old(self.pending_since, PENDING_FOR);
        if due || now && !self.pending.is_empty() {
            self.hold()?;
        }
        Ok(())
    }

    /// Read what is doubted again; what differs each time is to be looked at with I/O held.
    fn read_again(&mut self) -> Go<()> {
        let mut doubts = std::mem::take(&mut self.doubts);
        self.doubted_since = None;
        for wait in AGAIN {
            if doubts.is_empty() {
                return Ok(());
            }
            self.run.pause(Duration::from_millis(wait))?;
            doubts = self.still(&doubts)?;
        }
        self.suspect(&doubts);
        Ok(())
    }

    /// What of these spots differs when it is read once more. Of what is not copied any more
    /// nothing is said here.
    fn still(&mut self, spots: &[Spot]) -> Go<Vec<Spot>> {
        let (mut found, mut gone) = (Vec::new(), spots.to_vec());
        for stretch in self.stretches.clone() {
            let mine = common(spots, &[stretch.spot]);
            if mine.is_empty() {
                continue;
            }
            gone = outside(&gone, &mine);
            found = union(&found, &self.still_in(&stretch, &mine)?);
        }
        self.suspect(&gone);
        Ok(found)
    }

    fn still_in(&mut self, stretch: &Stretch, spots: &[Spot]) -> Go<Vec<Spot>> {
        self.open(stretch)?;
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        let legs = self.legs.iter().flat_map(|legs| &legs.legs);
        let mut pieces: Vec<Piece> = legs.clone().map(|_| Piece::default()).collect();
        for spot in spots.iter().flat_map(|spot| cut(*spot, PIECE, 0)) {
            let mut each = legs.clone().zip(&mut pieces);
            let read = each.try_for_each(|(leg, piece)| leg.read_now(spot, piece));
            match read {
                Ok(()) => found.extend(differing_of(spot.start, &pieces)),
                Err(_) => failed.push(spot),
            }
        }
        for spot in failed {
            self.blocks(spot)?;
        }
        Ok(union(&found, &[]))
    }

    /// Read block by block what cannot be read at once.
    pub(super) fn blocks(&mut self, spot: Spot) -> Go<()> {
        self.digest = None;
        self.forget(spot)?;
        let (mut differs, mut lost) = (Vec::new(), Vec::new());
        for block in self.blocks_of(spot) {
            match self.read_block(block)? {
                Ok(found) => differs = union(&differs, &found),
                Err(legs) => lost.extend(legs.into_iter().map(|leg| (block, leg))),
            }
        }
        self.check_answers(&lost)?;
        self.run.update(|check| {
            for (block, leg) in &lost {
                check.unreadable.add(*block, &[*leg]);
            }
        })?;
        if self.run.check()?.repairs.is_some() {
            let lost: Vec<Spot> = lost.into_iter().map(|(block, _)| block).collect();
            self.suspect(&union(&lost, &[]));
        }
        self.suspect(&differs);
        Ok(())
    }

    /// In what fails as one on the legs.
    fn blocks_of(&self, spot: Spot) -> Vec<Spot> {
        let legs = self.legs.iter().flat_map(|legs| &legs.legs);
        let largest = legs.max_by_key(|leg| leg.block());
        let (size, base) = largest.map_or((1, 0), |leg| (leg.block(), leg.side.base()));
        cut(spot, size, base).collect()
    }

    /// Where the legs differ in a block, or which ones it cannot be read from.
    fn read_block(&mut self, block: Spot) -> Go<Result<Vec<Spot>, Vec<usize>>> {
        let legs = self.legs.iter().flat_map(|legs| &legs.legs);
        let (mut pieces, mut lost) = (Vec::new(), Vec::new());
        for leg in legs {
            let (begun, mut piece) = (Instant::now(), Piece::default());
            match leg.read_now(block, &mut piece) {
                Ok(()) => pieces.push(piece),
                Err(error) => {
                    self.failing += begun.elapsed();
                    if !is_of_the_medium(&error) || self.failing >= FAILING_FOR {
                        return Err(failed(leg.side.number, &error));
                    }
                    lost.push(leg.side.number);
                }
            }
        }
        if !self.run.is_wanted() {
            return Err(End::NotWanted);
        }
        Ok(if lost.is_empty() {
            Ok(differing_of(block.start, &pieces))
        } else {
            Err(lost)
        })
    }

    /// A leg of which nothing can be read has no bad spots.
    fn check_answers(&self, lost: &[(Spot, usize)]) -> Go<()> {
        let legs = self.snapshot.legs.iter();
        let mut hurt = legs.filter(|leg| lost.iter().any(|(_, number)| *number == leg.number));
        let switcher = &self.run.checks.switcher;
        hurt.try_for_each(|leg| switcher.check_answers(leg))
            .map_err(because)
    }
}

fn failed(leg: usize, error: &Error) -> End {
    End::Because(format!("leg {leg}: {error}"))
}

//! Which regions of a mirror could not be copied, as near as can be told: the kernel says
//! that some could not, and not which.

use std::thread::sleep;
use std::time::Duration;

use super::act::{Switcher, changed};
use crate::daemon::admission::log_carry;
use crate::daemon::mirrors::query::Detail;
use crate::error::Result;
use crate::model::failure::{Hurt, hurt};
use crate::model::grounds::moved_on;
use crate::model::id::MirrorId;
use crate::model::snapshot::{Leg, Part, Snapshot};
use crate::model::spots::{Spot, union};
use crate::plan::front;
use crate::text::letter::Letter;

/// How many regions are read to find the one that failed: those around the place up to
/// which the copy has come.
const LOOKED_AT: usize = 16;

/// The same where none is read: those that are written to at this moment are among them.
const SET_ASIDE_UNREAD: usize = 64;

/// How often it is looked whether a region becomes clean, and how long after another.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

impl Switcher {
    /// The regions that could not be copied. What a target does not take is found by nobody
    /// but the kernel, since nobody else may write there.
    ///
    /// # Errors
    /// What reading the source answers where it is gone; EAGAIN where the mirror is no
    /// longer what it was.
    pub(super) fn failed_regions(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
    ) -> Result<Vec<Spot>> {
        if hurt(snapshot) == Hurt::Targets {
            return self.refused_regions(mirror_id, snapshot);
        }
        let Some(source) = snapshot.legs.first() else {
            return Ok(Vec::new());
        };
        let answers = self.check_answers(source);
        answers.inspect_err(|_| self.note_unresponsive(mirror_id, snapshot, source))?;
        self.failing_regions(mirror_id, snapshot, source)
    }

    /// The regions that a target did not take. A disk log does not call clean either what is
    /// written to, or copied, at this moment: that becomes so, and what could not be copied
    /// does not.
    fn refused_regions(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Result<Vec<Spot>> {
        let mut found = self.not_clean(snapshot)?;
        let mut missing = missing(snapshot);
        let looks = if has_bits(snapshot) { LOOKS } else { 0 };
        for _ in 0..looks {
            sleep(BETWEEN_LOOKS);
            let now = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
            if let Some(what) = moved_on(snapshot, &now) {
                return Err(changed(&now, what));
            }
            let later = self.not_clean(&now)?;
            found.retain(|region| later.contains(region));
            let before = std::mem::replace(&mut missing, self::missing(&now));
            if missing == before && found.len() as u64 <= missing {
                break;
            }
        }
        Ok(union(&found, &[]))
    }

    fn not_clean(&self, snapshot: &Snapshot) -> Result<Vec<Spot>> {
        let found = refusing(snapshot).map(|part| self.suspects(part, SET_ASIDE_UNREAD));
        let found: Vec<Vec<Spot>> = found.collect::<Result<_>>()?;
        Ok(found.concat())
    }

    /// The regions that cannot be read, of those that are not in sync around the place up
    /// to which the copy has come. Where a read takes very long none is read again now:
    /// meanwhile others' would fail.
    fn failing_regions(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        leg: &Leg,
    ) -> Result<Vec<Spot>> {
        let mut source = self.source(leg)?;
        let slow_life = self.registry.get(mirror_id)?.slow.life;
        let slow = slow_life.is_some() && slow_life == snapshot.life;
        let hurt = |part: &&Part| has_error(part.legs.first()) && !part.is_in_sync();
        let mut found = Vec::new();
        for part in snapshot.parts.iter().filter(hurt) {
            let most = if slow { SET_ASIDE_UNREAD } else { LOOKED_AT };
            for region in self.suspects(part, most)? {
                if slow || source.has_bad(region)? {
                    found.push(region);
                }
            }
        }
        Ok(union(&found, &[]))
    }

    fn suspects(&self, part: &Part, most: usize) -> Result<Vec<Spot>> {
        let Some(mirror) = part.mirror.as_ref() else {
            return Ok(Vec::new());
        };
        let bits = log_carry::bits_of(self.devices.as_ref(), part, mirror)?;
        Ok(front::suspects(part, bits.as_deref(), most))
    }
}

/// The parts of which something is not copied, and a leg has an error.
fn refusing(snapshot: &Snapshot) -> impl Iterator<Item = &Part> {
    let parts = snapshot.parts.iter().filter(|part| !part.is_in_sync());
    parts.filter(|part| has_error(&part.legs))
}

/// How many regions of them are not copied.
fn missing(snapshot: &Snapshot) -> u64 {
    let statuses = refusing(snapshot).filter_map(|part| part.status.as_ref());
    let missing = statuses.map(|status| status.total.saturating_sub(status.in_sync));
    missing.sum()
}

/// Whether a disk log of theirs tells which.
fn has_bits(snapshot: &Snapshot) -> bool {
    let mut mirrors = refusing(snapshot).filter_map(|part| part.mirror.as_ref());
    mirrors.any(|mirror| mirror.log_device().is_some())
}

fn has_error<'a>(legs: impl IntoIterator<Item = &'a Leg>) -> bool {
    let mut legs = legs.into_iter();
    legs.any(|leg| leg.letter != Letter::Alive)
}

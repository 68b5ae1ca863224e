//! What a copy lacks, and why nothing can be cut over to it.

use crate::error::{Error, Result};
use crate::model::check::Phase;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::model::spots::{Spot, outside, sectors};
use crate::text::letter::Letter;
use crate::text::status::MirrorStatus;
use crate::text::table::Line;
use crate::text::units::amount;

/// Sectors around bad spots that may be copied while nobody can read them.
const MOST_LEFT: u64 = 1 << 21;

/// Check that every mirror target is in sync and has no error.
///
/// # Errors
/// EBUSY with what is missing.
pub fn check_in_sync(status: &[Line]) -> Result<()> {
    let mirrors = status.iter().filter(|line| line.kind == "mirror");
    for line in mirrors {
        let status = MirrorStatus::parse(&line.params)?;
        if status.in_sync != status.total {
            return Err(Error::busy(format!(
                "not in sync: {} of {} regions are; `cat follow` waits for the rest",
                status.in_sync, status.total
            )));
        }
        if let Some(leg) = status
            .health
            .iter()
            .position(|letter| *letter != Letter::Alive)
        {
            let letter = status.health.get(leg).copied().unwrap_or(Letter::Unknown);
            return Err(Error::busy(format!("leg {leg} has an error ({letter})")));
        }
    }
    Ok(())
}

/// Check that a whole check of these legs has found nothing, and that they are since then
/// what they were.
///
/// # Errors
/// EBUSY with what is missing.
pub fn check_compared(snapshot: &Snapshot) -> Result<()> {
    let Some(check) = snapshot.check() else {
        let sentence = "not checked: its legs were never compared; `check` does it";
        return Err(Error::busy(sentence));
    };
    if !check.is_clean() {
        let line = check.line(snapshot.known.check_pace);
        let next = if check.phase == Phase::Running {
            "`cat check` says when it is done"
        } else if check.finds_something() {
            "`repair` copies what differs, then `check` again"
        } else {
            "`check` compares all again"
        };
        return Err(Error::busy(format!("not checked: {line}; {next}")));
    }
    if snapshot.life.is_none() || snapshot.known.checked_life != snapshot.life {
        let line = check.summary();
        return Err(Error::busy(format!(
            "not checked under this table: {line}; `check` compares all again"
        )));
    }
    Ok(())
}

/// Check that all of the source could be read, and is under a mirror target.
///
/// # Errors
/// EBUSY with how much is not, and where it begins.
pub(super) fn check_nothing_bad(snapshot: &Snapshot, lossy: bool) -> Result<()> {
    let bytes = |spots: &[Spot]| amount(sectors(spots).saturating_mul(SECTOR));
    let at = |spots: &[Spot]| {
        let first = spots.first().map_or(0, |spot| spot.start);
        first.saturating_mul(SECTOR)
    };
    let (bad, uncopied, aside) = (&snapshot.bad, snapshot.uncopied(), snapshot.aside());
    let uncopied = if lossy {
        outside(&uncopied, &aside)
    } else {
        uncopied
    };
    if lossy && sectors(&aside) > MOST_LEFT {
        return Err(Error::busy(format!(
            "{} around what could not be copied are on leg 0 alone: `retry` tries again; if there are too many spots, copy the disk with ddrescue while it is not in use",
            bytes(&aside)
        )));
    }
    if !lossy && !bad.is_empty() {
        return Err(Error::busy(format!(
            "{} of the source in {} spots could not be read, the first at 0x{:X}: `map` has them all. `retry` tries again, `finish lossy` leaves zeros there",
            bytes(bad),
            bad.len(),
            at(bad)
        )));
    }
    let ahead = snapshot.ahead();
    let uncopied = outside(&uncopied, &ahead);
    if !ahead.is_empty() {
        let how = if snapshot.is_paused() {
            "sync/limit is 0, `echo none > sync/limit` goes on"
        } else {
            "`cat follow` waits for them"
        };
        return Err(Error::busy(format!(
            "not in sync: {} from 0x{:X} on are not copied yet; {how}",
            bytes(&ahead),
            at(&ahead)
        )));
    }
    if !uncopied.is_empty() {
        return Err(Error::busy(format!(
            "not in sync: {} from 0x{:X} on are on leg 0 alone; `retry` copies them",
            bytes(&uncopied),
            at(&uncopied)
        )));
    }
    Ok(())
}

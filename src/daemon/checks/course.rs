//! The course of a check, from waiting for its turn to its end.

use std::time::{Duration, Instant};

use super::run::{End, Go, Run};
use super::state::LOOK;
use super::walk::Walk;
use crate::model::check::{Check, Phase};
use crate::model::spots::{Spot, common, union};

/// How long what is being copied is waited for at the end.
const COPIED_WITHIN: Duration = Duration::from_secs(10);

/// Go through a mirror, and say how it ended.
pub(super) fn go(run: &Run) {
    run.note_wait(Some("waiting"));
    if !run.checks.take_turn(&|| run.is_wanted()) {
        return;
    }
    run.note_wait(None);
    let done = compare(run);
    run.checks.leave();
    match done {
        Ok(digest) => run.end(|check| {
            let half = check.places_only && check.why.is_some();
            check.phase = if half { Phase::Stopped } else { Phase::Done };
            check.digest = digest;
        }),
        Err(End::NotWanted) => {}
        Err(End::Because(why)) => run.end(|check| {
            check.phase = Phase::Stopped;
            check.why = Some(why);
        }),
    }
}

/// Compare all that is left; answers the digest of it, where that can be said.
fn compare(run: &Run) -> Go<Option<String>> {
    let check = run.check()?;
    let mut walk = Walk::new(run)?;
    if check.places_only {
        walk.repair(&found(&check))?;
        return Ok(None);
    }
    walk.begin_digest(check.at)?;
    // It may grow meanwhile.
    while let Some(left) = Spot::between(run.check()?.at, walk.length()) {
        walk.compare_all(&[left])?;
        run.update(|check| check.at = left.end())?;
        again(run, &mut walk)?;
    }
    mend_again(run, &mut walk)?;
    walk.end_digest()
}

/// Repair what was found before that was asked for, then compare all that was repaired.
fn mend_again(run: &Run, walk: &mut Walk<'_>) -> Go<()> {
    let check = run.check()?;
    if check.repairs.is_some() {
        walk.repair(&found(&check))?;
    }
    let repaired = std::mem::take(&mut walk.repaired);
    walk.compare_all(&repaired)
}

fn found(check: &Check) -> Vec<Spot> {
    union(&check.differs.spots(), &check.unreadable.spots())
}

/// Compare what was left out and is copied by now. A region that somebody writes to at the
/// moment looks as if it were not.
fn again(run: &Run, walk: &mut Walk<'_>) -> Go<()> {
    let begun = Instant::now();
    loop {
        let left = run.check()?.left_out.spots();
        walk.look()?;
        let ready = walk.comparable(&left);
        walk.compare_all(&ready)?;
        let done = common(&left, &ready) == left;
        if done || !walk.is_copying() || begun.elapsed() >= COPIED_WITHIN {
            return Ok(());
        }
        run.pause(LOOK)?;
    }
}

//! What a plan stands on: the table, its life, and what was known of the legs. Looked
//! at once more while no I/O can be under way, it must be as it was when the plan was
//! made, or the plan is for another mirror.

use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::text::letter::Letter;
use crate::text::table::Line;

/// Whether a mirror is another one than it was, whatever a plan stands on: the words of
/// how, as a sentence ends.
pub fn moved_on(before: &Snapshot, now: &Snapshot) -> Option<&'static str> {
    if before.lines != now.lines {
        Some("it has another table")
    } else if before.life != now.life {
        Some("its table was loaded again")
    } else if before.info.suspended != now.info.suspended {
        Some("it was suspended or resumed")
    } else {
        None
    }
}

/// What a plan stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    lines: Arc<[Line]>,
    life: Option<u64>,
    was_in_sync: bool,
    letters: Vec<(Letter, bool)>,
    logs: Vec<Letter>,
}

impl Grounds {
    /// The grounds of a plan that is made from this snapshot.
    pub fn of(snapshot: &Snapshot) -> Grounds {
        let legs = snapshot.legs.iter();
        Grounds {
            lines: snapshot.lines.clone(),
            life: snapshot.life,
            was_in_sync: snapshot.was_in_sync,
            letters: legs.map(|leg| (leg.letter, leg.unresponsive)).collect(),
            logs: snapshot.logs.iter().map(|log| log.letter).collect(),
        }
    }

    /// What differs, as a sentence ends; none where all is as it was.
    pub fn differ(&self, now: &Grounds) -> Option<&'static str> {
        if self.lines != now.lines {
            Some("it has another table")
        } else if self.life != now.life {
            Some("its table was loaded again")
        } else if self.letters != now.letters {
            Some("a leg has failed")
        } else if self.logs != now.logs {
            Some("its log has failed")
        } else if self.was_in_sync != now.was_in_sync {
            Some("it came in sync, or is so no more")
        } else {
            None
        }
    }
}

//! What is remembered of a copy that goes on by steps.

use std::time::Instant;

use crate::plan::allowance::Allowance;

/// The front of a mirror's copy.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// How much may be copied.
    pub(crate) allowance: Allowance,
    /// When it may be due to move.
    pub(crate) next: Option<Instant>,
    /// Whether somebody moves it.
    pub(crate) moving: bool,
    /// The life of the table in which it could not go back.
    pub(crate) unmoved: Option<u64>,
    /// Why it could not move when that was last tried; empty where it could.
    pub(crate) reason: String,
}

impl Front {
    /// What `health` warns of.
    pub(super) fn note(&self) -> Option<String> {
        let reason = Some(&self.reason).filter(|reason| !reason.is_empty());
        reason.map(|reason| format!("the copy does not go on: {reason}"))
    }

    /// Whether it is not to be tried again yet.
    pub(crate) fn waits(&self) -> bool {
        !self.reason.is_empty() && self.next.is_some_and(|next| next > Instant::now())
    }
}

//! What a record says of what was begun with its mirror, and who waits for it.

use std::sync::mpsc::Sender;

use crate::daemon::records::record::{Record, Unfinished};
use crate::error::Error;
use crate::model::settings::SettingsEdit;

/// A record that somebody is about to write.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) begun: Begun,
    /// Who waits for it.
    pub(super) waiting: Vec<Sender<()>>,
}

/// What a record says of what was begun with its mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It has come to its end.
    Ended,
    /// What a verb has begun stays begun when somebody else writes the record.
    Still,
    /// This is.
    Is(Unfinished),
}

impl Begun {
    /// The same for the record; `undo` takes its settings back to those of the table that
    /// is switched from.
    pub(super) fn of(
        self,
        before: Option<&Record>,
        undo: Option<Box<SettingsEdit>>,
    ) -> Option<Unfinished> {
        match self {
            Begun::Ended => None,
            Begun::Still => before?.unfinished.clone(),
            Begun::Is(unfinished) => Some(Unfinished { undo, ..unfinished }),
        }
    }
}

pub(super) fn not_kept(error: Error) -> Error {
    error.context("done, but the record was not saved: lost at the next mount")
}

//! Changing what a mirror is made of while it is in use: the table of a verb's plan is
//! admitted, switched to, and told of.

use std::path::PathBuf;

use super::act::Switcher;
use super::switching::{FRONT, Switching};
use crate::daemon::admission::admit::Admitted;
use crate::daemon::events::kind::Kind;
use crate::daemon::records::record::{Stage, Unfinished};
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::change::Change;
use crate::plan::pace::begin;
use crate::plan::steps;

/// A mirror that becomes another one.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// The table, and what has to be so.
    pub change: Change,
    /// What of its settings changes.
    pub edit: SettingsEdit,
    /// The events that tell of it.
    pub announcements: Vec<(Kind, String)>,
    /// What it is called where the daemon does it by itself.
    pub own: Option<&'static str>,
}

/// What is left to do once a mirror has switched: nobody's writes wait for it.
#[must_use]
pub(crate) struct Aftermath {
    mirror_id: MirrorId,
    before: Snapshot,
    logs: Vec<PathBuf>,
    begun: Unfinished,
}

impl Aftermath {
    /// The mirror as it was.
    pub(crate) fn before(&self) -> &Snapshot {
        &self.before
    }
}

impl Turn {
    /// The same with what is ahead of the copy then. Where all is copied again and there is
    /// a limit for that, it begins with some of it.
    fn limited(&self, snapshot: &Snapshot) -> Turn {
        let mut turn = self.clone();
        let fresh = self.edit.fresh.as_ref().unwrap_or(&snapshot.known.settings);
        let begun = begin(&self.change.table, fresh.limit).filter(|_| self.change.afresh);
        if let Some((table, ahead)) = begun {
            turn.change.table = table;
            turn.edit.ahead = Some(ahead);
        }
        if !turn.change.table.has_mirror() {
            turn.edit.ahead = Some(Vec::new());
        }
        turn
    }
}

impl Switcher {
    /// Switch to a table whose devices were admitted; what was made for it goes
    /// again where that fails.
    ///
    /// # Errors
    /// As those of [`Switcher::change`].
    pub(crate) fn change_to(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        mut turn: Turn,
        admitted: Admitted<'_>,
    ) -> Result<()> {
        turn.change.table.clone_from(&admitted.table);
        let changed = self.change(mirror_id, snapshot, &turn, admitted.made());
        if changed.is_err() {
            admitted.undo();
        }
        changed.map(|aftermath| self.settle(aftermath))
    }

    /// Record what was switched to, and let go of what is used no more.
    pub(crate) fn settle(&self, aftermath: Aftermath) {
        let Aftermath {
            mirror_id,
            before,
            logs,
            begun,
        } = aftermath;
        self.journal.keep_new_table(mirror_id, logs, begun);
        self.journal.release.since(&before);
    }

    /// Switch to another table; `made` are log files that were made for it.
    ///
    /// # Errors
    /// The failed step's; the old table then goes on.
    pub(crate) fn change(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        turn: &Turn,
        made: &[PathBuf],
    ) -> Result<Aftermath> {
        let turn = &turn.limited(snapshot);
        let change = &turn.change;
        let name = &snapshot.info.name;
        let logs = self.journal.own_logs(mirror_id, snapshot);
        let begun = Unfinished {
            stage: Stage::Reloading,
            files: [made, logs.as_slice()].concat(),
            // What a crash leaves of logs that are taken over may be of before.
            afresh: change.afresh || change.carry,
            undo: None,
        };
        let switch = Switching {
            snapshot,
            steps: steps::change(snapshot, change),
            edit: SettingsEdit {
                temporary_nosync: Some(steps::has_nosync(&change.table)),
                ..turn.edit.clone()
            },
            begun: begun.clone(),
            equal: change.equal,
            own: turn.own,
        };
        if let Err(error) = self.switch_to(mirror_id, &switch) {
            self.journal.keep_changed(mirror_id);
            return Err(error);
        }
        self.journal.note_made(mirror_id, made);
        // Of a long copy these are very many.
        if turn.own != FRONT {
            let table = change.table.joined();
            self.events.add(name, Kind::Reloaded, &table);
        }
        // At once: what comes now may wait for a disk.
        turn.announcements
            .iter()
            .for_each(|(kind, text)| self.events.add(name, *kind, text));
        Ok(Aftermath {
            mirror_id,
            before: snapshot.clone(),
            logs,
            begun,
        })
    }
}

//! The table in which some of a mirror is on leg 0 alone: admitted with a log for each
//! segment that is new, and switched to.

use super::act::Switcher;
use super::change::{Aftermath, Turn};
use crate::daemon::admission::admit::Admitted;
use crate::daemon::admission::demand::Care;
use crate::daemon::admission::reload::Successor;
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::managed_logs::{Making, new_uuid};
use crate::engine::home::Lying;
use crate::error::{Error, Result};
use crate::model::failure::{Hurt, hurt};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::model::spots::Spot;
use crate::plan::change::Change;
use crate::plan::{carry, segments};
use crate::text::device::DeviceRef;

/// What of a mirror is to be on leg 0 alone, and what goes with that.
pub(super) struct Layout<'a> {
    /// The ranges.
    pub gaps: &'a [Spot],
    /// What of its settings changes.
    pub edit: SettingsEdit,
    /// The events that tell of it.
    pub announcements: Vec<(Kind, String)>,
    /// What it is called.
    pub own: Option<&'static str>,
}

impl<'a> Layout<'a> {
    /// One that no event of its own tells of.
    pub(super) fn new(
        gaps: &'a [Spot],
        edit: SettingsEdit,
        own: Option<&'static str>,
    ) -> Layout<'a> {
        let announcements = Vec::new();
        Layout {
            gaps,
            edit,
            announcements,
            own,
        }
    }
}

impl Switcher {
    /// Switch to the table in which these ranges are on leg 0 alone.
    pub(super) fn lay_out(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        layout: Layout<'_>,
    ) -> Result<Aftermath> {
        let Layout {
            gaps,
            edit,
            announcements,
            own,
        } = layout;
        if snapshot.info.suspended {
            let name = &snapshot.info.name;
            return Err(Error::busy(format!(
                "{name} is suspended: write `resume` first"
            )));
        }
        let making = self.journal.managed.making();
        let on_file = self.may_have_log_file(snapshot);
        let making = Some(&making).filter(|_| on_file);
        let admitted = match self.admit_segments(snapshot, gaps, making) {
            // A full disk must not keep anybody from reading what is good.
            Err(error) if on_file && reads_fail(snapshot) => {
                log::warn!("{error}: the logs of {} are in memory", snapshot.info.name);
                self.admit_segments(snapshot, gaps, None)?
            }
            admitted => admitted?,
        };
        let change = Change {
            table: admitted.table.clone(),
            carry: !carry::begun(&snapshot.table, &admitted.table).is_empty(),
            ..Change::default()
        };
        // What is in memory is apart from what is not copied, until that is as well.
        let segments = change.table.mirrors().count();
        let turn = Turn {
            change,
            edit: SettingsEdit {
                apart: Some(segments > gaps.len() + 1),
                ..edit
            },
            announcements,
            own,
        };
        let changed = self.change(mirror_id, snapshot, &turn, admitted.made());
        if changed.is_err() {
            admitted.undo();
        }
        changed
    }

    /// The table in which these ranges are on leg 0 alone, each new log a file that is made
    /// for it, or in memory.
    fn admit_segments(
        &self,
        snapshot: &Snapshot,
        gaps: &[Spot],
        making: Option<&Making<'_>>,
    ) -> Result<Admitted<'_>> {
        let (stem, mut number) = (new_uuid()?, 0);
        let mut log = || {
            number += 1;
            let place = |making: &Making<'_>| making.place(&stem, number - 1);
            Ok(making.map(place).transpose()?.map(DeviceRef::Path))
        };
        let length = snapshot.table.length();
        let table = segments::table(snapshot, gaps, length, &mut log)?;
        let successor = Successor {
            table: &table,
            care: Care::Logs,
            force: false,
            grows: true,
        };
        self.admission.admit_successor(snapshot, &successor)
    }

    /// A log that lies on the device itself would wait for itself.
    fn may_have_log_file(&self, snapshot: &Snapshot) -> bool {
        let folder = DeviceRef::Path(self.journal.managed.folder().into());
        self.admission.lies_on(&folder, &snapshot.info) == Lying::Elsewhere
    }
}

/// Whether reads fail until the mirror has another table.
fn reads_fail(snapshot: &Snapshot) -> bool {
    hurt(snapshot) == Hurt::Source
}

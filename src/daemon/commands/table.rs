//! Another table for a mirror, as somebody has written it.

use super::rooms::Rooms;
use crate::daemon::admission::demand::Care;
use crate::daemon::admission::own::Own;
use crate::daemon::admission::permission::{Caller, check_kinds};
use crate::daemon::admission::reload::Successor;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Stage, Unfinished};
use crate::daemon::switch::switching::Switching;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::afresh::misleads;
use crate::plan::steps;
use crate::text::device::DeviceRef;
use crate::text::request::{parse_tables, take_force};
use crate::text::table::Table;

/// Loads tables that were written.
pub struct Tables {
    below: Rooms,
}

impl Tables {
    /// That of a daemon.
    pub fn new(below: &Rooms) -> Tables {
        Tables {
            below: below.clone(),
        }
    }

    /// Load the table of a line and switch to it.
    ///
    /// # Errors
    /// As those of `new`; the old table then goes on.
    pub fn reload(&self, caller: &Caller, mirror_id: MirrorId, line: &str) -> Result<()> {
        let result = self.switch(caller, mirror_id, line);
        self.below.ended(mirror_id, result)
    }

    fn switch(&self, caller: &Caller, mirror_id: MirrorId, line: &str) -> Result<()> {
        let (text, force) = take_force(line);
        let table = parse_tables(text)?;
        let _begun = self.below.registry.begin(mirror_id, "table")?;
        self.below.check_started(mirror_id)?;
        let mut legs = None;
        self.below.switcher.planned(|| {
            let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Devices)?;
            let now = devices_of(&snapshot);
            if legs.get_or_insert_with(|| now.clone()) != &now {
                let name = &snapshot.info.name;
                return Err(Error::busy(format!(
                    "{name} has other legs than when this was written: look at `table` and write it again"
                )));
            }
            self.switch_now(caller, (mirror_id, &snapshot), table.clone(), force)
        })
    }

    fn switch_now(
        &self,
        caller: &Caller,
        (mirror_id, snapshot): (MirrorId, &Snapshot),
        mut table: Table,
        force: bool,
    ) -> Result<()> {
        let text = table.joined() + if force { " force=yes" } else { "" };
        steps::check_owner(snapshot)?;
        let held = self.below.engine.deps(&snapshot.info.id(), Slot::Live)?;
        let own = Own::of(self.below.devices.as_ref(), &snapshot.table, held);
        check_kinds(caller, &table)?;
        self.below.admission.check_table(caller, &mut table, &own)?;
        let logs = self.below.journal.own_logs(mirror_id, snapshot);
        let files = [self.below.journal.files_to_make(&table)?, logs.clone()].concat();
        let mut begun = Unfinished::of(Stage::Reloading, files);
        self.below.journal.keep_begun(mirror_id, begun.clone())?;
        let admitted = self.below.admission.admit_successor(
            snapshot,
            &Successor {
                table: &table,
                care: Care::Logs,
                force,
                grows: false,
            },
        );
        let switched = admitted.and_then(|admitted| {
            begun.afresh = misleads(&snapshot.table, &admitted.table);
            let switch = Switching {
                snapshot,
                steps: steps::reload(snapshot, admitted.table.clone(), begun.afresh),
                // Whoever writes a table says which legs are good.
                edit: SettingsEdit {
                    dropped: Some(Vec::new()),
                    temporary_nosync: Some(false),
                    bad: Some(Vec::new()),
                    aside: Some(Vec::new()),
                    ahead: Some(Vec::new()),
                    apart: Some(false),
                    ..SettingsEdit::default()
                },
                begun: begun.clone(),
                equal: false,
                own: None,
            };
            let done = self.below.switcher.switch_to(mirror_id, &switch);
            if done.is_ok() {
                self.below.journal.note_made(mirror_id, admitted.made())
            } else {
                admitted.undo()
            }
            done
        });
        let name = &snapshot.info.name;
        if let Err(error) = switched {
            self.below.journal.keep_changed(mirror_id);
            return Err(error);
        }
        self.below.events.add(name, Kind::Reloaded, &text);
        self.below.journal.keep_new_table(mirror_id, logs, begun);
        self.below.journal.release.since(snapshot);
        Ok(())
    }
}

fn devices_of(snapshot: &Snapshot) -> Vec<DeviceRef> {
    let mut table = Table::clone(&snapshot.table);
    table.devices().map(|device| device.clone()).collect()
}

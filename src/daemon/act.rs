//! Acting on a mirror, so that none is left suspended: what a failed step leaves so
//! is freed by the watch.

use std::cell::Cell;
use std::sync::Arc;

use super::Daemon;
use super::events::Kind;
use super::look::Detail;
use crate::engine::{Info, Slot};
use crate::error::Result;
use crate::model::snapshot::{Part, Snapshot};
use crate::plan::execute::{execute_noting, resume_live};
use crate::plan::step::Step;

impl Daemon {
    /// Do steps on a mirror. The watch frees one that they leave suspended.
    ///
    /// # Errors
    /// The failed step's.
    pub(super) fn act(&self, serial: u64, snapshot: &Snapshot, steps: &[Step]) -> Result<()> {
        self.act_noting(serial, snapshot, steps, &|_| Ok(()))
    }

    pub(super) fn act_noting(
        &self,
        serial: u64,
        snapshot: &Snapshot,
        steps: &[Step],
        note: &dyn Fn(&Step) -> Result<()>,
    ) -> Result<()> {
        let id = snapshot.info.id();
        // Whether a resume may have switched to a table with the text of the old one.
        let another = |step: &Step| match step {
            Step::Load { table, .. } => table.to_lines() != snapshot.lines,
            _ => false,
        };
        let another = steps.iter().any(another);
        let switched = Cell::new(false);
        let noting = |step: &Step| {
            note(step)?;
            if matches!(step, Step::Resume) {
                let loaded = self.engine.info(&id).map_or(true, |info| info.inactive);
                switched.set(loaded && !another);
            }
            Ok(())
        };
        let done = execute_noting(self.engine.as_ref(), &id, steps, &noting);
        let held = || self.engine.info(&id).is_ok_and(|info| info.suspended);
        if done.is_err() && !snapshot.info.suspended && held() {
            self.registry
                .update(serial, |entry| entry.left_suspended = true);
        } else if !switched.get() {
            self.carry_over(serial, snapshot);
        }
        done
    }

    /// A resume of the very table that was live begins a new life of it, in which the
    /// legs may have what they had. Only of a resume of our own that is known: what
    /// another program resumed may have been loaded anew.
    fn carry_over(&self, serial: u64, before: &Snapshot) {
        if !before.parts.iter().all(Part::keeps_whole) {
            return;
        }
        let dev = before.info.dev;
        let live = self.engine.table(&before.info.id(), Slot::Live);
        let same = live.is_ok_and(|(_, lines)| lines == before.lines);
        let (Some(then), Ok(now)) = (before.life, self.engine.life(dev)) else {
            return;
        };
        if same && now == then + 1 {
            self.registry.update(serial, |entry| {
                if entry.whole_in == Some(then) {
                    entry.whole_in = Some(now);
                }
            });
        }
    }

    /// Free a mirror that a failed step has left suspended, on its old table.
    pub(super) fn free(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, "resume")?;
        let snapshot = self.snapshot(serial, Detail::Kernel)?;
        let info = &snapshot.info;
        if info.suspended {
            self.back_to_old_table(info)?;
            self.carry_over(serial, &snapshot);
            let text = "it was left suspended by what failed";
            self.events.add(&info.name, Kind::Resumed, text);
        }
        self.registry
            .update(serial, |entry| entry.left_suspended = false);
        Ok(())
    }

    /// Resume a suspended device on its old table: whether the new one is good,
    /// nobody knows.
    ///
    /// # Errors
    /// What device-mapper answers.
    pub(super) fn back_to_old_table(&self, info: &Info) -> Result<()> {
        let id = info.id();
        if info.inactive {
            self.engine.clear(&id)?;
        }
        resume_live(self.engine.as_ref(), &id)
    }
}

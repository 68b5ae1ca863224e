//! Acting on a mirror, so that none is left suspended: what a failed step leaves so
//! is freed by the watch.

use std::sync::Arc;

use super::Daemon;
use super::events::Kind;
use crate::engine::Info;
use crate::error::Result;
use crate::model::snapshot::Snapshot;
use crate::plan::execute::execute_noting;
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
        let done = execute_noting(self.engine.as_ref(), &id, steps, note);
        let held = || self.engine.info(&id).is_ok_and(|info| info.suspended);
        if done.is_err() && !snapshot.info.suspended && held() {
            self.registry
                .update(serial, |entry| entry.left_suspended = true);
        }
        done
    }

    /// Free a mirror that a failed step has left suspended, on its old table.
    pub(super) fn free(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, "resume")?;
        let (id, _) = self.registry.address(serial)?;
        let info = self.engine.info(&id)?;
        if info.suspended {
            self.back_to_old_table(&info)?;
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
        self.engine.resume(&id)
    }
}

//! Trying again what failed: the same table once more, best leg first and without a
//! sync word, which lets the kernel forget its errors and what was held go on.

use std::sync::Arc;

use super::Daemon;
use super::entry::Edit;
use super::events::Kind;
use super::look::Detail;
use super::record::{Stage, Unfinished};
use super::switch::Switching;
use crate::error::Result;
use crate::model::failure::{Hurt, Verdict, hurt, judge};
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::step::Step;

impl Daemon {
    /// Do the verb `retry`.
    ///
    /// # Errors
    /// EIO where the source still cannot be read: what waits would fail.
    pub(super) fn retry(self: &Arc<Self>, serial: u64, snapshot: &Snapshot) -> Result<()> {
        let steps = build::retry(snapshot)?;
        let sources = snapshot.legs.iter().filter(|leg| leg.source);
        for leg in sources.filter(|leg| leg.letter != 'A') {
            self.check_answers(leg)?;
        }
        self.act_again(serial, snapshot, steps, Edit::default())?;
        self.forget_errors(serial);
        let text = "what failed is tried again, by request";
        self.events.add(&snapshot.info.name, Kind::Retried, text);
        Ok(())
    }

    /// Let writes go that were held by what works again.
    pub(super) fn requeue(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, "retry")?;
        self.planned(|| {
            let snapshot = self.snapshot(serial, Detail::Kernel)?;
            let steps = build::retry(&snapshot)?;
            self.act_again(serial, &snapshot, steps, Edit::default())
        })
    }

    /// Do the steps of a retry. The record says so first: a mirror that a killed
    /// daemon leaves suspended could else not be told from one that is to be so.
    fn act_again(
        self: &Arc<Self>,
        serial: u64,
        snapshot: &Snapshot,
        steps: Vec<Step>,
        edit: Edit,
    ) -> Result<()> {
        let switch = Switching {
            snapshot,
            steps,
            edit,
            begun: Unfinished::of(Stage::Reloading, Vec::new()),
            equal: false,
        };
        let done = self.switch_to(serial, &switch);
        self.keep_changed(&snapshot.info.name, serial);
        done
    }

    /// The kernel has forgotten them with the table.
    fn forget_errors(&self, serial: u64) {
        self.registry.update(serial, |entry| {
            (entry.stuck, entry.silent) = Default::default();
        });
    }

    /// Let writes go that are held because of a target's errors. It stays: errors
    /// of a copy take no leg out.
    pub(super) fn release(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, "retry")?;
        self.planned(|| {
            let snapshot = self.snapshot(serial, Detail::Kernel)?;
            if hurt(&snapshot) != Hurt::Targets || judge(&snapshot) != Verdict::Healthy {
                return Ok(());
            }
            let steps = build::retry(&snapshot)?;
            self.act_again(serial, &snapshot, steps, Edit::default())?;
            self.forget_errors(serial);
            let text = "writes were held because a target has errors: they go on";
            self.events.add(&snapshot.info.name, Kind::Retried, text);
            Ok(())
        })
    }

    /// Take the sync word out, which would be believed at each resume.
    pub(super) fn lose_word(self: &Arc<Self>, serial: u64) -> Result<()> {
        let _begun = self.registry.begin_own(serial, "table")?;
        self.planned(|| {
            let snapshot = self.snapshot(serial, Detail::Kernel)?;
            if !build::has_word_to_lose(&snapshot) || judge(&snapshot) != Verdict::Healthy {
                return Ok(());
            }
            let edit = Edit {
                forged: Some(false),
                ..Edit::default()
            };
            self.act_again(serial, &snapshot, build::retry(&snapshot)?, edit)
        })
    }
}

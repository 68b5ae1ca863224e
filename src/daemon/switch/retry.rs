//! Trying again what failed: the same table once more, best leg first and without a
//! sync word, which lets the kernel forget its errors and what was held go on.

use super::act::Switcher;
use super::switching::Switching;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Stage, Unfinished};
use crate::error::Result;
use crate::model::failure::{Hurt, Verdict, assess, hurt};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;
use crate::plan::step::Step;
use crate::plan::steps;
use crate::text::letter::Letter;

/// What `health` calls it where the daemon does it by itself.
const RETRY: Option<&str> = Some("retry");

impl Switcher {
    /// Do the verb `retry`.
    ///
    /// # Errors
    /// EIO where the source still cannot be read: what waits would fail.
    pub(crate) fn retry(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Result<()> {
        let steps = steps::retry(snapshot)?;
        let sources = snapshot.legs.iter().filter(|leg| leg.source);
        for leg in sources.filter(|leg| leg.letter != Letter::Alive) {
            self.check_answers(leg)?;
        }
        if !self.retry_gaps(mirror_id, snapshot)? {
            self.act_again(mirror_id, snapshot, steps, SettingsEdit::default(), None)?;
        }
        self.forget_errors(mirror_id);
        let text = "retrying what failed, by request";
        self.events.add(&snapshot.info.name, Kind::Retried, text);
        Ok(())
    }

    /// Try what is on leg 0 alone, and mirror what of it can be read; whether that was a
    /// switch to another table, which forgets errors too.
    fn retry_gaps(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Result<bool> {
        if snapshot.on_leg_0().is_empty() {
            return Ok(false);
        }
        let aftermath = self.narrow(mirror_id, true)?;
        let switched = aftermath.is_some();
        aftermath
            .into_iter()
            .for_each(|aftermath| self.settle(aftermath));
        Ok(switched)
    }

    /// Let writes go that were held by what works again.
    pub(crate) fn requeue(&self, mirror_id: MirrorId) -> Result<()> {
        self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
            let steps = steps::retry(&snapshot)?;
            self.act_again(mirror_id, &snapshot, steps, SettingsEdit::default(), RETRY)
        })
    }

    /// Do the steps of a retry. The record says so first: a mirror that a killed
    /// daemon leaves suspended could else not be told from one that is to be so.
    fn act_again(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        steps: Vec<Step>,
        edit: SettingsEdit,
        own: Option<&'static str>,
    ) -> Result<()> {
        let switch = Switching {
            own,
            snapshot,
            steps,
            edit,
            begun: Unfinished::of(Stage::Reloading, Vec::new()),
            equal: false,
        };
        let done = self.switch_to(mirror_id, &switch);
        self.journal.keep_changed(mirror_id);
        done
    }

    /// The kernel has forgotten them with the table.
    fn forget_errors(&self, mirror_id: MirrorId) {
        self.registry.update(mirror_id, |entry| {
            (entry.stuck, entry.unresponsive, entry.spotless) = Default::default();
        });
    }

    /// Let writes go that are held because of a target's errors. It stays: errors
    /// of a copy take no leg out.
    pub(crate) fn release(&self, mirror_id: MirrorId) -> Result<()> {
        self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
            if hurt(&snapshot) != Hurt::Targets || assess(&snapshot) != Verdict::Healthy {
                return Ok(());
            }
            let steps = steps::retry(&snapshot)?;
            self.act_again(mirror_id, &snapshot, steps, SettingsEdit::default(), RETRY)?;
            self.forget_errors(mirror_id);
            let text = "writes held because of a target's errors continue";
            self.events.add(&snapshot.info.name, Kind::Retried, text);
            Ok(())
        })
    }

    /// Take the sync word out, which would be believed at each resume.
    pub(crate) fn lose_word(&self, mirror_id: MirrorId) -> Result<()> {
        self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
            if !steps::has_word_to_lose(&snapshot) || assess(&snapshot) != Verdict::Healthy {
                return Ok(());
            }
            let edit = SettingsEdit {
                temporary_nosync: Some(false),
                ..SettingsEdit::default()
            };
            let steps = steps::retry(&snapshot)?;
            self.act_again(mirror_id, &snapshot, steps, edit, Some("table"))
        })
    }
}

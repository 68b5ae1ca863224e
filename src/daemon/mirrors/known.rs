//! What a snapshot shows of what is remembered of a mirror.

use super::away::Absent;
use super::entry::Entry;
use crate::model::settings::Settings;
use crate::model::snapshot::{Known, Running};

impl Entry {
    /// What a snapshot shows of it.
    pub(crate) fn known(&self) -> Known {
        let running = self.running.as_ref().or(self.switching.as_ref());
        let running = running.map(|work| Running {
            verb: work.verb.clone(),
            since: work.start.elapsed(),
        });
        Known {
            rate: self.meter.rate(),
            running,
            errors: self.errors.clone(),
            unresponsive: self.unresponsive.0.clone(),
            in_sync_life: self.in_sync_life,
            settings: self.settings.clone().unwrap_or_default(),
            holds_writes: true,
            check_pace: self.checking.pace(),
            checked_life: self.checking.life,
            notes: self
                .notes
                .iter()
                .cloned()
                .chain(self.front.note())
                .collect(),
            pending_failure: self
                .pending_failure
                .as_ref()
                .map(|pending_failure| pending_failure.reason.clone()),
            absent: self.absent.as_ref().map(Absent::away),
        }
    }

    /// Whether this is what [`Entry::known`] says, of one that is there and nothing runs on,
    /// whoever holds writes. All mirrors are asked whenever somebody looks at all.
    pub(crate) fn is_known(&self, known: &Known) -> bool {
        let Known {
            rate,
            running,
            errors,
            unresponsive,
            in_sync_life,
            settings,
            holds_writes: _,
            check_pace,
            checked_life,
            notes,
            pending_failure,
            absent,
        } = known;
        let idle = self.running.is_none() && self.switching.is_none() && self.absent.is_none();
        let told = self.pending_failure.as_ref().map(|failure| &failure.reason);
        let same_notes = match (self.front.note(), notes.split_last()) {
            (None, _) => *notes == self.notes,
            (Some(front), Some((last, others))) => *last == front && *others == *self.notes,
            (Some(_), None) => false,
        };
        let same_settings = match &self.settings {
            Some(kept) => kept == settings,
            None => *settings == Settings::default(),
        };
        idle && running.is_none()
            && absent.is_none()
            && same_settings
            && same_notes
            && *rate == self.meter.rate()
            && *errors == self.errors
            && *unresponsive == self.unresponsive.0
            && *in_sync_life == self.in_sync_life
            && *check_pace == self.checking.pace()
            && *checked_life == self.checking.life
            && pending_failure.as_ref() == told
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{By, Lease, NOWHERE, PendingFailure};
    use super::*;
    use crate::engine::Id;
    use crate::model::id::MirrorId;
    use std::time::{Duration, Instant};

    /// A change of what is remembered.
    type Change = fn(&mut Entry);

    #[test]
    fn what_is_known_is_told_from_what_was_by_everything_in_it() {
        let name = || Id::Name("m".into());
        let new = || Entry::new(MirrorId::new(1), (name(), NOWHERE), "m");
        let before = new().known();
        assert!(new().is_known(&before));
        let lease = || Lease {
            verb: "add".into(),
            by: By::Request,
            start: Instant::now(),
        };
        let changes: [Change; 9] = [
            |entry| entry.errors = vec![1],
            |entry| entry.unresponsive.0.legs = vec![1],
            |entry| entry.in_sync_life = Some(3),
            |entry| {
                entry.settings = Some(Settings {
                    limit: Some(1),
                    ..Settings::default()
                })
            },
            |entry| entry.checking.life = Some(3),
            |entry| entry.notes = vec!["a note".into()],
            |entry| {
                entry.pending_failure = Some(PendingFailure {
                    reason: "why".into(),
                    working: false,
                })
            },
            |entry| {
                let begun = Instant::now();
                entry.meter.sample(begun, 0);
                entry.meter.sample(begun + Duration::from_secs(5), 1 << 20);
            },
            |entry| entry.settings = Some(Settings::default()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut entry = new();
            change(&mut entry);
            // Settings that are the usual ones are as good as none.
            let same = number == changes.len() - 1;
            assert_eq!(entry.is_known(&before), same, "{number}");
            assert!(entry.is_known(&entry.known()), "{number}");
        }
        // How long something runs is another thing at each look.
        let mut entry = new();
        entry.running = Some(lease());
        assert!(!entry.is_known(&before) && !entry.is_known(&entry.known()));
    }
}

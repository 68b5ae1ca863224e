//! What was copied where, until the mirrors were removed or the legs taken out. A target
//! that nobody has touched since may be copied to again although the copy on it looks
//! like something that somebody wants.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::extent::{TableRange, places};
use super::log_trust;
use crate::engine::identity::Identity;
use crate::engine::{Devices, Facts, Span};
use crate::error::Result;
use crate::model::snapshot::{Leg as LegView, SECTOR, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::mirror::Leg;

/// How many are remembered, the newest.
const MOST: usize = 256;

/// A source, from which byte on, and what was copied to where.
#[derive(Debug, PartialEq, Eq)]
struct Copied {
    source: Identity,
    from: u64,
    target: Identity,
    to: Span,
}

/// Sources and their targets.
pub struct Earlier {
    devices: Arc<dyn Devices>,
    copies: Mutex<VecDeque<Copied>>,
}

impl Earlier {
    /// None yet.
    pub fn of(devices: &Arc<dyn Devices>) -> Earlier {
        Earlier {
            devices: Arc::clone(devices),
            copies: Mutex::default(),
        }
    }

    /// Remember what a mirror copied where, which is about to lose a leg or all.
    pub(crate) fn remember(&self, snapshot: &Snapshot) {
        // Looked at before the lock: a device that does not answer holds up its own
        // verb only.
        let places = places(&snapshot.table).unwrap_or_default();
        let copied = places.iter().filter_map(|place| self.copied(place));
        let copied: Vec<Copied> = copied.collect();
        let mut copies = self.copies.lock();
        for new in copied {
            copies.retain(|old| !old.target.is(&new.target) || !old.to.meets(&new.to));
            copies.push_back(new);
        }
        let surplus = copies.len().saturating_sub(MOST);
        copies.drain(..surplus);
    }

    fn copied(&self, place: &TableRange) -> Option<Copied> {
        let from = place.from.as_ref()?;
        Some(Copied {
            source: self.identity_of(&from.device).ok()?,
            from: from.offset.saturating_mul(SECTOR),
            target: self.identity_of(&place.device).ok()?,
            to: place.span(),
        })
    }

    /// Forget what everything stands on from now on: it is a target no more.
    pub(crate) fn forget_target(&self, snapshot: &Snapshot, leg: usize) {
        let (chosen, _) = snapshot.partition_legs(leg);
        let chosen = self.identities(&chosen);
        let mut copies = self.copies.lock();
        copies.retain(|copy| !chosen.iter().any(|chosen| chosen.is(&copy.target)));
    }

    /// Whether a target was one of this source, all of it, and nobody has used either
    /// for itself since; `at` is the byte of the target where something was found.
    ///
    /// # Errors
    /// What reading them answers.
    pub(crate) fn was_target(
        &self,
        (source, source_facts): (&Leg, &Facts),
        (target, target_facts): (&TableRange, &Facts),
        at: u64,
    ) -> Result<bool> {
        let from = source.offset.saturating_mul(SECTOR);
        let (one, other) = (
            self.devices.identity(source_facts)?,
            self.devices.identity(target_facts)?,
        );
        let known = |copy: &Copied| {
            let reaches = copy.to.start == target.start && copy.to.size >= target.size;
            reaches && copy.from == from && copy.source.is(&one) && copy.target.is(&other)
        };
        // What begins in front of a target was never copied to it.
        let Some(found) = at.checked_sub(target.start) else {
            return Ok(false);
        };
        if !self.copies.lock().iter().any(known) {
            return Ok(false);
        }
        let devices = self.devices.as_ref();
        let sides = [(source_facts, from), (target_facts, target.start)];
        log_trust::are_alike(devices, sides, target.size, found)
    }

    /// What those of the legs are that can be looked at.
    fn identities(&self, legs: &[&LegView]) -> Vec<Identity> {
        let known = legs.iter().map(|leg| self.identity_of(&leg.device));
        known.filter_map(Result::ok).collect()
    }

    fn identity_of(&self, device: &DeviceRef) -> Result<Identity> {
        self.devices.identity(&self.devices.facts(device)?)
    }
}

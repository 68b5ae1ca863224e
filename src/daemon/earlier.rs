//! Which devices were targets of which sources, until their mirrors were removed. A
//! target that nobody has touched since may be copied to again although the copy on
//! it looks like something that somebody wants.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Daemon;
use super::trust;
use crate::engine::identity::Identity;
use crate::error::Result;
use crate::model::snapshot::{Leg, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::place::Place;

/// How many are remembered, the newest.
const MOST: usize = 256;

/// Sources and their targets.
#[derive(Debug, Default)]
pub struct Earlier(Mutex<VecDeque<(Identity, Identity)>>);

impl Earlier {
    fn pairs(&self) -> MutexGuard<'_, VecDeque<(Identity, Identity)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Daemon {
    /// Remember what a mirror that is removed copied to what.
    pub(super) fn remember(&self, snapshot: &Snapshot) {
        // Looked at before the lock: a device that does not answer holds up its own
        // verb only.
        let (sources, targets) = snapshot.sides(0);
        let (sources, targets) = (self.identities(&sources), self.identities(&targets));
        let mut pairs = self.earlier.pairs();
        for source in &sources {
            for target in &targets {
                pairs.retain(|(_, other)| other != target);
                pairs.push_back((source.clone(), target.clone()));
            }
        }
        let surplus = pairs.len().saturating_sub(MOST);
        pairs.drain(..surplus);
    }

    /// Forget what everything stands on from now on: it is a target no more.
    pub(super) fn forget_target(&self, snapshot: &Snapshot, leg: usize) {
        let (chosen, _) = snapshot.sides(leg);
        let chosen = self.identities(&chosen);
        let mut pairs = self.earlier.pairs();
        pairs.retain(|(_, target)| !chosen.contains(target));
    }

    /// Whether a target was one of this source, and begins with the same bytes: a
    /// file system that was mounted from either since has changed its superblock.
    ///
    /// # Errors
    /// What reading them answers.
    pub(super) fn was_target(&self, source: &Place, target: &Place) -> Result<bool> {
        let pair = (
            self.identity_of(&source.device)?,
            self.identity_of(&target.device)?,
        );
        if !self.earlier.pairs().contains(&pair) {
            return Ok(false);
        }
        trust::begin_alike(self.devices.as_ref(), &source.into(), &target.into())
    }

    /// What those of the legs are that can be looked at.
    fn identities(&self, legs: &[&Leg]) -> Vec<Identity> {
        let known = legs.iter().map(|leg| self.identity_of(&leg.device));
        known.filter_map(Result::ok).collect()
    }

    fn identity_of(&self, device: &DeviceRef) -> Result<Identity> {
        self.devices.identity(&self.devices.facts(device)?)
    }
}

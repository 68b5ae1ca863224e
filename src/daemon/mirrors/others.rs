//! Who else uses the devices of mirrors, looked for at all of them at once.

use std::collections::HashSet;

use super::beside::{beside, devices};
use super::query::Mirrors;
use super::sights::Round;
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;

impl Mirrors {
    /// See who else uses what these mirrors use, and whether their sources are slow.
    pub(super) fn look_beside(&self, mirrors: &mut [(MirrorId, Snapshot)], round: &Round<'_>) {
        let beside = self.beside(mirrors.iter().map(|(_, snapshot)| snapshot), round);
        let beside = beside.unwrap_or_else(|error| {
            log::debug!("{error}: who else uses a leg is not known");
            Vec::new()
        });
        for ((_, snapshot), beside) in mirrors.iter_mut().zip(beside) {
            snapshot.beside = beside;
        }
        for (mirror_id, snapshot) in mirrors {
            let slow = self.slow(*mirror_id, snapshot);
            let source = snapshot.legs.iter_mut().find(|leg| leg.source);
            source.into_iter().for_each(|leg| leg.slow = slow);
        }
    }

    /// Check that nobody else holds its legs and logs.
    ///
    /// # Errors
    /// EBUSY names the first who does; what the list of devices answers.
    pub fn check_nobody_beside(&self, snapshot: &Snapshot) -> Result<()> {
        let beside = self.beside([snapshot].into_iter(), &self.fresh())?;
        match beside.first().and_then(|others| others.first()) {
            Some(other) => Err(Error::busy(format!(
                "{other}: its writes are not on the other legs; remove it first"
            ))),
            None => Ok(()),
        }
    }

    /// Who is beside each of these.
    fn beside<'a>(
        &self,
        snapshots: impl Iterator<Item = &'a Snapshot> + Clone,
        round: &Round<'_>,
    ) -> Result<Vec<Vec<String>>> {
        let mut used: Vec<&DeviceRef> = snapshots.clone().flat_map(devices).collect();
        let mut once = HashSet::new();
        used.retain(|device| once.insert(*device));
        let (uses, holders) = (
            self.tables.uses(self.engine.as_ref())?,
            round.holders(&used),
        );
        Ok(snapshots
            .map(|snapshot| beside(&uses, &holders, snapshot))
            .collect())
    }
}

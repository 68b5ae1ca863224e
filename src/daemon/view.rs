//! What can be read, for whoever answers reads: nothing here waits for a device, and by
//! the types that it stands on nothing can.

use std::sync::Arc;

use super::events::log::Events;
use super::mirrors::query::{Detail, Mirrors};
use super::mirrors::registry::Registry;
use crate::engine::PromptEngine;
use crate::engine::bell::Bell;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::shared::Shared;
use crate::model::snapshot::Snapshot;

/// The mirrors as they are.
pub struct View {
    /// Device-mapper, to be looked at.
    pub engine: Arc<dyn PromptEngine>,
    /// What is remembered of each mirror.
    pub registry: Arc<Registry>,
    /// The newest events, their counts, and who waits for more.
    pub events: Arc<Events>,
    mirrors: Arc<Mirrors>,
    bell: Arc<Bell>,
}

impl View {
    /// That of these mirrors; `bell` wakes the watch.
    pub fn new(mirrors: &Arc<Mirrors>, events: &Arc<Events>, bell: &Arc<Bell>) -> View {
        View {
            engine: Arc::clone(&mirrors.engine),
            registry: Arc::clone(&mirrors.registry),
            events: Arc::clone(events),
            mirrors: Arc::clone(mirrors),
            bell: Arc::clone(bell),
        }
    }

    /// Take samples again of a copy that had stopped: somebody looks at it.
    pub fn resume_sampling(&self, mirror_id: MirrorId) {
        if self.registry.resume_sampling(mirror_id) {
            self.bell.ring();
        }
    }

    /// As [`Mirrors::find`].
    ///
    /// # Errors
    /// ENOENT where there is none.
    pub fn find(&self, name: &str) -> Result<MirrorId> {
        self.mirrors.find(name)
    }

    /// As [`Mirrors::all`].
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn mirrors(&self) -> Result<Vec<(MirrorId, String)>> {
        self.mirrors.all()
    }

    /// As [`Mirrors::snapshot`].
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn snapshot(&self, mirror_id: MirrorId, detail: Detail) -> Result<Snapshot> {
        self.mirrors.snapshot(mirror_id, detail)
    }

    /// As [`Mirrors::shared`], of a copy that is sampled again.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn shared(&self, mirror_id: MirrorId) -> Result<Arc<Shared>> {
        let seen = self.mirrors.shared(mirror_id)?;
        // What is in sync copies nothing.
        if !seen.is_copied() {
            self.resume_sampling(mirror_id);
        }
        Ok(seen)
    }

    /// As [`Mirrors::snapshots`], of copies that are sampled again.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn snapshots(&self, detail: Detail) -> Result<Vec<Arc<Shared>>> {
        let snapshots = self.mirrors.snapshots(detail)?.into_iter();
        let seen = snapshots.map(|(mirror_id, snapshot)| {
            // What is in sync copies nothing.
            if !snapshot.is_copied() {
                self.resume_sampling(mirror_id);
            }
            snapshot
        });
        Ok(seen.collect())
    }

    /// As [`Events::report`].
    ///
    /// # Errors
    /// The result's own.
    pub fn report<T>(&self, name: &str, result: Result<T>) -> Result<T> {
        self.events.report(name, result)
    }
}

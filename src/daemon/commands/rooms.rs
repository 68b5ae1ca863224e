//! The rooms below, as every command is handed them.

use std::sync::Arc;

use crate::daemon::admission::admit::Admission;
use crate::daemon::checks::state::Checks;
use crate::daemon::events::log::Events;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::not_started;
use crate::daemon::mirrors::query::Mirrors;
use crate::daemon::mirrors::registry::Registry;
use crate::daemon::switch::act::Switcher;
use crate::engine::bell::Bell;
use crate::engine::{Devices, Engine};
use crate::error::Result;
use crate::model::id::MirrorId;

/// What a command may use.
#[derive(Clone)]
pub struct Rooms {
    /// Device-mapper.
    pub engine: Arc<dyn Engine>,
    /// The devices below it.
    pub devices: Arc<dyn Devices>,
    /// What is remembered of each mirror.
    pub registry: Arc<Registry>,
    /// Which mirrors there are.
    pub mirrors: Arc<Mirrors>,
    /// Lets devices in.
    pub admission: Arc<Admission>,
    /// Keeps records.
    pub journal: Arc<Journal>,
    /// Switches tables.
    pub switcher: Arc<Switcher>,
    /// Compares legs.
    pub checks: Arc<Checks>,
    /// Where results and refusals are recorded.
    pub events: Arc<Events>,
    /// Wakes the watch.
    pub bell: Arc<Bell>,
}

impl Rooms {
    /// The watch looks once the verb no longer runs.
    pub(super) fn ended(&self, mirror_id: MirrorId, result: Result<()>) -> Result<()> {
        self.bell.ring();
        self.events
            .report(&self.registry.name_of(mirror_id), result)
    }

    /// EBUSY for a mirror that is only recorded.
    pub(super) fn check_started(&self, mirror_id: MirrorId) -> Result<()> {
        let absent = self.registry.absent(mirror_id);
        absent.map_or(Ok(()), |absent| Err(not_started(&absent)))
    }
}

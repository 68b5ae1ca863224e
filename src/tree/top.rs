//! What the files at the top are about.

use std::sync::Arc;

use crate::daemon::events::counts::Counts;
use crate::engine::{Kind, Versions};
use crate::model::shared::Shared;

/// What the files at the root are made of: as much as each needs.
#[derive(Default)]
pub struct Top {
    /// A snapshot of each mirror, in the order of the list.
    pub mirrors: Vec<Arc<Shared>>,
    /// Which engine, and its versions.
    pub engine: Option<(Kind, Versions)>,
    /// Percent of time that copying may take.
    pub throttle: Option<u32>,
    /// How many events there were.
    pub counts: Arc<Counts>,
}

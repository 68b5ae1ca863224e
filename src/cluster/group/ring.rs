//! Who hears whom.

use serde::{Deserialize, Serialize};

use crate::cluster::state::order::NodeId;

/// A ring of machines that hear each other (`cpg_ring_id`).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ring {
    /// A number that grows with each.
    pub seq: u64,
    /// The machine that has formed it.
    pub node: NodeId,
}

//! What changes the state of a log. Every machine applies the same orders in the same
//! sequence, and so comes to the same state.

use serde::{Deserialize, Serialize};

use crate::text::log::Sync;

/// A machine of the cluster.
pub type NodeId = u32;

/// A table with this log in the kernel of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId {
    /// The machine.
    pub node: NodeId,
    /// What its kernel calls the table's log.
    pub luid: u64,
}

/// Of what size the log is. Two tables with another one have no region in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Sectors of the target.
    pub length: u64,
    /// Sectors of a region.
    pub region: u64,
}

impl Geometry {
    /// How many regions there are.
    pub fn regions(self) -> u64 {
        self.length.div_ceil(self.region.max(1))
    }
}

/// What a table is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Make {
    /// Its size.
    pub geometry: Geometry,
    /// Its sync word. Where a log has no state yet and there is none, that is what the disk
    /// log says.
    pub sync: Option<Sync>,
}

/// The legs of a running table, in their order, each by a name that is the same whenever
/// that machine sees the same disk. None where they could not be found out.
pub type Legs = Option<Vec<String>>;

/// How it was heard that a table runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// At once: from now on its kernel asks about each region.
    AtOnce,
    /// Later, since nobody listened then: its kernel may have been told meanwhile that it need
    /// not ask about some regions.
    Late,
    /// From the kernel alone, which runs it while nobody knows since when: what it has in mind
    /// was said by somebody whose state is lost.
    Again,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// A table was loaded.
    Construct(Make),
    /// It is gone.
    Destroy,
    /// It is running.
    Resume {
        /// What its legs are.
        legs: Legs,
        /// Which regions the disk log has as clean, where the machine that resumes found
        /// no state in the group. A log does not say of which legs it is: it counts only
        /// for a table that was heard at once.
        clean: Option<Vec<u8>>,
        /// How it was heard.
        heard: Heard,
    },
    /// It is about to be suspended.
    Presuspend,
    /// It is suspended: no write is under way.
    Postsuspend,
    /// These regions are about to be written.
    Mark(Vec<u64>),
    /// These are not being written any more.
    Clear(Vec<u64>),
    /// A region was copied, or a write of it has failed.
    SetSync {
        /// The region.
        region: u64,
        /// Whether it is the same on all legs.
        in_sync: bool,
    },
    /// It asks for a region to copy.
    Work,
    /// It wants to write a region that is not in sync.
    Write(u64),
}

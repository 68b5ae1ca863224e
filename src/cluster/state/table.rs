//! A table with the log in the kernel of one machine, as the group knows it.

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;
use serde::{Deserialize, Serialize};

use super::order::{Legs, Make};

/// How far a table is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It never ran.
    Loaded,
    /// It runs.
    Running,
    /// It is to be suspended, and writes what it still has.
    Suspending,
    /// It is suspended: nothing is written by it.
    Suspended,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What it is made of.
    pub make: Make,
    /// How far it is.
    pub phase: Phase,
    /// Whether it is to be suspended, and nobody had heard that it ran.
    pub leaving: bool,
    /// Its legs, since it ran.
    pub legs: Legs,
    /// The time at which its kernel last began to ask about each region.
    pub resumed: u64,
    /// Whether writes of it may have gone to leg 0 alone, and go there until it has copied
    /// the region itself: its kernel keeps such a region in mind as long as the table lives
    /// (`DM_RH_NOSYNC`, drivers/md/dm-region-hash.c).
    pub tainted: bool,
    /// The regions of which that may be so, while it is suspended.
    pub at_risk: FixedBitSet,
    /// The regions that it is writing.
    pub marks: BTreeSet<u64>,
    /// The region that it is copying.
    pub copies: Option<u64>,
    /// Whether that copy is not one in the end: somebody may write under it.
    pub void: bool,
    /// Where it looks next for a region to copy.
    pub search: u64,
    /// The regions that it could not copy since it was resumed.
    pub failed: BTreeSet<u64>,
    /// Whether it was told that there is none: it does not ask again by itself.
    pub idle: bool,
}

impl Table {
    /// One that was just loaded.
    pub(super) fn new(make: Make) -> Table {
        Table {
            make,
            phase: Phase::Loaded,
            leaving: false,
            legs: None,
            resumed: 0,
            tainted: false,
            at_risk: FixedBitSet::new(),
            marks: BTreeSet::new(),
            copies: None,
            void: false,
            search: 0,
            failed: BTreeSet::new(),
            idle: false,
        }
    }

    /// Whether it may write.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Suspending)
    }
}

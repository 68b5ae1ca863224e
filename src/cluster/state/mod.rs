//! The state of a log: which regions are the same on all legs, who writes and who copies
//! which. Pure: orders change it, questions are answered from it. All machines of a group
//! have the same one.
//!
//! What keeps the legs equal:
//!
//! - A write of a region that is in sync is marked before, in order; the marks of a machine
//!   that died are copied again.
//! - A region is copied by one table at a time, and only while each other table that runs
//!   holds back its writes of it: such a table is *strict* about the region. It is not where
//!   its kernel does not ask about it any more (`in_sync_hint`), nor where it may write it to
//!   leg 0 alone (*tainted*).
//! - One table may be let to write what is not in sync: then nobody else copies.

pub mod apply;
mod ask;
mod copy;
pub mod cure;
pub mod legs;
mod life;
pub mod order;
pub mod table;
pub mod touched;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use serde::{Deserialize, Serialize};

use self::legs::Known;
use self::order::{Geometry, NodeId, TableId};
use self::table::{Phase, Table};

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    geometry: Geometry,
    /// The legs that it is of.
    legs: Known,
    /// Whether a table has run since there is this state.
    born: bool,
    /// How many orders there were.
    time: u64,
    unsynced: FixedBitSet,
    /// When all that is not in sync came to be so, but for those that follow.
    all_since: u64,
    since: BTreeMap<u64, u64>,
    tables: BTreeMap<TableId, Table>,
    /// The tables whose size and legs are those of the state.
    fitting: BTreeSet<TableId>,
    /// The machines that run while nobody answers their kernel.
    away: BTreeSet<NodeId>,
    /// The regions that somebody waits for.
    wanted: BTreeSet<u64>,
}

impl State {
    /// Of a log that nobody has used: nothing is in sync.
    pub fn new(geometry: Geometry) -> State {
        State {
            geometry,
            legs: Known::default(),
            born: false,
            time: 0,
            unsynced: all(geometry),
            all_since: 0,
            since: BTreeMap::new(),
            tables: BTreeMap::new(),
            fitting: BTreeSet::new(),
            away: BTreeSet::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// Its size.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Whether a table has run since there is this state.
    pub fn is_born(&self) -> bool {
        self.born
    }

    /// The tables.
    pub fn tables(&self) -> &BTreeMap<TableId, Table> {
        &self.tables
    }

    /// The machines that run while nobody answers their kernel.
    pub fn away(&self) -> &BTreeSet<NodeId> {
        &self.away
    }

    /// How many regions are the same on all legs.
    pub fn in_sync(&self) -> u64 {
        let unsynced = self.unsynced.count_ones(..) as u64;
        self.regions().saturating_sub(unsynced)
    }

    /// How many regions there are.
    pub fn regions(&self) -> u64 {
        self.geometry.regions()
    }

    /// Whether a disk log may have a region as clean.
    pub fn is_clean(&self, region: u64) -> bool {
        !self.is_unsynced(region)
            && !self
                .tables
                .values()
                .any(|table| table.marks.contains(&region))
    }

    /// Whether a table has the size and the legs that the state is of.
    pub fn fits(&self, id: TableId) -> bool {
        self.fitting.contains(&id)
    }

    fn is_unsynced(&self, region: u64) -> bool {
        // What is beyond the end is the same on no leg.
        usize::try_from(region).map_or(true, |at| {
            at >= self.unsynced.len() || self.unsynced.contains(at)
        })
    }

    /// The first region that is not in sync.
    fn lowest(&self) -> u64 {
        let first = self.unsynced.minimum();
        first.map_or(self.regions(), |first| first as u64)
    }

    /// Whether a table's kernel asks about a region that is not in sync.
    fn knows(&self, table: &Table, region: u64) -> bool {
        let since = self.since.get(&region).copied().unwrap_or(self.all_since);
        table.resumed >= since
    }

    /// Whether a table holds back its writes of a region that is not in sync.
    fn is_strict(&self, table: &Table, region: u64) -> bool {
        table.phase == Phase::Running && !table.tainted && self.knows(table, region)
    }

    /// The other tables that may write.
    fn others(&self, id: TableId) -> impl Iterator<Item = (&TableId, &Table)> {
        let live = self.tables.iter().filter(|(_, table)| table.is_live());
        live.filter(move |(other, _)| **other != id)
    }
}

/// All regions.
fn all(geometry: Geometry) -> FixedBitSet {
    let mut regions = FixedBitSet::with_capacity(geometry.regions() as usize);
    regions.insert_range(..);
    regions
}

//! What the kernel is answered from the state.

use super::State;
use super::order::TableId;
use super::table::{Phase, Table};

impl State {
    /// Whether a table may take a region for the same on all legs. One whose kernel does not
    /// ask before each write of it has to write all legs until it does.
    pub fn in_sync_for(&self, id: TableId, region: u64) -> bool {
        let Some(table) = self.tables.get(&id) else {
            return false;
        };
        if !self.fits(id) {
            // What it still has is to be marked, and is then known to be on its legs alone.
            return lets_go(table);
        }
        region < self.regions()
            && (!self.is_unsynced(region) || !table.tainted && !self.knows(table, region))
    }

    /// Whether a write of a region has to wait, and the region up to which none has to:
    /// until it is resumed again the kernel asks about none below that.
    pub fn remote_recovering(&self, id: TableId, region: u64) -> (bool, u64) {
        let Some(table) = self.tables.get(&id) else {
            return (true, 0);
        };
        let suspending = table.phase == Phase::Suspending;
        let hindered = !self.is_copied_by_no_other(id);
        if !self.fits(id) {
            return (!lets_go(table) || hindered, 0);
        }
        let lowest = self.lowest();
        if table.tainted && table.phase == Phase::Running && !hindered {
            // It writes what is not in sync to leg 0 alone, and nobody copies.
            return (false, lowest.max(self.regions().saturating_sub(1)));
        }
        let waits = if suspending {
            hindered
        } else {
            table.tainted || self.knows(table, region)
        };
        (waits && self.is_unsynced(region), lowest)
    }

    /// Whether a write of this region is to be ordered before it is answered: it may be that
    /// the table is let to write what is not in sync, or that others are to copy it first.
    pub fn is_to_order(&self, id: TableId, region: u64) -> bool {
        let waits = self.fits(id) && self.remote_recovering(id, region).0;
        waits && (!self.wanted.contains(&region) || self.may_be_freed(id))
    }

    /// Whether a table may become the one that writes what is not in sync.
    pub(super) fn may_be_freed(&self, id: TableId) -> bool {
        let own = self.tables.get(&id);
        self.fits(id)
            && own.is_some_and(|own| !own.tainted && own.phase == Phase::Running)
            && !self.others(id).any(|(_, other)| other.tainted)
    }

    /// Whether no other table copies anything. One that is to be suspended waits for that: it
    /// writes what it still has.
    pub fn is_copied_by_no_other(&self, id: TableId) -> bool {
        !self.others(id).any(|(_, other)| other.copies.is_some())
    }

    /// Whether a table was told that there is nothing to copy, and it is still so.
    pub fn is_idle(&self, id: TableId) -> bool {
        let idle = self.tables.get(&id).is_some_and(|table| table.idle);
        idle && self.next_work(id).is_none()
    }

    /// How many regions a table is to call in sync.
    pub fn sync_count(&self, id: TableId) -> u64 {
        if self.fits(id) { self.in_sync() } else { 0 }
    }

    /// Whether a region is neither written nor to be copied.
    pub fn is_clean_for(&self, id: TableId, region: u64) -> bool {
        self.fits(id) && self.is_clean(region)
    }
}

/// Whether a table with other legs writes what it has: one that is to be suspended, since no
/// suspend would end else, and one of which it is not known whether it is.
fn lets_go(table: &Table) -> bool {
    table.phase == Phase::Suspending || table.tainted
}

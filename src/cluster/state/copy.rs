//! Who copies which region, and what is to be done that one may.

use super::State;
use super::cure::Cure;
use super::order::{NodeId, TableId};
use super::table::{Phase, Table};

impl State {
    /// The region that a table is to copy next, if any.
    pub(super) fn next_work(&self, id: TableId) -> Option<u64> {
        let table = self.tables.get(&id)?;
        // What was answered and has not arrived is answered once more.
        if table.copies.is_some() {
            return table.copies;
        }
        if table.phase != Phase::Running || !self.fits(id) {
            return None;
        }
        let mut wanted = self.wanted.iter().copied();
        let wanted = wanted.find(|region| self.may_copy(id, *region));
        wanted.or_else(|| {
            let unsynced = self.unsynced.ones().map(|at| at as u64);
            let further = unsynced.clone().skip_while(|region| *region < table.search);
            let mut all = further.chain(unsynced);
            all.find(|region| self.may_copy(id, *region))
        })
    }

    /// Whether a table may copy a region now.
    fn may_copy(&self, id: TableId, region: u64) -> bool {
        let hinders = |other: &Table| {
            !self.is_strict(other, region)
                || other.copies == Some(region)
                || other.marks.contains(&region)
        };
        let failed = |table: &Table| table.failed.contains(&region);
        self.is_unsynced(region)
            && !self.tables.get(&id).is_some_and(failed)
            && !self.others(id).any(|(_, other)| hinders(other))
    }

    /// Whether a table's kernel asks about all that is not in sync.
    fn knows_all(&self, table: &Table) -> bool {
        let earlier = self.unsynced.count_ones(..) > self.since.len();
        let latest = self.since.values().max().copied().unwrap_or(0);
        table.resumed >= latest && (!earlier || table.resumed >= self.all_since)
    }

    /// What is to be done with the devices of a machine.
    pub fn cures(&self, node: NodeId) -> impl Iterator<Item = (TableId, Cure)> {
        let own = self.tables.iter().filter(move |(id, _)| id.node == node);
        let running = own.filter(|(_, table)| table.phase == Phase::Running);
        running.filter_map(|(id, table)| self.cure(*id, table).map(|cure| (*id, cure)))
    }

    fn cure(&self, id: TableId, table: &Table) -> Option<Cure> {
        if self.unsynced.is_clear() || !self.fits(id) {
            return None;
        }
        // One of all that may write what is not in sync is to stay.
        let before = |other: &TableId, table: &Table| table.tainted && *other < id;
        let others = table.tainted && self.others(id).any(|(other, table)| before(other, table));
        if others || !self.knows_all(table) {
            return Some(Cure::Reload);
        }
        (table.idle && self.next_work(id).is_some()).then_some(Cure::Read)
    }
}

//! The lives of tables and of their machines.

use super::legs::Relation;
use super::order::{Heard, Legs, Make, NodeId, TableId};
use super::table::Phase;
use super::touched::Touched;
use super::{State, all};
use crate::text::disklog;
use crate::text::log::Sync;

impl State {
    /// A machine is gone for good: what it was writing is to be copied again.
    pub fn node_down(&mut self, node: NodeId) -> Touched {
        self.time += 1;
        let mut touched = Touched::default();
        let gone: Vec<TableId> = self
            .tables
            .keys()
            .copied()
            .filter(|id| id.node == node)
            .collect();
        for id in gone {
            self.fitting.remove(&id);
            let marks = self.tables.remove(&id).map(|table| table.marks);
            for region in marks.into_iter().flatten() {
                self.make_stale(region, &mut touched);
                touched.add(region);
            }
        }
        self.away.remove(&node);
        self.legs.forget(node);
        self.take_over(&mut touched);
        self.settle();
        touched
    }

    /// Nobody knows what was written: all is to be copied again.
    pub fn doubt(&mut self) -> Touched {
        self.time += 1;
        let mut touched = Touched::default();
        self.all_stale(&mut touched);
        // Nor does the word of the first table that runs count any more.
        self.born = true;
        touched
    }

    /// Nobody answers the kernel of a machine: what it writes and copies stays so.
    pub fn node_away(&mut self, node: NodeId) {
        if self.tables.keys().any(|id| id.node == node) {
            self.away.insert(node);
        }
    }

    /// Somebody answers it again.
    pub fn node_back(&mut self, node: NodeId) {
        self.away.remove(&node);
    }

    pub(super) fn resume(
        &mut self,
        id: TableId,
        legs: &Legs,
        clean: Option<&[u8]>,
        heard: Heard,
        touched: &mut Touched,
    ) {
        let alone = self.others(id).next().is_none();
        let Some(table) = self.tables.get_mut(&id) else {
            return;
        };
        let (new, make) = (table.phase == Phase::Loaded, table.make.clone());
        let at_risk = std::mem::take(&mut table.at_risk);
        table.phase = Phase::Running;
        table.legs.clone_from(legs);
        let leaving = std::mem::take(&mut table.leaving);
        table.idle = false;
        table.search = 0;
        table.failed.clear();
        match heard {
            Heard::AtOnce => table.resumed = self.time,
            Heard::Late => table.resumed = 0,
            Heard::Again => (table.resumed, table.tainted) = (0, true),
        }
        let again = heard == Heard::Again;
        // Others may have copied meanwhile what this one still writes to leg 0 alone.
        let regions = at_risk.ones();
        regions.for_each(|at| self.make_stale(at as u64, touched));
        if heard != Heard::AtOnce || !at_risk.is_clear() {
            let others = self.tables.iter_mut().filter(|(other, _)| **other != id);
            others.for_each(|(_, other)| other.void = other.copies.is_some());
        }
        if !self.born {
            self.be_born(id, &make, legs, clean, heard);
            *touched = Touched::All;
        } else if self.relation(id, &make, legs) == Relation::Same {
            self.fit_in(id, legs);
            if new && alone && make.sync == Some(Sync::Sync) {
                self.all_stale(touched);
            }
        } else {
            self.fitting.remove(&id);
        }
        // Of what it wrote to leg 0 alone nobody knows.
        let tainted = self.tables.get(&id).is_some_and(|table| table.tainted);
        if again || tainted && !self.fits(id) {
            self.all_stale(touched);
        }
        if heard == Heard::Late && leaving {
            self.presuspend(id, touched);
        }
    }

    /// The first table of all runs.
    fn be_born(
        &mut self,
        id: TableId,
        make: &Make,
        legs: &Legs,
        clean: Option<&[u8]>,
        heard: Heard,
    ) {
        self.born = true;
        self.become_of(id, make, legs);
        self.unsynced = all(self.geometry);
        match (make.sync, clean.filter(|_| heard == Heard::AtOnce)) {
            (Some(Sync::Sync), _) => {}
            (_, Some(clean)) => {
                for region in 0..self.regions() {
                    let is_clean = disklog::is_clean(clean, region);
                    self.unsynced.set(region as usize, !is_clean);
                }
            }
            // What was said of the legs once is not so after they were written.
            (Some(Sync::NoSync), None) if heard != Heard::Again => self.unsynced.clear(),
            (Some(Sync::NoSync) | None, None) => {}
        }
        self.all_since = self.time;
    }

    fn become_of(&mut self, id: TableId, make: &Make, legs: &Legs) {
        self.geometry = make.geometry;
        self.legs
            .become_of(id.node, legs.as_deref().unwrap_or_default());
        self.fitting.clear();
        self.fitting.insert(id);
        self.wanted.clear();
    }

    /// A table has the size and the legs that the state is of.
    fn fit_in(&mut self, id: TableId, legs: &Legs) {
        self.fitting.insert(id);
        legs.iter().for_each(|legs| self.legs.add(id.node, legs));
    }

    /// What a table is beside those that the state is of. Of another size it is another one,
    /// and where its legs are not known.
    fn relation(&self, id: TableId, make: &Make, legs: &Legs) -> Relation {
        match legs {
            Some(legs) if make.geometry == self.geometry => self.legs.relation(id.node, legs),
            _ => Relation::Other,
        }
    }

    /// Where no table that runs has the size and the legs that the state is of, it is of
    /// those of one that does.
    pub(super) fn take_over(&mut self, touched: &mut Touched) {
        let mut live = self.tables.iter().filter(|(_, table)| table.is_live());
        let first = live.clone().next();
        if !self.born || live.any(|(id, _)| self.fits(*id)) {
            return;
        }
        let Some((&id, table)) = first else { return };
        let (make, legs) = (table.make.clone(), table.legs.clone());
        let relation = self.relation(id, &make, &legs);
        self.become_of(id, &make, &legs);
        if relation == Relation::Other {
            self.all_stale(touched);
        }
        self.asked_until_now(id);
        let waiting: Vec<TableId> = self.tables.keys().copied().collect();
        for id in waiting {
            self.join(id);
        }
    }

    /// A table that did not fit may do so now.
    fn join(&mut self, id: TableId) {
        let Some(table) = self.tables.get(&id).filter(|table| table.is_live()) else {
            return;
        };
        let (make, legs) = (table.make.clone(), table.legs.clone());
        if !self.fits(id) && self.relation(id, &make, &legs) == Relation::Same {
            self.fit_in(id, &legs);
            self.asked_until_now(id);
        }
    }

    /// The kernel of one that did not fit asked about each region until now.
    fn asked_until_now(&mut self, id: TableId) {
        if let Some(table) = self.tables.get_mut(&id).filter(|table| !table.tainted) {
            table.resumed = self.time;
        }
    }

    pub(super) fn presuspend(&mut self, id: TableId, touched: &mut Touched) {
        let (fits, all_in_sync) = (self.fits(id), self.unsynced.is_clear());
        let Some(table) = self.tables.get_mut(&id) else {
            return;
        };
        table.leaving = !table.is_live();
        if table.phase != Phase::Running {
            return;
        }
        table.phase = Phase::Suspending;
        let (tainted, marks) = (table.tainted, table.marks.clone());
        // It writes what it holds back to leg 0 alone now.
        table.tainted |= !fits || !all_in_sync;
        match (fits, tainted) {
            (true, _) => {}
            (false, false) => self.mark_other_legs(id, &marks, touched),
            (false, true) => self.all_stale(touched),
        }
    }

    pub(super) fn postsuspend(&mut self, id: TableId) {
        let fits = self.fits(id);
        let unsynced = &self.unsynced;
        if let Some(table) = self.tables.get_mut(&id) {
            table.leaving = false;
        }
        if let Some(table) = self.tables.get_mut(&id).filter(|table| table.is_live()) {
            table.phase = Phase::Suspended;
            (table.copies, table.void) = (None, false);
            if table.tainted {
                table.at_risk = if fits {
                    unsynced.clone()
                } else {
                    all(self.geometry)
                };
            }
        }
    }

    pub(super) fn destroy(&mut self, id: TableId, touched: &mut Touched) {
        self.fitting.remove(&id);
        let Some(table) = self.tables.remove(&id) else {
            return;
        };
        for region in table.marks {
            // Nothing was written any more when it was suspended.
            if table.phase != Phase::Suspended {
                self.make_stale(region, touched);
            }
            touched.add(region);
        }
    }
}

//! What an order does to the state.

use super::order::{Order, TableId};
use super::table::{Phase, Table};
use super::touched::Touched;
use super::{State, all};

/// What an order came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The region to copy, for [`Order::Work`].
    pub work: Option<u64>,
    /// The regions of which a disk log may have to be written anew.
    pub touched: Touched,
}

impl State {
    /// Apply an order of a table's machine.
    pub fn apply(&mut self, id: TableId, order: &Order) -> Applied {
        self.time += 1;
        let mut applied = Applied::default();
        match order {
            Order::Construct(make) => {
                self.tables
                    .entry(id)
                    .or_insert_with(|| Table::new(make.clone()));
            }
            Order::Destroy => self.destroy(id, &mut applied.touched),
            Order::Resume { legs, clean, heard } => {
                self.resume(id, legs, clean.as_deref(), *heard, &mut applied.touched);
            }
            Order::Presuspend => self.presuspend(id, &mut applied.touched),
            Order::Postsuspend => self.postsuspend(id),
            Order::Mark(regions) => self.mark(id, regions, &mut applied.touched),
            Order::Clear(regions) => self.clear(id, regions, &mut applied.touched),
            Order::SetSync { region, in_sync } => {
                self.set_sync(id, *region, *in_sync, &mut applied.touched);
            }
            Order::Work => applied.work = self.work(id),
            Order::Write(region) => self.write(id, *region),
        }
        self.take_over(&mut applied.touched);
        self.settle();
        applied
    }

    /// A region is not the same on all legs any more: what is being copied of it is not the
    /// last word either.
    pub(super) fn make_stale(&mut self, region: u64, touched: &mut Touched) {
        for table in self.tables.values_mut() {
            table.void |= table.copies == Some(region);
        }
        let Ok(at) = usize::try_from(region) else {
            return;
        };
        if at < self.unsynced.len() && !self.unsynced.contains(at) {
            self.unsynced.insert(at);
            self.since.insert(region, self.time);
            touched.add(region);
        }
    }

    pub(super) fn all_stale(&mut self, touched: &mut Touched) {
        for table in self.tables.values_mut() {
            table.void = table.copies.is_some();
        }
        self.unsynced = all(self.geometry);
        self.since.clear();
        self.all_since = self.time;
        *touched = Touched::All;
    }

    fn mark(&mut self, id: TableId, regions: &[u64], touched: &mut Touched) {
        let Some(table) = self.tables.get_mut(&id) else {
            return;
        };
        table.marks.extend(regions);
        regions.iter().for_each(|region| touched.add(*region));
        self.mark_other_legs(id, regions, touched);
    }

    /// What is written to the legs of a table that has not those of the state is not equal
    /// on these.
    pub(super) fn mark_other_legs<'a>(
        &mut self,
        id: TableId,
        regions: impl IntoIterator<Item = &'a u64>,
        touched: &mut Touched,
    ) {
        if !self.fits(id) {
            let regions = regions.into_iter();
            regions.for_each(|region| self.make_stale(*region, touched));
        }
    }

    fn clear(&mut self, id: TableId, regions: &[u64], touched: &mut Touched) {
        let Some(table) = self.tables.get_mut(&id) else {
            return;
        };
        for region in regions {
            table.marks.remove(region);
            touched.add(*region);
        }
    }

    fn set_sync(&mut self, id: TableId, region: u64, in_sync: bool, touched: &mut Touched) {
        let Some(table) = self.tables.get_mut(&id) else {
            return;
        };
        let copied = table.copies == Some(region);
        let void = copied && std::mem::take(&mut table.void);
        if copied {
            table.copies = None;
        }
        touched.add(region);
        match (copied, in_sync) {
            (true, true) if void => {}
            (true, true) => {
                let at = usize::try_from(region).unwrap_or(usize::MAX);
                if at < self.unsynced.len() {
                    self.unsynced.remove(at);
                }
                self.since.remove(&region);
                self.wanted.remove(&region);
            }
            (true, false) => {
                table.failed.insert(region);
                self.wanted.remove(&region);
            }
            // A write of it has failed on a leg.
            (false, false) => {
                table.tainted = true;
                self.make_stale(region, touched);
            }
            // What it was not given to copy is not known to be copied.
            (false, true) => {}
        }
    }

    fn work(&mut self, id: TableId) -> Option<u64> {
        let work = self.next_work(id);
        let table = self.tables.get_mut(&id)?;
        table.idle = work.is_none();
        table.copies = work;
        if let Some(region) = work.filter(|region| !self.wanted.contains(region)) {
            table.search = region.saturating_add(1);
        }
        work
    }

    fn write(&mut self, id: TableId, region: u64) {
        if !self.is_unsynced(region) || region >= self.regions() {
            return;
        }
        if self.may_be_freed(id) {
            if let Some(table) = self.tables.get_mut(&id) {
                table.tainted = true;
            }
        } else {
            self.wanted.insert(region);
        }
    }

    /// Once all is in sync no table writes anything to leg 0 alone: the one that might have
    /// was the only one that copied.
    pub(super) fn settle(&mut self) {
        if self.unsynced.is_clear() {
            self.wanted.clear();
            let fitting = &self.fitting;
            let running = |(id, table): &(&TableId, &mut Table)| {
                fitting.contains(id) && table.phase == Phase::Running
            };
            let running = self.tables.iter_mut().filter(running);
            running.for_each(|(_, table)| table.tainted = false);
        }
    }
}

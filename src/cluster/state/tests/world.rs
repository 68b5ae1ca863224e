//! Some machines, a log, two legs.

use super::super::cure::Cure;
use super::super::order::{Geometry, Heard, Make, NodeId, Order, TableId};
use super::super::table::Phase;
use super::disk::Log;
use super::kernel::{BLOCKS, Kernel};

const REGIONS: u64 = 4;
const BLOCKS_IN_ALL: u64 = REGIONS * BLOCKS as u64;

/// All there is.
pub struct World {
    state: Log,
    kernels: Vec<Kernel>,
    legs: [Vec<u64>; 3],
    /// The disk that is to be leg 1.
    second: usize,
    machines: u32,
    value: u64,
    luid: u64,
}

impl World {
    pub fn new(machines: u32) -> World {
        let geometry = Geometry {
            length: REGIONS * 8,
            region: 8,
        };
        let mut world = World {
            state: Log::new(geometry),
            kernels: Vec::new(),
            legs: [
                (1..=BLOCKS_IN_ALL).collect(),
                vec![0; BLOCKS_IN_ALL as usize],
                vec![9; BLOCKS_IN_ALL as usize],
            ],
            second: 1,
            machines,
            value: 100,
            luid: 0,
        };
        (0..machines).for_each(|node| world.start(node));
        world
    }

    fn make(&self) -> Make {
        let geometry = Geometry {
            length: REGIONS * 8,
            region: 8,
        };
        Make {
            geometry,
            sync: None,
        }
    }

    /// Load a table; its place among the kernels.
    fn load(&mut self, node: NodeId) -> usize {
        self.luid += 1;
        let id = TableId {
            node,
            luid: self.luid,
        };
        self.state.apply(id, &Order::Construct(self.make()));
        self.kernels.push(Kernel::new(id, self.second));
        self.kernels.len() - 1
    }

    fn resume(&mut self, at: usize, heard: bool) {
        let kernel = &mut self.kernels[at];
        (kernel.running, kernel.suspending, kernel.hint) = (true, false, 0);
        let known = self.state.tables().contains_key(&kernel.id);
        kernel.unheard = !heard && known;
        if !kernel.unheard {
            self.forget_others(at);
            let heard = if known { Heard::AtOnce } else { Heard::Again };
            self.tell_resumed(at, heard, None);
        }
    }

    /// A table that asks and is thought not to run was resumed while there was no server.
    /// One that is to be suspended asks for nothing to copy.
    fn hear(&mut self, at: usize) {
        let kernel = &mut self.kernels[at];
        let unheard = std::mem::take(&mut kernel.unheard);
        let thought = self.state.tables().get(&kernel.id);
        let copies = thought.is_some_and(|table| table.phase == Phase::Suspending);
        let copies = copies && kernel.copy.is_none() && !kernel.suspending;
        if unheard && thought.is_some_and(|table| !table.is_live()) || copies {
            self.forget_others(at);
            self.tell_resumed(at, Heard::Late, None);
        }
    }

    /// Others of the machine that are thought to run are gone, and nobody heard it.
    fn forget_others(&mut self, at: usize) {
        let own = self.kernels[at].id;
        self.forget(|id| id.node == own.node && id != own);
    }

    fn forget(&mut self, which: impl Fn(TableId) -> bool) {
        let tables = self.state.tables().iter();
        let live = tables.filter(|(id, table)| which(**id) && table.is_live());
        let live: Vec<TableId> = live.map(|(id, _)| *id).collect();
        for id in live {
            self.state.apply(id, &Order::Destroy);
        }
    }

    /// What the server tells of a table that runs; one that it did not know is made again.
    fn tell_resumed(&mut self, at: usize, heard: Heard, clean: Option<Vec<u8>>) {
        let (id, second) = (self.kernels[at].id, self.kernels[at].second);
        if heard == Heard::Again {
            self.state.apply(id, &Order::Construct(self.make()));
        }
        let legs = Some(vec!["a".to_owned(), second.to_string()]);
        self.state.apply(id, &Order::Resume { legs, clean, heard });
    }

    /// All servers end, and nobody knows any more what was; the log on a disk is there.
    fn lose(&mut self) {
        let clean = self.state.lose();
        for at in 0..self.kernels.len() {
            self.kernels[at].unheard = false;
            if self.kernels[at].running {
                self.tell_resumed(at, Heard::Again, Some(clean.clone()));
            }
        }
    }

    fn start(&mut self, node: NodeId) {
        if !self.kernels.iter().any(|kernel| kernel.id.node == node) {
            let at = self.load(node);
            self.resume(at, true);
        }
    }

    fn presuspend(&mut self, at: usize, heard: bool) {
        let kernel = &mut self.kernels[at];
        if kernel.running && !kernel.suspending && kernel.copy.is_none() {
            (kernel.suspending, kernel.told) = (true, heard);
            if heard {
                self.state.apply(kernel.id, &Order::Presuspend);
            }
        }
    }

    /// The end of a suspend, once nothing is under way.
    fn postsuspend(&mut self, at: usize, heard: bool) {
        let kernel = &mut self.kernels[at];
        let idle = kernel.writes.is_empty() && kernel.held.is_empty();
        let may = !kernel.told || self.state.is_copied_by_no_other(kernel.id);
        if kernel.suspending && idle && may {
            (kernel.running, kernel.suspending) = (false, false);
            if heard {
                self.state.apply(kernel.id, &Order::Postsuspend);
            }
        }
    }

    /// A suspended one goes on, or another table in its place.
    fn go_on(&mut self, at: usize, reload: bool, heard: bool) {
        if self.kernels[at].running {
            return;
        }
        if !reload {
            return self.resume(at, heard);
        }
        let old = self.kernels[at].id;
        let new = self.load(old.node);
        self.resume(new, heard);
        if heard {
            self.state.apply(old, &Order::Destroy);
        }
        self.kernels.remove(at);
    }

    fn die(&mut self, node: NodeId) {
        self.kernels.retain(|kernel| kernel.id.node != node);
        self.state.node_down(node);
    }

    /// One thing happens.
    pub fn step(&mut self, (what, which, more): (u8, u8, u8)) {
        let node = u32::from(which) % self.machines;
        let Some(at) = usize::from(which).checked_rem(self.kernels.len()) else {
            return self.start(node);
        };
        if self.kernels[at].running && matches!(what % 32, 4..10 | 18..23) {
            self.hear(at);
        }
        // Now and then there is no server to hear the kernel.
        let heard = more % 8 < 6;
        let kernel = &mut self.kernels[at];
        match what % 32 {
            0..4 if !kernel.suspending => self.submit(at, u64::from(more)),
            4..10 if kernel.running => kernel.try_write(&mut self.state),
            10..16 => kernel.write_a_leg(&mut self.legs, usize::from(more)),
            16..18 if kernel.running => kernel.clear(&mut self.state),
            18..23 if kernel.running => kernel.copy(&mut self.state, &mut self.legs),
            23 => kernel.ask_count(&self.state),
            24 => self.presuspend(at, heard),
            25 | 26 => self.postsuspend(at, heard),
            27 => {
                if more % 16 == 1 {
                    self.second = 3 - self.second;
                }
                self.go_on(at, more % 2 == 1, heard);
            }
            28 if more % 4 == 0 => self.die(node),
            29 => self.start(node),
            30 => self.fail_a_write(at, more),
            31 if more % 8 == 0 => self.lose(),
            _ => {}
        }
    }

    /// Somebody writes a block that nobody else is writing: of those who share a disk, no
    /// two do.
    fn submit(&mut self, at: usize, which: u64) {
        let block = which % BLOCKS_IN_ALL;
        let taken = self.kernels.iter().any(|kernel| {
            let held = kernel.held.iter().any(|(held, _)| *held == block);
            held || kernel.writes.iter().any(|write| write.block == block)
        });
        if !taken {
            self.value += 1;
            self.kernels[at].held.push_back((block, self.value));
        }
    }

    /// A write of a region does not reach one leg (`dm_rh_mark_nosync`): it is held.
    fn fail_a_write(&mut self, at: usize, more: u8) {
        use super::kernel::Region;
        let kernel = &mut self.kernels[at];
        let Some(place) = usize::from(more).checked_rem(kernel.writes.len()) else {
            return;
        };
        let write = &mut kernel.writes[place];
        if write.counted && write.legs.contains(&kernel.second) {
            write.legs.retain(|leg| *leg != kernel.second);
            let region = write.block / BLOCKS as u64;
            if write.legs.is_empty() {
                kernel.writes.remove(place);
            }
            kernel.hash.insert(region, Region::NoSync);
            let in_sync = false;
            self.state
                .apply(kernel.id, &Order::SetSync { region, in_sync });
        }
    }

    /// What is in sync, and not being written, is equal.
    pub fn check(&self) {
        self.state.check();
        for region in 0..REGIONS {
            let at = region as usize * BLOCKS;
            let written = self.kernels.iter().any(|kernel| kernel.pending(region));
            let state = &self.state;
            if !state.is_clean(region) || written {
                continue;
            }
            for kernel in self.kernels.iter().filter(|kernel| state.fits(kernel.id)) {
                let [first, second] = [0, kernel.second].map(|leg| &self.legs[leg]);
                let block = at..at + BLOCKS;
                assert_eq!(
                    first[block.clone()],
                    second[block],
                    "{region}: {state:#?} {:#?}",
                    self.kernels
                );
            }
        }
    }

    /// Do what has to be done with devices.
    fn cure(&mut self) {
        let mut cures: Vec<(TableId, Cure)> = Vec::new();
        for node in 0..self.machines {
            cures.extend(self.state.cures(node));
        }
        // What somebody does who has seen that a copy failed.
        let tables = self.state.tables().iter();
        let failed = tables.filter(|(_, table)| !table.failed.is_empty());
        cures.extend(failed.map(|(id, _)| (*id, Cure::Reload)));
        let others = self
            .kernels
            .iter()
            .filter(|kernel| kernel.second != self.second);
        cures.extend(others.map(|kernel| (kernel.id, Cure::Reload)));
        for (id, cure) in cures {
            let place = self.kernels.iter().position(|kernel| kernel.id == id);
            match (place, cure) {
                (Some(at), Cure::Read) => self.kernels[at].copy(&mut self.state, &mut self.legs),
                (Some(at), Cure::Reload) => self.reload(at),
                (None, _) => {}
            }
        }
    }

    fn reload(&mut self, at: usize) {
        // Somebody else suspends it, and nobody has heard so: it ends once others are cured.
        if self.kernels[at].suspending && !self.kernels[at].told {
            return;
        }
        while self.kernels[at].copy.is_some() {
            self.work(at);
        }
        self.presuspend(at, true);
        for _ in 0..200 {
            self.all_work();
            self.postsuspend(at, true);
        }
        let (state, kernels) = (&self.state, &self.kernels);
        assert!(
            !kernels[at].running,
            "no end of a suspend: {state:#?} {kernels:#?}"
        );
        self.go_on(at, true, true);
    }

    fn work(&mut self, at: usize) {
        if !self.kernels[at].running {
            return;
        }
        self.hear(at);
        let kernel = &mut self.kernels[at];
        kernel.try_write(&mut self.state);
        kernel.write_a_leg(&mut self.legs, 0);
        kernel.write_a_leg(&mut self.legs, 0);
        kernel.clear(&mut self.state);
        kernel.copy(&mut self.state, &mut self.legs);
    }

    fn all_work(&mut self) {
        (0..self.kernels.len()).for_each(|at| self.work(at));
    }

    /// All that hangs goes on: in the end all is in sync, and nobody waits.
    pub fn come_to_rest(&mut self) {
        // A server that is started sees which devices there are.
        let there: Vec<NodeId> = self.kernels.iter().map(|kernel| kernel.id.node).collect();
        self.forget(|id| !there.contains(&id.node));
        // A suspend that nobody heard of may not end: who waits for it tries once more.
        let unheard = self.kernels.iter_mut();
        for kernel in unheard.filter(|kernel| kernel.suspending && !kernel.told) {
            kernel.told = true;
            self.state.apply(kernel.id, &Order::Presuspend);
        }
        for _ in 0..60 {
            for _ in 0..30 {
                self.all_work();
                self.check();
            }
            for at in 0..self.kernels.len() {
                self.postsuspend(at, true);
            }
            for at in (0..self.kernels.len()).rev() {
                self.go_on(at, false, true);
            }
            self.cure();
        }
        let (state, kernels) = (&self.state, &self.kernels);
        let waits = |kernel: &Kernel| !kernel.held.is_empty() || !kernel.writes.is_empty();
        let whole = kernels.is_empty() || state.in_sync() == REGIONS;
        assert!(whole, "not in sync: {state:#?} {kernels:#?}");
        assert!(
            !kernels.iter().any(waits),
            "writes wait: {state:#?} {kernels:#?}"
        );
    }
}

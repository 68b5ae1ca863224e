//! The state with a log on a disk, of which only what an order touched is written.

use std::ops::Deref;

use super::super::State;
use super::super::apply::Applied;
use super::super::order::{Geometry, NodeId, Order, TableId};
use super::super::touched::Touched;

#[derive(Debug)]
pub struct Log {
    state: State,
    clean: Vec<bool>,
}

impl Deref for Log {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Log {
    pub fn new(geometry: Geometry) -> Log {
        Log {
            state: State::new(geometry),
            clean: vec![false; geometry.regions() as usize],
        }
    }

    pub fn apply(&mut self, id: TableId, order: &Order) -> Applied {
        let applied = self.state.apply(id, order);
        self.write(&applied.touched);
        applied
    }

    pub fn node_down(&mut self, node: NodeId) {
        let touched = self.state.node_down(node);
        self.write(&touched);
    }

    fn write(&mut self, touched: &Touched) {
        let regions = match touched {
            Touched::All => (0..self.state.regions()).collect(),
            Touched::Some(regions) => regions.clone(),
        };
        for region in regions {
            self.clean[region as usize] = self.state.is_clean(region);
        }
    }

    /// What is read of it once nobody knows the state any more.
    pub fn lose(&mut self) -> Vec<u8> {
        self.state = State::new(self.state.geometry());
        let regions = self.clean.iter().enumerate().filter(|(_, clean)| **clean);
        vec![regions.fold(0, |bits, (region, _)| bits | 1_u8 << region)]
    }

    /// What is clean there is clean, once it was read.
    pub fn check(&self) {
        if !self.is_born() {
            return;
        }
        for (region, clean) in self.clean.iter().enumerate() {
            let region = region as u64;
            assert!(
                !clean || self.is_clean(region),
                "{region}: {:#?}",
                self.state
            );
        }
    }
}

//! The state of a log and what the group knows beside it: the same on all machines.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::state::State;
use crate::cluster::state::apply::Applied;
use crate::cluster::state::order::{NodeId, Order, TableId};
use crate::cluster::state::touched::Touched;

/// How many epochs are remembered: who comes back after more is believed nothing.
const EPOCHS: usize = 64;

/// A log as its group has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// How many orders were applied.
    pub orders: u64,
    /// None where no table has the log: the next one makes it anew.
    pub state: Option<State>,
    /// How often its members have agreed on it.
    count: u64,
    /// The epochs in which they have, the latest last.
    epochs: Vec<u64>,
    /// What tells the boot of each machine that may go on from it: the members that agreed on
    /// it last, and those that have tables.
    boots: BTreeMap<NodeId, u64>,
}

/// What is known once the members of a group have agreed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epoch {
    /// By which it is known.
    pub name: u64,
    /// The machines that hear each other, whether they have the log or not.
    pub machines: BTreeSet<NodeId>,
    /// The members, with what tells the boot of each.
    pub boots: BTreeMap<NodeId, u64>,
    /// Whether somebody may have written what nobody here knows of: two halves have gone on by
    /// themselves, or one has that is gone.
    pub doubtful: bool,
}

impl Replica {
    /// Apply an order.
    pub fn apply(&mut self, id: TableId, order: &Order) -> Applied {
        self.orders += 1;
        if let Order::Construct(make) = order {
            self.state.get_or_insert_with(|| State::new(make.geometry));
        }
        let Some(state) = &mut self.state else {
            return Applied::default();
        };
        let applied = state.apply(id, order);
        self.let_go();
        applied
    }

    /// A log that no table has is none.
    fn let_go(&mut self) {
        let tables = self.state.as_ref().map(State::tables);
        if tables.is_some_and(BTreeMap::is_empty) {
            self.state = None;
        }
    }

    /// Whether there is such a table.
    pub fn has(&self, id: TableId) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.tables().contains_key(&id))
    }

    /// Whether there is anything to know. One of a group that had nothing is no better than
    /// that of a machine whose server comes later.
    pub fn is_known(&self) -> bool {
        self.state.is_some()
    }

    /// The members have agreed. A machine that hears the others and is no member goes on while
    /// nobody answers its kernel, and so does, for a while, one that is not heard; of one that
    /// was booted again nothing goes on.
    pub fn agreed(&mut self, epoch: &Epoch) -> Touched {
        let mut touched = Touched::default();
        self.count += 1;
        self.epochs.push(epoch.name);
        let many = self.epochs.len().saturating_sub(EPOCHS);
        self.epochs.drain(..many);
        for (node, boot) in &epoch.boots {
            let before = self.boots.insert(*node, *boot);
            if before.is_some_and(|before| before != *boot) {
                touched.join(self.down(*node));
            }
        }
        if let Some(state) = &mut self.state {
            let nodes: BTreeSet<NodeId> = state.tables().keys().map(|id| id.node).collect();
            for node in nodes {
                if epoch.boots.contains_key(&node) {
                    state.node_back(node);
                } else {
                    state.node_away(node);
                }
            }
            if epoch.doubtful {
                touched.join(state.doubt());
            }
        }
        let tables = self.state.iter().flat_map(|state| state.tables().keys());
        let having: BTreeSet<NodeId> = tables.map(|id| id.node).collect();
        self.boots
            .retain(|node, _| epoch.boots.contains_key(node) || having.contains(node));
        touched
    }

    /// How many epochs it has been agreed on in, and the last of them.
    pub fn epochs(&self) -> (u64, u64) {
        (self.count, self.epochs.last().copied().unwrap_or_default())
    }

    /// The machines that may go on from it, each with what tells its boot.
    pub fn boots(&self) -> &BTreeMap<NodeId, u64> {
        &self.boots
    }

    /// Whether it comes from what was agreed on in an epoch.
    pub fn comes_from(&self, epoch: u64) -> bool {
        self.epochs.contains(&epoch)
    }

    /// The machines that are not heard and are thought to write: they are to be let time to
    /// hold their writers, and are then down.
    pub fn unheard(&self, machines: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let tables = self.state.iter().flat_map(|state| state.tables().keys());
        let nodes = tables.map(|id| id.node);
        nodes.filter(|node| !machines.contains(node)).collect()
    }

    /// A machine is gone for good.
    pub fn down(&mut self, node: NodeId) -> Touched {
        self.orders += 1;
        self.boots.remove(&node);
        let state = self.state.as_mut();
        let touched = state.map(|state| state.node_down(node)).unwrap_or_default();
        self.let_go();
        touched
    }
}

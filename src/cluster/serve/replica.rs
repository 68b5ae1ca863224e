//! The state of a log and how many orders have come to it: the same on all machines.

use serde::{Deserialize, Serialize};

use crate::cluster::state::State;
use crate::cluster::state::apply::Applied;
use crate::cluster::state::order::{Order, TableId};

/// A log as its group has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// How many orders were applied.
    pub orders: u64,
    /// None where no table has the log: the next one makes it anew.
    pub state: Option<State>,
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
        if state.tables().is_empty() {
            self.state = None;
        }
        applied
    }

    /// Whether there is such a table.
    pub fn has(&self, id: TableId) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.tables().contains_key(&id))
    }
}

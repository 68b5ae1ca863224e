//! What the machines of a group say to each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::replica::Replica;
use crate::cluster::state::order::{NodeId, Order};

/// A change, as a machine says it to all that have the log; the group tells which machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What its sender knows it by.
    pub ticket: u64,
    /// What the sender's kernel calls the log of the table that it is of.
    pub luid: u64,
    /// The change.
    pub order: Order,
}

/// What a member has when an epoch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The epoch.
    pub epoch: u64,
    /// How many orders it has applied; none where it has no state.
    pub orders: Option<u64>,
    /// How many epochs its state has been agreed on in, and the last of them.
    pub epochs: (u64, u64),
    /// The machines that may have gone on from that, each with what tells its boot.
    pub boots: BTreeMap<NodeId, u64>,
    /// Whether nobody can have gone on without it since.
    pub is_sure: bool,
    /// What tells its boot from the one before.
    pub boot: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wire {
    /// An epoch begins, says the lowest member: by this number, which nobody else has.
    Begin(u64),
    /// What the sender has.
    Hello(Hello),
    /// The state, for those in this epoch that have not all of it.
    State(u64, Box<Replica>),
    /// A change.
    Order(Message),
    /// The sender has applied so many orders, in the epoch of this name: in another one they
    /// are others.
    Seen(u64, u64),
    /// Somebody has missed what was said in this epoch: all begin it again.
    Again(u64),
    /// A machine that is in no ring any more has been given time enough to hold its writers.
    Down(NodeId),
}

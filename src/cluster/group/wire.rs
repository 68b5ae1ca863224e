//! What the machines of a group say to each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::replica::Replica;
use super::ring::Ring;
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

/// By which an epoch is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The ring.
    pub ring: Ring,
    /// The members of the group.
    pub members: BTreeSet<NodeId>,
    /// How often they have begun again.
    pub round: u32,
}

/// What a member has when an epoch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The epoch.
    pub tag: Tag,
    /// How many orders it has applied; none where it has no state.
    pub orders: Option<u64>,
    /// How many epochs its state has been agreed on in, and the last of them.
    pub epochs: (u64, u64),
    /// The members that agreed then, each with what tells its boot.
    pub last: BTreeMap<NodeId, u64>,
    /// Whether nobody can have gone on without it since.
    pub is_sure: bool,
    /// By which this epoch is to be known, if it is the lowest member: nobody else has this
    /// number.
    pub name: u64,
    /// What tells its boot from the one before.
    pub boot: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wire {
    /// What the sender has.
    Hello(Hello),
    /// The state, for those in this epoch that have not all of it.
    State(Tag, Box<Replica>),
    /// A change.
    Order(Message),
    /// The sender has applied so many orders.
    Seen(u64),
    /// Somebody has missed what was said in this epoch: all begin it again.
    Again(Tag),
    /// A machine that is in no ring any more has been given time enough to hold its writers.
    Down(NodeId),
}

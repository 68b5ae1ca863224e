//! A machine: its kernel marks regions, its server has part in the group.

use std::collections::{BTreeSet, VecDeque};

use crate::cluster::group::{Member, Message, Replica, Ring, Step, Wire};
use crate::cluster::state::order::{Geometry, Heard, Make, NodeId, Order, TableId};
use crate::text::log::Sync;

pub const REGIONS: u64 = 8;

/// What the engine tells.
#[derive(Debug, Clone)]
pub enum Event {
    Ring(Ring, BTreeSet<NodeId>),
    Members(BTreeSet<NodeId>),
    Said(NodeId, Wire),
}

#[derive(Debug)]
pub struct Machine {
    pub node: NodeId,
    pub boot: u64,
    pub up: bool,
    /// None: no server runs.
    pub member: Option<Member>,
    pub replica: Replica,
    pub inbox: VecDeque<Event>,
    /// What its kernel calls its table.
    pub luid: u64,
    /// What it has said and waits for, and since how many orders it only waits for others.
    pub waits: Vec<(Message, Option<u64>)>,
    /// The regions that its kernel may write.
    pub writes: BTreeSet<u64>,
    tickets: u64,
    starts: u64,
    /// Whether it has seen a log begin that nobody had.
    pub born: bool,
}

impl Machine {
    pub fn new(node: NodeId) -> Machine {
        Machine {
            node,
            boot: 1,
            up: true,
            member: None,
            replica: Replica::default(),
            inbox: VecDeque::new(),
            luid: 0,
            waits: Vec::new(),
            writes: BTreeSet::new(),
            tickets: 0,
            starts: 0,
            born: false,
        }
    }

    pub fn id(&self) -> TableId {
        TableId {
            node: self.node,
            luid: self.luid,
        }
    }

    pub fn is_settled(&self) -> bool {
        self.up && self.member.as_ref().is_some_and(Member::is_settled)
    }

    /// A server starts; it knows what one before has kept, where this machine has a table.
    pub fn start(&mut self) {
        if !self.replica.has(self.id()) {
            self.replica = Replica::default();
        }
        self.starts += 1;
        let name = u64::from(self.node) << 48 | self.boot << 32 | self.starts << 16;
        self.member = Some(Member::new(self.node, self.boot, name));
        self.inbox.clear();
    }

    /// Say an order; what is to be sent.
    pub fn order(&mut self, order: Order) -> Vec<Wire> {
        self.tickets += 1;
        let message = Message {
            ticket: self.tickets,
            luid: self.luid,
            order,
        };
        self.waits.push((message.clone(), None));
        vec![Wire::Order(message)]
    }

    /// One thing of the inbox; what is to be sent.
    pub fn hear(&mut self) -> Vec<Wire> {
        let (Some(event), Some(member)) = (self.inbox.pop_front(), &mut self.member) else {
            return Vec::new();
        };
        let own = &self.replica;
        let steps = match event {
            Event::Ring(ring, machines) => member.ring(ring, machines),
            Event::Members(members) => member.joined(members),
            Event::Said(node, wire) => member.heard(node, wire, own),
        };
        self.perform(steps)
    }

    pub fn quorum(&mut self, ring: Ring, quorate: bool) -> Vec<Wire> {
        let steps = self
            .member
            .as_mut()
            .map(|member| member.quorum(ring, quorate));
        self.perform(steps.unwrap_or_default())
    }

    pub fn perform(&mut self, steps: Vec<Step>) -> Vec<Wire> {
        let mut out = Vec::new();
        let mut seen = false;
        for step in steps {
            match step {
                Step::Send(wire) => out.push(wire),
                Step::Adopt(replica) => self.replica = replica,
                Step::Agreed(epoch) => {
                    self.replica.agreed(&epoch);
                    out.extend(self.again());
                }
                Step::Apply(node, message) => {
                    self.apply(node, &message);
                    seen = true;
                }
                Step::Down(node) => drop(self.replica.down(node)),
            }
        }
        if let Some(member) = self.member.as_ref().filter(|_| seen) {
            out.push(member.seen(self.replica.orders));
        }
        self.acknowledge();
        out
    }

    fn apply(&mut self, node: NodeId, message: &Message) {
        let (luid, none) = (message.luid, self.replica.state.is_none());
        self.replica.apply(TableId { node, luid }, &message.order);
        self.born |= none && self.replica.state.is_some();
        // What was said of a table that nobody knows has done nothing.
        if node == self.node && self.replica.has(TableId { node, luid }) {
            let orders = self.replica.orders;
            let own = |(waiting, _): &&mut (Message, Option<u64>)| waiting.ticket == message.ticket;
            let waiting = self.waits.iter_mut().find(own);
            waiting
                .into_iter()
                .for_each(|(_, since)| *since = Some(orders));
        }
    }

    /// Who has waited for something says it again; who is not known any more comes anew.
    fn again(&mut self) -> Vec<Wire> {
        let makes = |(message, _): &(Message, _)| matches!(message.order, Order::Construct(_));
        let made = self.luid > 0 && !self.waits.iter().any(makes);
        if made && !self.replica.has(self.id()) {
            // Its writers were held meanwhile: they go on with another table.
            self.waits.clear();
            return self.come();
        }
        // By another number: what was said before may still come, before this.
        for (message, since) in &mut self.waits {
            self.tickets += 1;
            (message.ticket, *since) = (self.tickets, None);
        }
        let waits = self.waits.iter();
        waits
            .map(|(message, _)| Wire::Order(message.clone()))
            .collect()
    }

    /// Whether it is not said yet that its table is there, and that it runs.
    pub fn is_coming(&self) -> bool {
        let mut waits = self.waits.iter();
        waits.any(|(message, _)| matches!(message.order, Order::Resume { .. }))
    }

    /// A table is loaded and goes on.
    pub fn come(&mut self) -> Vec<Wire> {
        self.luid += 1;
        let geometry = Geometry {
            length: REGIONS * 8,
            region: 8,
        };
        let make = Make {
            geometry,
            sync: Some(Sync::NoSync),
        };
        let mut out = self.order(Order::Construct(make));
        out.extend(self.order(Order::Resume {
            legs: Some(vec!["a".into(), "b".into()]),
            clean: None,
            heard: Heard::AtOnce,
        }));
        out
    }

    /// What all know is answered.
    fn acknowledge(&mut self) {
        let Some(member) = &self.member else { return };
        let lasting = |since: &Option<u64>| since.is_some_and(|since| member.is_lasting(since));
        let done = self.waits.extract_if(.., |(_, since)| lasting(since));
        for (message, _) in done {
            if let Order::Mark(regions) = message.order {
                self.writes.extend(regions);
            }
        }
    }
}

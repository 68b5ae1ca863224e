//! One machine of a group.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::replica::{Epoch, Replica};
use super::ring::Ring;
use super::wire::{Hello, Message, Tag, Wire};
use crate::cluster::state::order::NodeId;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Say this to all members.
    Send(Wire),
    /// From now on this is the state.
    Adopt(Replica),
    /// The members have agreed. What was said before and has not come back is to be said
    /// again.
    Agreed(Epoch),
    /// A machine has said a change.
    Apply(NodeId, Message),
    /// A machine is gone for good.
    Down(NodeId),
}

/// What one machine knows of the group.
#[derive(Debug, Clone)]
pub struct Member {
    node: NodeId,
    boot: u64,
    name: u64,
    tag: Tag,
    machines: BTreeSet<NodeId>,
    /// The ring of which it was last said whether it has quorum.
    quorum: Option<(Ring, bool)>,
    hellos: BTreeMap<NodeId, Hello>,
    /// The state that was given in this epoch.
    given: Option<Replica>,
    settled: bool,
    /// Whether a log that nobody knows is begun whoever else is heard.
    begins: bool,
    /// Whether nobody can have gone on without this one since it last agreed.
    is_sure: bool,
    /// What was said in this epoch and waits until it is settled.
    said: Vec<(NodeId, Wire)>,
    /// How many orders each member has applied.
    seen: BTreeMap<NodeId, u64>,
}

impl Member {
    /// A machine that is in no group yet; `boot` tells its boot from the one before, and
    /// epochs are named from `name` on, a number that nobody else begins with.
    pub fn new(node: NodeId, boot: u64, name: u64) -> Member {
        Member {
            node,
            boot,
            name,
            tag: Tag::default(),
            machines: BTreeSet::new(),
            quorum: None,
            hellos: BTreeMap::new(),
            given: None,
            settled: false,
            begins: false,
            is_sure: false,
            said: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Whether what is said now is applied.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The machines that hear each other.
    pub fn machines(&self) -> &BTreeSet<NodeId> {
        &self.machines
    }

    /// The members of the group.
    pub fn members(&self) -> &BTreeSet<NodeId> {
        &self.tag.members
    }

    /// Another ring.
    pub fn ring(&mut self, ring: Ring, machines: BTreeSet<NodeId>, own: &Replica) -> Vec<Step> {
        if (self.tag.ring, &self.machines) == (ring, &machines) {
            return Vec::new();
        }
        // In a ring without quorum nothing is heard of those who have it.
        self.is_sure &= self.quorum == Some((self.tag.ring, true));
        self.machines = machines;
        (self.tag.ring, self.tag.round) = (ring, 0);
        self.tag.members.retain(|node| self.machines.contains(node));
        self.begin(own)
    }

    /// The members of the group are these now.
    pub fn joined(&mut self, members: BTreeSet<NodeId>, own: &Replica) -> Vec<Step> {
        if self.tag.members == members {
            return Vec::new();
        }
        (self.tag.members, self.tag.round) = (members, 0);
        self.begin(own)
    }

    /// Whether a ring has quorum.
    pub fn quorum(&mut self, ring: Ring, quorate: bool) -> Vec<Step> {
        self.quorum = Some((ring, quorate));
        self.settle()
    }

    fn begin(&mut self, own: &Replica) -> Vec<Step> {
        (self.settled, self.given) = (false, None);
        // One that was here before may have said the same of another epoch.
        self.hellos.clear();
        self.said.clear();
        if !self.tag.members.contains(&self.node) {
            return Vec::new();
        }
        self.name = self.name.wrapping_add(1);
        let hello = Hello {
            tag: self.tag.clone(),
            orders: own.is_known().then_some(own.orders),
            epochs: own.epochs(),
            last: own.last().clone(),
            is_sure: self.is_sure,
            name: self.name,
            boot: self.boot,
        };
        vec![Step::Send(Wire::Hello(hello))]
    }

    /// Say that all are to begin again, where the members do not agree for long.
    pub fn again(&self) -> Option<Step> {
        let waits = !self.settled && self.quorum == Some((self.tag.ring, true));
        let is_in = self.tag.members.contains(&self.node);
        (waits && is_in).then(|| Step::Send(Wire::Again(self.tag.clone())))
    }

    /// A message of a machine has come, as it has to all.
    pub fn heard(&mut self, node: NodeId, wire: Wire, own: &Replica) -> Vec<Step> {
        match wire {
            Wire::Hello(hello) if hello.tag == self.tag && !self.settled => {
                self.hellos.insert(node, hello);
                let mut steps = self.give(own);
                steps.extend(self.settle());
                steps
            }
            Wire::Again(tag) if tag == self.tag => {
                self.tag.round += 1;
                self.begin(own)
            }
            Wire::State(tag, replica) if tag == self.tag && !self.settled => {
                self.given = Some(*replica);
                self.settle()
            }
            // Of an epoch that is over.
            // Of an epoch that is over.
            Wire::Hello(_) | Wire::Again(_) | Wire::State(..) => Vec::new(),
            wire if self.settled => self.apply(node, wire).into_iter().collect(),
            wire => {
                self.said.push((node, wire));
                Vec::new()
            }
        }
    }

    /// The one that has most gives it, once all have said what they have.
    fn give(&self, own: &Replica) -> Vec<Step> {
        if !self.settled && self.have_all() && !self.are_equal() && self.best() == Some(self.node) {
            let state = Wire::State(self.tag.clone(), Box::new(own.clone()));
            return vec![Step::Send(state)];
        }
        Vec::new()
    }

    fn have_all(&self) -> bool {
        let mut members = self.tag.members.iter();
        let all = members.all(|node| self.hellos.contains_key(node));
        all && !self.tag.members.is_empty()
    }

    fn best(&self) -> Option<NodeId> {
        let known = self
            .hellos
            .iter()
            .filter(|(_, hello)| hello.orders.is_some());
        let best =
            known.max_by_key(|(node, hello)| (hello.epochs.0, hello.orders, Reverse(**node)));
        best.map(|(node, _)| *node)
    }

    fn are_equal(&self) -> bool {
        let mut all = self.hellos.values().map(|hello| {
            let known = hello.orders.map(|_| hello.epochs);
            (hello.orders, known)
        });
        let first = all.next();
        all.all(|other| Some(other) == first)
    }

    /// Go on as far as that is.
    fn settle(&mut self) -> Vec<Step> {
        let quorate = self.quorum == Some((self.tag.ring, true));
        let known = self.have_all() && (self.are_equal() || self.given.is_some());
        if self.settled || !quorate || !known || self.best().is_none() && !self.may_begin() {
            return Vec::new();
        }
        (self.settled, self.is_sure) = (true, true);
        // Where nobody has anything, all begin with nothing.
        let nothing = self.best().is_none().then(Replica::default);
        let given = self.given.take().or(nothing);
        let divided = given.as_ref().is_some_and(|given| self.is_divided(given));
        let doubtful = divided || self.is_outdated();
        let own = self.hellos.iter().find_map(|(_, hello)| hello.orders);
        let orders = given.as_ref().map(|given| given.orders).or(own);
        let members = self.tag.members.iter();
        self.seen = members.map(|node| (*node, orders.unwrap_or(0))).collect();
        let boots = self.hellos.iter().map(|(node, hello)| (*node, hello.boot));
        let epoch = Epoch {
            name: self.hellos.iter().next().map_or(0, |(_, hello)| hello.name),
            machines: self.machines.clone(),
            boots: boots.collect(),
            doubtful,
        };
        let mut steps: Vec<Step> = given.map(Step::Adopt).into_iter().collect();
        steps.push(Step::Agreed(epoch));
        for (node, wire) in std::mem::take(&mut self.said) {
            steps.extend(self.apply(node, wire));
        }
        steps
    }

    /// Whether somebody may have gone on from the state of the one that has most, and be gone:
    /// one that agreed on it, and is not here with what it has.
    fn is_outdated(&self) -> bool {
        let best = self.best().and_then(|best| self.hellos.get(&best));
        let Some(best) = best.filter(|best| !best.is_sure) else {
            return false;
        };
        let here = |node: &NodeId, boot: u64| {
            let mut hellos = self.hellos.iter();
            hellos
                .any(|(other, hello)| other == node && hello.boot == boot && hello.orders.is_some())
        };
        best.last.iter().any(|(node, boot)| !here(node, *boot))
    }

    /// Whether there is nothing to know: somebody who is heard and runs no server may have
    /// the log, and be writing.
    fn may_begin(&self) -> bool {
        self.begins || self.machines == self.tag.members
    }

    /// Those who are heard and run no server have not the log: begin it without them.
    pub fn begin_without(&mut self) -> Vec<Step> {
        self.begins = true;
        self.settle()
    }

    /// The machines that are waited for: they are heard, run no server, and may have the log.
    pub fn silent(&self) -> BTreeSet<NodeId> {
        let nothing = !self.settled && self.have_all() && self.best().is_none();
        let silent = self.machines.difference(&self.tag.members);
        silent.filter(|_| nothing).copied().collect()
    }

    /// Whether a member has gone on from what the state given does not come from.
    fn is_divided(&self, given: &Replica) -> bool {
        let known = self
            .hellos
            .iter()
            .filter(|(_, hello)| hello.orders.is_some());
        let mut epochs = known.map(|(_, hello)| hello.epochs.1);
        epochs.any(|epoch| !given.comes_from(epoch))
    }

    fn apply(&mut self, node: NodeId, wire: Wire) -> Option<Step> {
        match wire {
            Wire::Order(message) => Some(Step::Apply(node, message)),
            Wire::Down(gone) => Some(Step::Down(gone)),
            Wire::Seen(orders) => {
                self.seen.insert(node, orders);
                None
            }
            Wire::Hello(_) | Wire::State(..) | Wire::Again(_) => None,
        }
    }

    /// Whether all members have applied so many orders: whoever dies then, what they say is
    /// known.
    pub fn is_lasting(&self, orders: u64) -> bool {
        let others = self.seen.iter().filter(|(node, _)| **node != self.node);
        self.settled && others.into_iter().all(|(_, seen)| *seen >= orders)
    }
}

//! One machine of a group.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::replica::{Epoch, Replica};
use super::ring::Ring;
use super::wire::{Hello, Message, Wire};
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
    ring: Ring,
    members: BTreeSet<NodeId>,
    machines: BTreeSet<NodeId>,
    /// The ring of which it was last said whether it has quorum.
    quorum: Option<(Ring, bool)>,
    /// By which this epoch is known, once the lowest member has said so.
    begun: Option<u64>,
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
    /// The name of the last epoch that was agreed on.
    epoch: u64,
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
            ring: Ring::default(),
            members: BTreeSet::new(),
            machines: BTreeSet::new(),
            quorum: None,
            begun: None,
            hellos: BTreeMap::new(),
            given: None,
            settled: false,
            begins: false,
            is_sure: false,
            said: Vec::new(),
            epoch: 0,
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
        &self.members
    }

    /// Another ring.
    pub fn ring(&mut self, ring: Ring, machines: BTreeSet<NodeId>) -> Vec<Step> {
        if (self.ring, &self.machines) == (ring, &machines) {
            return Vec::new();
        }
        // In a ring without quorum nothing is heard of those who have it.
        self.is_sure &= self.quorum == Some((self.ring, true));
        self.machines = machines;
        self.ring = ring;
        self.members.retain(|node| self.machines.contains(node));
        self.begin()
    }

    /// The members of the group are these now.
    pub fn joined(&mut self, members: BTreeSet<NodeId>) -> Vec<Step> {
        if self.members == members {
            return Vec::new();
        }
        self.members = members;
        self.begin()
    }

    /// Whether a ring has quorum.
    pub fn quorum(&mut self, ring: Ring, quorate: bool) -> Vec<Step> {
        self.quorum = Some((ring, quorate));
        self.settle()
    }

    fn begin(&mut self) -> Vec<Step> {
        (self.settled, self.given, self.begun) = (false, None, None);
        self.hellos.clear();
        self.said.clear();
        if self.members.first() != Some(&self.node) {
            return Vec::new();
        }
        self.name = self.name.wrapping_add(1);
        vec![Step::Send(Wire::Begin(self.name))]
    }

    /// The epoch has begun with all: what this one has.
    fn hello(&self, epoch: u64, own: &Replica) -> Step {
        Step::Send(Wire::Hello(Hello {
            epoch,
            orders: own.is_known().then_some(own.orders),
            epochs: own.epochs(),
            boots: own.boots().clone(),
            is_sure: self.is_sure,
            boot: self.boot,
        }))
    }

    /// Say that all are to begin again, where the members do not agree for long.
    pub fn again(&self) -> Option<Step> {
        let waits = !self.settled && self.quorum == Some((self.ring, true));
        let begun = self.begun.filter(|_| waits);
        begun.map(|epoch| Step::Send(Wire::Again(epoch)))
    }

    /// A message of a machine has come, as it has to all.
    pub fn heard(&mut self, node: NodeId, wire: Wire, own: &Replica) -> Vec<Step> {
        match wire {
            // The first one counts with all: one that was said before it may come after it.
            Wire::Begin(epoch) if self.begun.is_none() && self.members.first() == Some(&node) => {
                self.begun = Some(epoch);
                let is_in = self.members.contains(&self.node);
                is_in.then(|| self.hello(epoch, own)).into_iter().collect()
            }
            Wire::Hello(hello) if self.is_of(hello.epoch) && !self.settled => {
                self.hellos.insert(node, hello);
                let mut steps = self.give(own);
                steps.extend(self.settle());
                steps
            }
            Wire::Again(epoch) if self.is_of(epoch) => self.begin(),
            Wire::State(epoch, replica) if self.is_of(epoch) && !self.settled => {
                self.given.get_or_insert(*replica);
                self.settle()
            }
            // Of an epoch that is over.
            Wire::Begin(_) | Wire::Hello(_) | Wire::Again(_) | Wire::State(..) => Vec::new(),
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
            let state = Wire::State(self.begun.unwrap_or_default(), Box::new(own.clone()));
            return vec![Step::Send(state)];
        }
        Vec::new()
    }

    fn is_of(&self, epoch: u64) -> bool {
        self.begun == Some(epoch)
    }

    fn have_all(&self) -> bool {
        let mut members = self.members.iter();
        let all = members.all(|node| self.hellos.contains_key(node));
        all && !self.members.is_empty()
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
        let quorate = self.quorum == Some((self.ring, true));
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
        let members = self.members.iter();
        self.seen = members.map(|node| (*node, orders.unwrap_or(0))).collect();
        let boots = self.hellos.iter().map(|(node, hello)| (*node, hello.boot));
        self.epoch = self.begun.unwrap_or_default();
        let epoch = Epoch {
            name: self.epoch,
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
    /// one that had part in it, and is not here with what it has.
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
        best.boots.iter().any(|(node, boot)| !here(node, *boot))
    }

    /// Whether there is nothing to know: somebody who is heard and runs no server may have
    /// the log, and be writing.
    fn may_begin(&self) -> bool {
        self.begins || self.machines == self.members
    }

    /// Those who are heard and run no server have not the log: begin it without them.
    pub fn begin_without(&mut self) -> Vec<Step> {
        self.begins = true;
        self.settle()
    }

    /// The machines that are waited for: they are heard, run no server, and may have the log.
    pub fn silent(&self) -> BTreeSet<NodeId> {
        let nothing = !self.settled && self.have_all() && self.best().is_none();
        let silent = self.machines.difference(&self.members);
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
            // It may be heard again by now.
            Wire::Down(gone) => (!self.machines.contains(&gone)).then_some(Step::Down(gone)),
            Wire::Seen(epoch, orders) => {
                if epoch == self.epoch {
                    self.seen.insert(node, orders);
                }
                None
            }
            Wire::Begin(_) | Wire::Hello(_) | Wire::State(..) | Wire::Again(_) => None,
        }
    }

    /// What this one says once it has applied so many orders.
    pub fn seen(&self, orders: u64) -> Wire {
        Wire::Seen(self.epoch, orders)
    }

    /// Whether all members have applied so many orders: whoever dies then, what they say is
    /// known.
    pub fn is_lasting(&self, orders: u64) -> bool {
        let others = self.seen.iter().filter(|(node, _)| **node != self.node);
        self.settled && others.into_iter().all(|(_, seen)| *seen >= orders)
    }
}

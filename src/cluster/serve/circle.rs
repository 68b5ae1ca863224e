//! A log and the other machines that have it.

use std::collections::BTreeSet;

use super::act::Act;
use super::disk::Disk;
use super::log::Log;
use super::record::Record;
use super::waiting::For;
use crate::cluster::group::{Message, Ring, Step, Wire};
use crate::cluster::state::order::{NodeId, Order, TableId};
use crate::cluster::state::touched::Touched;
use crate::cluster::ulog::question::Question;

/// How many ticks those who are to agree are waited for.
const PATIENCE: u32 = 3;

/// How many ticks a machine that is not heard any more has to hold its writers.
const HOLD: u32 = 8;

/// How many ticks a machine is waited for that is heard and runs no server, where nobody
/// knows the log.
const SILENCE: u32 = 30;

impl Log {
    /// Another ring of machines that hear each other.
    pub fn ring(&mut self, ring: Ring, machines: &BTreeSet<NodeId>, out: &mut Vec<Act>) {
        let steps = self.member.ring(ring, machines.clone());
        self.take(steps, out);
    }

    /// These machines have the log.
    pub fn joined(&mut self, members: BTreeSet<NodeId>, out: &mut Vec<Act>) {
        let steps = self.member.joined(members);
        self.take(steps, out);
    }

    /// Whether a ring has quorum.
    pub fn quorum(&mut self, ring: Ring, quorate: bool, out: &mut Vec<Act>) {
        let steps = self.member.quorum(ring, quorate);
        self.take(steps, out);
    }

    /// A machine of the group says something.
    pub fn heard(&mut self, node: NodeId, wire: Wire, out: &mut Vec<Act>) {
        let steps = self.member.heard(node, wire, &self.replica);
        self.take(steps, out);
    }

    fn take(&mut self, steps: Vec<Step>, out: &mut Vec<Act>) {
        let mut others = false;
        for step in steps {
            match step {
                Step::Send(wire) => out.push(Act::Send(self.name.clone(), Box::new(wire))),
                Step::Adopt(replica) => {
                    self.replica = replica;
                    self.touch(&Touched::All);
                    self.keep_all(out);
                }
                Step::Agreed(epoch) => {
                    let touched = self.replica.agreed(&epoch);
                    self.touch(&touched);
                    self.keep_all(out);
                    self.agreed(out);
                }
                Step::Apply(node, message) => {
                    others |= node != self.node;
                    self.apply(node, &message, out);
                }
                Step::Down(node) => {
                    let touched = self.replica.down(node);
                    self.touch(&touched);
                    self.keep_all(out);
                }
            }
        }
        if others {
            let seen = self.member.seen(self.replica.orders);
            out.push(Act::Send(self.name.clone(), Box::new(seen)));
        }
        self.settle(out);
    }

    fn keep_all(&self, out: &mut Vec<Act>) {
        let all = Record::All(Box::new(self.kept()));
        out.push(Act::Keep(self.name.clone(), all));
    }

    fn touch(&mut self, touched: &Touched) {
        if let (Some(state), Some(disk)) = (&self.replica.state, &mut self.disk) {
            if disk.regions() == state.regions() {
                disk.touch(touched, state);
            } else {
                // A table of another size, on the same device: nothing there is of it.
                *disk = Disk::new(disk.device().clone(), state, None);
            }
        }
    }

    /// The members have agreed: what was asked meanwhile is looked at, what was said is said
    /// again.
    fn agreed(&mut self, out: &mut Vec<Act>) {
        for message in self.orders.again() {
            out.push(Act::Send(self.name.clone(), Box::new(Wire::Order(message))));
        }
        for packet in std::mem::take(&mut self.held) {
            self.asked(packet, out);
        }
    }

    /// Say an order to the group; by which it is known.
    pub(super) fn send(&mut self, luid: u64, order: Order, out: &mut Vec<Act>) -> u64 {
        let (key, message) = self.orders.say(luid, order);
        // Else it is said once the members have agreed.
        if self.member.is_settled() {
            out.push(Act::Send(self.name.clone(), Box::new(Wire::Order(message))));
        }
        key
    }

    /// A machine has said an order, which all hear in the same sequence.
    fn apply(&mut self, node: NodeId, message: &Message, out: &mut Vec<Act>) {
        let luid = message.luid;
        let id = TableId { node, luid };
        let was_there = self.replica.has(id) || matches!(message.order, Order::Construct(_));
        let applied = self.replica.apply(id, &message.order);
        let orders = self.replica.orders;
        let record = Record::Order(orders, id, message.order.clone());
        out.push(Act::Keep(self.name.clone(), record));
        let own = node == self.node;
        if own && matches!(message.order, Order::Resume { .. }) {
            self.open_disk(luid);
        }
        self.touch(&applied.touched);
        if own {
            self.orders.came_back(message.ticket, orders, applied.work);
        }
        if own && !was_there {
            self.not_there(luid, out);
        }
    }

    /// What all know of by now is answered, or waits for what else there is.
    pub(super) fn all_know(&mut self, out: &mut Vec<Act>) {
        let member = &self.member;
        for (key, work) in self.orders.done(|orders| member.is_lasting(orders)) {
            let waited = self
                .waiting
                .take(|request| request.awaits == For::Order(key));
            for mut request in waited {
                request.work = work;
                let luid = request.packet.luid;
                let lasts = matches!(
                    request.question,
                    Question::Resume | Question::Mark(_) | Question::Flush(_)
                );
                match request.question {
                    Question::Presuspend => self.waiting.back(request.awaiting(For::Others)),
                    _ if lasts && self.has_disk() => {
                        let order = self.replica.orders;
                        self.waiting.back(request.awaiting(For::Disk(order)));
                    }
                    Question::Destroy => {
                        self.reply(request, out);
                        self.entries.remove(&luid);
                        self.close_disk();
                    }
                    _ => self.reply(request, out),
                }
            }
        }
    }

    /// Time has gone by, a second or so, and the members have not agreed, or somebody is not
    /// heard.
    pub(super) fn tick_group(&mut self, out: &mut Vec<Act>) {
        self.ticks = if self.member.is_settled() {
            0
        } else {
            self.ticks + 1
        };
        let silent = self.member.silent();
        if silent.is_empty() && self.ticks > 0 && self.ticks.is_multiple_of(PATIENCE) {
            let again = self.member.again().into_iter().collect();
            self.take(again, out);
        }
        if self.ticks == SILENCE && !silent.is_empty() {
            let (name, silent) = (&self.name, &silent);
            let sentence = format!(
                "the log {name} begins anew; if machine {silent:?} has it too, its server has to run"
            );
            out.push(Act::Warn(sentence));
            let steps = self.member.begin_without();
            self.take(steps, out);
        }
        self.tick_unheard(out);
    }

    fn tick_unheard(&mut self, out: &mut Vec<Act>) {
        let unheard = self.replica.unheard(self.member.machines());
        self.unheard.retain(|node, _| unheard.contains(node));
        let settled = self.member.is_settled();
        let says = settled && self.member.members().first() == Some(&self.node);
        for node in unheard {
            let ticks = self.unheard.entry(node).or_default();
            *ticks += 1;
            if *ticks >= HOLD && says {
                out.push(Act::Send(self.name.clone(), Box::new(Wire::Down(node))));
            }
        }
    }
}

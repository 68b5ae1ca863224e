//! What a log server does with what it is asked, and what its group says: pure, it answers
//! what is to be done.

pub mod act;
mod circle;
mod disk;
mod entry;
mod life;
mod log;
mod on_disk;
mod orders;
pub mod record;
mod reply;
mod rest;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::act::{Act, Done, Looked};
use self::log::Log;
use self::record::{Kept, Record};
use super::group::{Member, Ring, Wire};
use super::state::order::NodeId;
use super::ulog::answer::Answer;
use super::ulog::packet::Packet;
use super::ulog::question::Question;

/// A server: all logs of this machine.
#[derive(Debug)]
pub struct Server {
    node: NodeId,
    /// What tells this boot from the one before.
    boot: u64,
    /// By which the next epochs are known.
    name: u64,
    ring: Ring,
    machines: BTreeSet<NodeId>,
    quorum: Option<(Ring, bool)>,
    logs: BTreeMap<String, Log>,
}

impl Server {
    /// One that knows of no log; `boot` tells this boot from the one before, and nobody else
    /// names epochs from `name` on.
    pub fn new(node: NodeId, boot: u64, name: u64) -> Server {
        Server {
            node,
            boot,
            name,
            ring: Ring::default(),
            machines: BTreeSet::new(),
            quorum: None,
            logs: BTreeMap::new(),
        }
    }

    /// The same of a machine that no other one hears, and that is enough for itself.
    pub fn alone(node: NodeId, boot: u64, name: u64) -> Server {
        let mut server = Server::new(node, boot, name);
        let ring = Ring { seq: 1, node };
        server.ring(ring, BTreeSet::from([node]));
        server.quorum(ring, true);
        server
    }

    /// A log that this machine has from now on.
    fn begin(&mut self, name: &str, kept: Kept, out: &mut Vec<Act>) {
        // Each has many epochs before the next one's begin.
        self.name = self.name.wrapping_add(1 << 32);
        let member = Member::new(self.node, self.boot, self.name);
        let mut log = Log::new(name, self.node, member, kept);
        log.ring(self.ring, &self.machines, out);
        if let Some((ring, quorate)) = self.quorum {
            log.quorum(ring, quorate, out);
        }
        out.push(Act::Join(name.into()));
        self.logs.insert(name.into(), log);
    }

    /// What a server before has kept of a log.
    pub fn take_over(&mut self, name: &str, records: Vec<Record>) -> Vec<Act> {
        let mut out = Vec::new();
        self.begin(name, Kept::of(records), &mut out);
        out.extend(self.with(name, |log, out| log.taken_over(out)));
        out
    }

    /// Another ring of machines that hear each other.
    pub fn ring(&mut self, ring: Ring, machines: BTreeSet<NodeId>) -> Vec<Act> {
        let mut out = Vec::new();
        for log in self.logs.values_mut() {
            log.ring(ring, &machines, &mut out);
        }
        (self.ring, self.machines) = (ring, machines);
        out
    }

    /// Whether a ring has quorum.
    pub fn quorum(&mut self, ring: Ring, quorate: bool) -> Vec<Act> {
        let mut out = Vec::new();
        for log in self.logs.values_mut() {
            log.quorum(ring, quorate, &mut out);
        }
        self.quorum = Some((ring, quorate));
        out
    }

    /// These machines have a log.
    pub fn joined(&mut self, name: &str, members: BTreeSet<NodeId>) -> Vec<Act> {
        self.with(name, |log, out| log.joined(members, out))
    }

    /// All that is to be kept of a log.
    pub fn kept(&self, name: &str) -> Option<Record> {
        self.logs
            .get(name)
            .map(|log| Record::All(Box::new(log.kept())))
    }

    /// The kernel asks.
    pub fn asked(&mut self, packet: Packet) -> Vec<Act> {
        let name = packet.uuid.clone();
        let question = Question::of(&packet);
        let mut out = Vec::new();
        let makes = matches!(question, Some(Question::Construct(_)));
        if makes && !self.logs.contains_key(&name) {
            self.begin(&name, Kept::default(), &mut out);
        }
        if self.logs.contains_key(&name) {
            out.extend(self.with(&name, |log, out| log.asked(packet, out)));
            return out;
        }
        let answer = match question {
            Some(Question::Destroy) => Answer::Done,
            _ => Answer::Unknown,
        };
        vec![Act::Answer(answer.to_message(&packet, question.as_ref()))]
    }

    /// A machine says something to those who have a log.
    pub fn heard(&mut self, name: &str, node: NodeId, wire: Wire) -> Vec<Act> {
        self.with(name, |log, out| log.heard(node, wire, out))
    }

    /// Somebody has looked at what is below a table of this machine.
    pub fn looked(&mut self, name: &str, luid: u64, looked: &Looked) -> Vec<Act> {
        self.with(name, |log, out| log.looked(luid, looked, out))
    }

    /// A job of a disk log is done.
    pub fn written(&mut self, name: &str, number: u64, done: Done) -> Vec<Act> {
        self.with(name, |log, out| log.written(number, done, out))
    }

    /// The device of a log was cured, or could not be.
    pub fn cured(&mut self, name: &str) -> Vec<Act> {
        self.with(name, |log, _| log.cured())
    }

    /// A second has gone by.
    pub fn tick(&mut self) -> Vec<Act> {
        let mut out = Vec::new();
        self.logs.values_mut().for_each(|log| log.tick(&mut out));
        out
    }

    /// Do this with a log; one that is over is left.
    fn with(&mut self, name: &str, does: impl FnOnce(&mut Log, &mut Vec<Act>)) -> Vec<Act> {
        let mut out = Vec::new();
        if let Some(log) = self.logs.get_mut(name) {
            does(log, &mut out);
            if log.is_over() {
                self.logs.remove(name);
                out.push(Act::Leave(name.into()));
            }
        }
        out
    }
}

//! What a log server does with what it is asked, and what its group says: pure, it answers
//! what is to be done.

pub mod act;
mod disk;
mod entry;
mod life;
mod log;
mod on_disk;
pub mod record;
mod reply;
mod rest;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::act::{Act, Done, Looked};
use self::log::Log;
use self::record::{Kept, Record};
use super::group::Message;
use super::state::order::NodeId;
use super::ulog::answer::Answer;
use super::ulog::packet::Packet;
use super::ulog::question::Question;

/// A server: all logs of this machine.
#[derive(Debug)]
pub struct Server {
    node: NodeId,
    logs: BTreeMap<String, Log>,
}

impl Server {
    /// One that knows of no log.
    pub fn new(node: NodeId) -> Server {
        Server {
            node,
            logs: BTreeMap::new(),
        }
    }

    /// What a server before has kept of a log.
    pub fn take_over(&mut self, name: &str, records: Vec<Record>) -> Vec<Act> {
        let log = Log::new(name, self.node, Kept::of(records));
        let mut out = Vec::new();
        if log.is_over() {
            out.push(Act::Forget(name.into()));
        } else {
            log.taken_over(&mut out);
            self.logs.insert(name.into(), log);
        }
        out
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
        if matches!(question, Some(Question::Construct(_))) {
            let log = || Log::new(&name, self.node, Kept::default());
            self.logs.entry(name.clone()).or_insert_with(log);
        }
        if self.logs.contains_key(&name) {
            return self.with(&name, |log, out| log.asked(packet, out));
        }
        let answer = match question {
            Some(Question::Destroy) => Answer::Done,
            _ => Answer::Unknown,
        };
        vec![Act::Answer(answer.to_message(&packet, question.as_ref()))]
    }

    /// The group of a log says a message of a machine.
    pub fn delivered(&mut self, name: &str, node: NodeId, message: &Message) -> Vec<Act> {
        self.with(name, |log, out| log.delivered(node, message, out))
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

    /// Do this with a log; one that is over is forgotten.
    fn with(&mut self, name: &str, does: impl FnOnce(&mut Log, &mut Vec<Act>)) -> Vec<Act> {
        let mut out = Vec::new();
        if let Some(log) = self.logs.get_mut(name) {
            does(log, &mut out);
            if log.is_over() {
                self.logs.remove(name);
                out.push(Act::Forget(name.into()));
            }
        }
        out
    }
}

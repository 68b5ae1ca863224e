//! A log: what its kernel asks, and what its group says.

use std::collections::BTreeMap;

use super::act::Act;
use super::disk::Disk;
use super::entry::Entry;
use super::orders::Orders;
use super::record::Kept;
use super::reply::Asked;
use super::rest::Rest;
use super::waiting::{For, Request, Waiting};
use crate::cluster::group::{Member, Replica};
use crate::cluster::state::order::{NodeId, Order, TableId};
use crate::cluster::ulog::answer::Answer;
use crate::cluster::ulog::constructor::Constructor;
use crate::cluster::ulog::packet::Packet;
use crate::cluster::ulog::question::Question;
use crate::error::Errno;

/// A log.
#[derive(Debug, Clone)]
pub struct Log {
    pub(super) name: String,
    pub(super) node: NodeId,
    pub(super) replica: Replica,
    /// The tables of this machine.
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) waiting: Waiting,
    pub(super) disk: Option<Disk>,
    /// Of jobs, so that each is known when it is done.
    numbers: u64,
    pub(super) member: Member,
    pub(super) orders: Orders,
    /// What was asked while the members had not agreed.
    pub(super) held: Vec<Packet>,
    /// How long they have not, and since when somebody is not heard, in ticks.
    pub(super) ticks: u32,
    pub(super) unheard: BTreeMap<NodeId, u32>,
    pub(super) rest: Rest,
}

impl Log {
    /// One of which this is known.
    pub fn new(name: &str, node: NodeId, member: Member, kept: Kept) -> Log {
        let entry = |(luid, words): (u64, String)| {
            let made = Constructor::parse(&words).ok()?;
            let known = Entry {
                again: false,
                known: true,
                ..Entry::new(made, &words)
            };
            Some((luid, known))
        };
        let mut log = Log {
            name: name.into(),
            node,
            replica: kept.replica,
            entries: kept.words.into_iter().filter_map(entry).collect(),
            waiting: Waiting::default(),
            disk: None,
            numbers: 0,
            member,
            orders: Orders::default(),
            held: Vec::new(),
            ticks: 0,
            unheard: BTreeMap::new(),
            rest: Rest::default(),
        };
        let replica = &log.replica;
        let is_there = |luid| replica.has(TableId { node, luid });
        log.entries.retain(|luid, _| is_there(*luid));
        log
    }

    /// All that is to be kept of it.
    pub fn kept(&self) -> Kept {
        let words = self.entries.iter();
        Kept {
            replica: self.replica.clone(),
            words: words
                .map(|(luid, entry)| (*luid, entry.words.clone()))
                .collect(),
        }
    }

    /// Whether this machine has nothing to do with it.
    pub fn is_over(&self) -> bool {
        self.entries.is_empty() && self.held.is_empty() && self.orders.is_empty()
    }

    /// The kernel asks.
    pub fn asked(&mut self, packet: Packet, out: &mut Vec<Act>) {
        let Some(question) = Question::of(&packet) else {
            let refused = Answer::Refused(Errno::EINVAL);
            return answer(&packet, None, &refused, out);
        };
        if self.waiting.is_repeated(&packet) {
            return;
        }
        let tells = matches!(question, Question::StatusInfo | Question::StatusTable);
        if !self.member.is_settled() && !tells {
            return self.hold(packet);
        }
        let luid = packet.luid;
        match &question {
            Question::Construct(words) => {
                let words = words.clone();
                self.construct(packet, question, &words, out);
            }
            Question::Destroy if !self.replica.has(self.id(luid)) => {
                self.entries.remove(&luid);
                answer(&packet, Some(&question), &Answer::Done, out);
            }
            Question::RegionSize if self.entries.contains_key(&luid) => {
                self.size(packet, question, out);
            }
            _ if !self.is_known(luid) || self.is_unheard(luid, &question) => {
                answer(&packet, Some(&question), &Answer::Unknown, out);
            }
            Question::Resume => self.resume(packet, question, out),
            _ => match self.order_of(&question, luid) {
                Some(order) => self.ordered(packet, question, order, out),
                None => self.reply(Request::new(packet, question), out),
            },
        }
    }

    fn is_known(&self, luid: u64) -> bool {
        self.entries.contains_key(&luid) && self.replica.has(self.id(luid))
    }

    /// Answer it once the members have agreed; what was sent again is answered once.
    fn hold(&mut self, packet: Packet) {
        let what = |packet: &Packet| (packet.luid, packet.kind, packet.data.clone());
        self.held.retain(|before| what(before) != what(&packet));
        self.held.push(packet);
    }

    /// The order that a question is, if it is one.
    fn order_of(&self, question: &Question, luid: u64) -> Option<Order> {
        let (state, id) = (self.replica.state.as_ref(), self.id(luid));
        match question {
            Question::Destroy => Some(Order::Destroy),
            Question::Presuspend => Some(Order::Presuspend),
            Question::Postsuspend => Some(Order::Postsuspend),
            Question::Flush(regions) if regions.is_empty() => None,
            Question::Mark(regions) | Question::Flush(regions) => {
                Some(Order::Mark(regions.clone()))
            }
            Question::Clear(regions) => Some(Order::Clear(regions.clone())),
            Question::SetSync { region, in_sync } => Some(Order::SetSync {
                region: *region,
                in_sync: *in_sync,
            }),
            Question::ResyncWork => {
                let idle = state.is_some_and(|state| state.is_idle(id));
                (!idle).then_some(Order::Work)
            }
            Question::IsRemoteRecovering(region) => {
                let wants = state.is_some_and(|state| state.is_to_order(id, *region));
                wants.then_some(Order::Write(*region))
            }
            _ => None,
        }
    }

    /// Say an order to the group, and wait for it.
    pub(super) fn ordered(
        &mut self,
        packet: Packet,
        question: Question,
        order: Order,
        out: &mut Vec<Act>,
    ) {
        let key = self.send(packet.luid, order, out);
        self.waiting.add(packet, question, For::Order(key));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A table is not known, or not any more: what was asked of it has done nothing, and its
    /// kernel makes it again.
    pub(super) fn not_there(&mut self, luid: u64, out: &mut Vec<Act>) {
        let waits = |request: &Request| {
            let ordered = matches!(request.awaits, For::Order(_));
            let gone = request.question == Question::Destroy;
            request.packet.luid == luid && ordered && !gone
        };
        for request in self.waiting.take(waits) {
            answer(
                &request.packet,
                Some(&request.question),
                &Answer::Unknown,
                out,
            );
        }
    }

    /// Go on with what waits, as far as that is.
    pub(super) fn settle(&mut self, out: &mut Vec<Act>) {
        self.all_know(out);
        let orders = self.replica.orders;
        let number = self.number();
        let job = self.disk.as_mut();
        let job = job.and_then(|disk| disk.job(number, orders));
        out.extend(job.map(|job| Act::Write(self.name.clone(), job)));
        let (state, node) = (&self.replica.state, self.node);
        let disk = &self.disk;
        let ready = |request: &Request| {
            let id = TableId {
                node,
                luid: request.packet.luid,
            };
            let state = state.as_ref();
            match request.awaits {
                For::Others => state.is_none_or(|state| state.is_copied_by_no_other(id)),
                For::Disk(order) => disk.as_ref().is_some_and(|disk| disk.is_written(order)),
                For::Look | For::Order(_) => false,
            }
        };
        for request in self.waiting.take(ready) {
            self.reply(request, out);
        }
    }

    /// Answer from the state.
    pub(super) fn reply(&mut self, request: Request, out: &mut Vec<Act>) {
        let (packet, question) = (&request.packet, &request.question);
        let found = match (&self.replica.state, self.entries.get(&packet.luid)) {
            (Some(state), Some(entry)) => {
                let asked = Asked {
                    state,
                    id: self.id(packet.luid),
                    entry,
                    is_failed: self.disk.as_ref().is_some_and(Disk::has_failed),
                };
                asked.reply(question, request.work)
            }
            _ if *question == Question::Destroy => Answer::Done,
            _ => Answer::Unknown,
        };
        let found = match question {
            Question::Construct(_) => self.made(packet.luid),
            _ => found,
        };
        answer(packet, Some(question), &found, out);
    }

    pub(super) fn id(&self, luid: u64) -> TableId {
        let node = self.node;
        TableId { node, luid }
    }
}

pub(super) fn answer(
    packet: &Packet,
    question: Option<&Question>,
    answer: &Answer,
    out: &mut Vec<Act>,
) {
    out.push(Act::Answer(answer.to_message(packet, question)));
}

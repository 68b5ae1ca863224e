//! Requests that are not answered yet.

use crate::cluster::ulog::packet::Packet;
use crate::cluster::ulog::question::Question;

/// How often one request may have been sent again: the kernel waits for the last one alone.
const REPEATS: usize = 3;

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// That somebody has looked at the legs.
    Look,
    /// That the order with this ticket comes back from the group.
    Order(u64),
    /// That no other table copies.
    Others,
    /// That all up to this order is on the disk log.
    Disk(u64),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As it came.
    pub packet: Packet,
    /// What it asks.
    pub question: Question,
    /// What it waits for.
    pub awaits: For,
    /// The region that the order has come to.
    pub work: Option<u64>,
}

impl Request {
    /// One that can be answered.
    pub fn new(packet: Packet, question: Question) -> Request {
        Request {
            packet,
            question,
            awaits: For::Look,
            work: None,
        }
    }

    /// The same while it waits for this.
    pub fn awaiting(self, awaits: For) -> Request {
        Request { awaits, ..self }
    }
}

/// Those of one log.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Vec<Request>);

impl Waiting {
    /// One more.
    pub fn add(&mut self, packet: Packet, question: Question, awaits: For) {
        let request = Request::new(packet, question);
        self.0.push(request.awaiting(awaits));
    }

    /// Whether a request was sent again that waits already. The kernel does so each 15 s,
    /// and then hears the answer to the latest alone.
    pub fn is_repeated(&mut self, packet: &Packet) -> bool {
        let same = |request: &&Request| {
            let before = &request.packet;
            (before.luid, before.kind, &before.data) == (packet.luid, packet.kind, &packet.data)
        };
        let Some(first) = self.0.iter().find(same) else {
            return false;
        };
        let again = Request {
            packet: packet.clone(),
            ..first.clone()
        };
        while self.0.iter().filter(same).count() > REPEATS {
            let oldest = self.0.iter().position(|request| same(&request));
            oldest.map(|at| self.0.remove(at));
        }
        self.0.push(again);
        true
    }

    /// Those that this is true of; they wait no more.
    pub fn take(&mut self, is_ready: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.0.extract_if(.., |request| is_ready(request)).collect()
    }

    /// This one waits again.
    pub fn back(&mut self, request: Request) {
        self.0.push(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_again_answers_the_latest_and_remembers_few() {
        let packet = |seq| Packet {
            luid: 1,
            uuid: "u".into(),
            version: 3,
            seq,
            kind: 10,
            data: vec![0; 8],
        };
        let mut waiting = Waiting::default();
        assert!(!waiting.is_repeated(&packet(1)));
        waiting.add(packet(1), Question::Mark(vec![0]), For::Order(9));
        for seq in 2..20 {
            assert!(waiting.is_repeated(&packet(seq)));
        }
        let ready = waiting.take(|request| request.awaits == For::Order(9));
        let answered: Vec<u32> = ready.iter().map(|request| request.packet.seq).collect();
        assert!(
            answered.contains(&19) && answered.len() <= 4,
            "{answered:?}"
        );
        assert!(!waiting.is_repeated(&packet(20)));
    }
}

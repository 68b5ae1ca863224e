//! What a log server answers.

use nix::errno::Errno;

use super::packet::Packet;
use super::question::Question;

/// What goes back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// A number: a size, a count, yes or no.
    Number(u64),
    /// Whether there is a region to copy, or whether a write of one has to wait, and which
    /// region, or up to which one all are in sync.
    Pair(bool, u64),
    /// Text.
    Text(String),
    /// It cannot be done.
    Refused(Errno),
    /// The log is not known: the kernel makes it again.
    Unknown,
}

impl Answer {
    /// The message that goes back. Text that the kernel has no room for is none.
    pub fn to_message(&self, packet: &Packet, question: Option<&Question>) -> Vec<u8> {
        match self {
            Answer::Done => packet.answer(None, &[]),
            Answer::Number(number) => packet.answer(None, &number.to_ne_bytes()),
            Answer::Pair(is, number) => {
                let (is, number) = (u64::from(*is).to_ne_bytes(), number.to_ne_bytes());
                packet.answer(None, &[is, number].concat())
            }
            Answer::Text(text) => packet.answer(None, &[text.as_bytes(), &[0]].concat()),
            Answer::Refused(errno) => packet.answer(Some(*errno), &[]),
            // The kernel asks again with as much room as this has.
            Answer::Unknown => {
                let room = question.map_or(0, Question::room);
                packet.answer(Some(Errno::ESRCH), &vec![0; room])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_an_unknown_log_leaves_room_for_the_answer() {
        let packet = |kind| Packet {
            luid: 1,
            uuid: "u".into(),
            version: 3,
            seq: 1,
            kind,
            data: 5_u64.to_ne_bytes().to_vec(),
        };
        for (kind, room) in [(8, 8), (17, 16), (12, 16), (14, 8), (9, 0), (15, 64)] {
            let (packet, question) = (packet(kind), Question::of(&packet(kind)));
            let message = Answer::Unknown.to_message(&packet, question.as_ref());
            assert_eq!(message.len(), 196 + room, "{kind}");
            let answers = [Answer::Number(1), Answer::Pair(true, 9), Answer::Done];
            let fits = |answer: &Answer| answer.to_message(&packet, None).len() == 196 + room;
            assert!(room == 64 || answers.iter().any(fits), "{kind}");
        }
    }
}

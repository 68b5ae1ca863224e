//! What this machine has said to the group and does not know yet to be known to all.

use crate::cluster::group::Message;
use crate::cluster::state::order::Order;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    /// By which it is known here.
    key: u64,
    /// What was said, under the number of the last time.
    message: Message,
    /// How many orders had been applied with it, and the region that it has come to.
    applied: Option<(u64, Option<u64>)>,
}

/// Orders, in the sequence in which they were said.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    said: Vec<Said>,
    numbers: u64,
}

impl Orders {
    /// Say one more; by which it is known, and what is to be said.
    pub fn say(&mut self, luid: u64, order: Order) -> (u64, Message) {
        self.numbers += 1;
        let message = Message {
            ticket: self.numbers,
            luid,
            order,
        };
        self.said.push(Said {
            key: self.numbers,
            message: message.clone(),
            applied: None,
        });
        (self.numbers, message)
    }

    /// One has come back and was applied; of what was said again by another number it is not
    /// known which of both has done it.
    pub fn came_back(&mut self, ticket: u64, orders: u64, work: Option<u64>) {
        let mut said = self.said.iter_mut();
        if let Some(said) = said.find(|said| said.message.ticket == ticket) {
            said.applied = Some((orders, work));
        }
    }

    /// Those that all know, each with the region that it has come to; they are done.
    pub fn done(&mut self, is_lasting: impl Fn(u64) -> bool) -> Vec<(u64, Option<u64>)> {
        let lasting = |said: &mut Said| said.applied.is_some_and(|(orders, _)| is_lasting(orders));
        let done = self.said.extract_if(.., lasting);
        done.map(|said| (said.key, said.applied.and_then(|(_, work)| work)))
            .collect()
    }

    /// All of them, to be said once more: what was said before may still come, and comes
    /// before this.
    pub fn again(&mut self) -> Vec<Message> {
        for said in &mut self.said {
            self.numbers += 1;
            (said.message.ticket, said.applied) = (self.numbers, None);
        }
        self.said.iter().map(|said| said.message.clone()).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_done_once_all_of_it_has_come_back() {
        let mut orders = Orders::default();
        let (clear, first) = orders.say(1, Order::Clear(vec![6]));
        let (mark, second) = orders.say(1, Order::Mark(vec![6]));
        let again = orders.again();
        let orders_said: Vec<&Order> = again.iter().map(|message| &message.order).collect();
        assert_eq!(orders_said, [&first.order, &second.order]);
        // Late: the mark is to be cleared once more.
        orders.came_back(first.ticket, 10, None);
        orders.came_back(second.ticket, 11, None);
        assert_eq!(orders.done(|_| true), []);
        orders.came_back(again[0].ticket, 12, None);
        orders.came_back(again[1].ticket, 13, Some(4));
        assert_eq!(orders.done(|orders| orders <= 12), [(clear, None)]);
        assert_eq!(orders.done(|_| true), [(mark, Some(4))]);
        assert!(orders.is_empty());
    }
}

//! How the machines of a group come to one state of a log, whoever joins, dies or is cut off:
//! pure. The engine below it is corosync's: messages of all come to all in one order, as
//! long as they hear each other (a ring), and the members of the group are known (cpg(8)).
//!
//! Whenever ring or members change an *epoch* begins: the lowest member says so, since what was
//! said before may still come, each member says what it has, and once
//! all have, and the ring has quorum, who has most gives it to those that have less. Only then
//! is what was said in the epoch applied. What was said in an epoch that did not come so far is
//! nothing: who said it says it again, by another number. So a half without quorum applies and
//! acknowledges nothing.
//!
//! What is acknowledged all members have applied: an order that its sender alone has heard is
//! known to nobody once that one is gone. Who comes back with a state from which others may
//! have gone on, and are gone themselves, has it copied whole.

mod member;
mod replica;
mod ring;
mod wire;

#[cfg(test)]
mod tests;

pub use self::member::{Member, Step};
pub use self::replica::{Epoch, Replica};
pub use self::ring::Ring;
pub use self::wire::{Hello, Message, Wire};

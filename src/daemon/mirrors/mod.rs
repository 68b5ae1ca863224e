//! Which mirrors there are, and what is remembered of each.
//!
//! Owns: the registry with an entry for each mirror, who works on one, the names that
//! are taken, and how a mirror is looked at. Changes nothing in device-mapper. May not
//! know: how devices are let in, how a table is switched, what a verb is.

mod absent;
mod absentees;
mod all;
pub mod away;
mod beside;
pub mod checking;
pub mod entry;
pub mod front;
mod known;
mod last;
pub mod lease;
mod look;
pub mod mark;
mod others;
pub mod query;
pub mod refused;
pub mod registry;
pub mod release;
pub mod running;
mod sights;
mod single;
mod slow;
pub mod stalled;
mod tables;

pub use absent::not_started;

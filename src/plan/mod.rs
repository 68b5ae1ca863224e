//! What to do, decided without doing it. A request becomes a list of
//! [`step::Step`]s from a snapshot, with no I/O; [`execute`] alone acts, and
//! undoes what it did when a step fails.

pub mod afresh;
pub mod allowance;
pub mod carry;
pub mod change;
pub mod comparable;
pub mod compare;
pub mod divide;
pub mod execute;
pub mod front;
pub mod grow;
mod held_back;
mod inherit;
pub mod leg_name;
pub mod legs;
pub mod leisure;
pub mod mapped;
pub mod missing;
pub mod pace;
pub mod segments;
pub mod simple_request;
pub mod step;
pub mod steps;
pub mod verb;

//! What happened.
//!
//! Owns: the newest events as text, how many of each kind there were, and who waits for
//! the next. May not know: what a mirror is beyond its name.

pub mod counts;
pub mod kind;
pub mod log;
pub mod waiters;

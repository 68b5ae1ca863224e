//! The records kept true while mirrors are made, changed and removed.
//!
//! Owns: when a record is written and what it says, which log files were made for which
//! mirror, and when such a file goes. May not know: how a table is switched, verbs.

pub mod begun;
pub mod keep;
mod made;
pub mod managed_logs;
mod maps;
mod persist;
mod recorder;
mod sweep;

//! Another table for a mirror that is in use.
//!
//! Owns: the order of record, load, suspend, confirm and resume; what is left where a step
//! fails; trying a table again. May not know: which verb or failure asks for it.

pub mod act;
pub mod answers;
pub mod aside;
pub mod change;
mod failed;
mod front;
pub mod held;
mod layout;
pub mod lossy;
pub mod retry;
mod source;
pub mod switching;

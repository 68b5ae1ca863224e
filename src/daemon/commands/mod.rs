//! What somebody asks for, from the line that he wrote to its event.
//!
//! Owns: the order of a command: who asks, the plan, the devices, the switch, the record,
//! the event. May not know: files of the tree, the watch.

mod announce;
mod legs;
mod live;
pub mod make;
mod mapped;
mod media;
mod new;
pub mod remake;
pub mod restore;
pub mod rooms;
pub mod settings;
mod simple;
pub mod starting;
pub mod table;
pub mod verbs;

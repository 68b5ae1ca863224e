//! What must be true of a device before a byte of it becomes writable.
//!
//! Owns: who may name which device, what a table's devices are, whose they are, what is
//! on them already, the claims of requests under way, log files as devices. Changes no
//! table. May not know: which mirrors there are, records of mirrors, verbs.

pub mod admit;
mod claims;
pub mod contradiction;
pub mod cycle;
pub mod demand;
mod earlier;
pub mod extent;
mod loaded;
pub mod log_carry;
pub mod log_file;
pub mod log_trust;
pub mod looks;
pub mod own;
pub mod permission;
pub mod reload;
mod rights;
mod samples;
mod spare;

//! Who listens to the kernel.
//!
//! Owns: the thread that waits for device-mapper's events, what is told of a change, and
//! what is done by itself when something fails. Nobody in the daemon calls it, but for
//! its bell.

mod failover;
mod leaving;
mod observe;
mod remedy;
pub mod watching;

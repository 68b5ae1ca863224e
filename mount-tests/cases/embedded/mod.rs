//! What only the embedded engine has: a user without root, files that fail or
//! are sparse, a copy in the daemon itself, which can be killed.

pub mod crash;
pub mod devices;
pub mod failing;
pub mod locks;
pub mod restart;
pub mod sparse;
pub mod throttle;
pub mod user;
pub mod writeback;

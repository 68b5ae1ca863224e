//! A leg or the log fails under a writer: the daemon acts, the writer sees no
//! error, the health says what happened, what is left holds every acknowledged
//! byte.

pub mod held;
pub mod legs;
pub mod logs;
pub mod rig;
pub mod spots;

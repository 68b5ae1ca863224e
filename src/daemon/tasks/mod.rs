//! Threads, and the time that they may take.
//!
//! Owns: how a thread is started, which ones get real time, and what is owed by
//! when. May not know: mirrors, devices, events.

pub mod deadline;
pub mod hands;
pub mod idle;
pub mod realtime;
pub mod thread;

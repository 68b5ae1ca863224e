//! Threads, and the time that they may take.
//!
//! Owns: how a thread is started, which ones get real time, what is owed by when, and
//! the bell that wakes the watch. May not know: mirrors, devices, events.

pub mod bell;
pub mod deadline;
pub mod realtime;
pub mod thread;

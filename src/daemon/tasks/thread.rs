//! Threads with a name, by which `ps -L` and a panic call them.

use std::thread;

use crate::error::{Error, Result};

/// A worker formats text and makes ioctls; it needs no deep stack.
const STACK: usize = 512 * 1024;

/// Start a named thread.
///
/// # Errors
/// EAGAIN where the system has no room for one more.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let builder = thread::Builder::new().name(name.into()).stack_size(STACK);
    let started = builder.spawn(body);
    started
        .map(drop)
        .map_err(|error| Error::io(format!("starting the thread `{name}`"), &error))
}

//! The log of a mirror that several machines write: what the kernel hands to a process
//! (`userspace` log, drivers/md/dm-log-userspace-base.c). So far the kernel's protocol and the
//! state of such a log, both pure; nothing serves one yet.

pub mod state;
pub mod ulog;

//! The log of a mirror that several machines write: what the kernel hands to a process
//! (`userspace` log, drivers/md/dm-log-userspace-base.c).
//!
//! Its rooms, of which each may use those with a smaller number:
//!
//! 1. [`ulog`]: what the kernel asks and how it is answered, as bytes and text; no I/O
//! 2. [`state`]: which regions are the same on all legs, who writes and copies which; no I/O
//! 3. [`group`]: how several machines come to one state, whoever joins, dies or is cut off; no I/O
//! 4. [`serve`]: what is to be done for what was asked; no I/O
//! 5. [`run`](crate::cluster): the process `mirrorfs-logd`, which does it

pub mod group;
#[cfg(feature = "cluster")]
pub mod run;
pub mod serve;
pub mod state;
pub mod ulog;

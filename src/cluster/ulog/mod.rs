//! What the kernel asks a log server, and how it is answered: bytes and text, no I/O
//! (include/uapi/linux/dm-log-userspace.h, drivers/md/dm-log-userspace-base.c).

pub mod answer;
pub mod constructor;
pub mod packet;
pub mod question;

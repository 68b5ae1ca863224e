//! What is known of a mirror after a reboot, as files.
//!
//! Owns: the format of a record, the folder of records, and how a file is written so
//! that it is there after a power cut and nobody else's. May not know: which mirrors run.

pub mod durable;
pub mod private;
pub mod record;
pub mod store;

//! mirrorfs: device-mapper mirrors as files.
//!
//! Imports go one way, in this order; a test in `mount-tests` holds it:
//!
//! 1. [`error`]: an errno and a sentence
//! 2. [`text`]: tables, statuses, log headers, requests, as text; no I/O
//! 3. [`engine`]: the seam to device-mapper, and the kernel behind it
//! 4. [`model`]: a mirror at one moment, and what follows from it; no I/O
//! 5. [`plan`]: what to do, as steps; one executor that does and undoes them
//! 6. [`daemon`]: which mirrors there are, making and changing them, events
//! 7. [`tree`]: the files, a row each
//! 8. [`fuse`]: FUSE's requests handed through
//! 9. [`command`]: the command line, the mount, the background
//! 10. [`cluster`]: the log of a mirror that several machines write, and its server
//!
//! A module may use those with a smaller number, never those with a larger one.

pub mod cluster;
pub mod command;
pub mod daemon;
pub mod engine;
pub mod error;
pub mod fuse;
pub mod model;
pub mod plan;
pub mod text;
pub mod tree;

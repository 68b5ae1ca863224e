//! One slow thing holds up nobody: a case for each thing that can hang, and in each the
//! same is done elsewhere and timed. `mount-tests/run slow` prints them as a table.

mod bench;
pub mod files;
mod rows;
pub mod stress;
mod verbs;

/// Why the kernel's engine alone has them.
const WRITERS: &str = "no writer waits for a mirror of the embedded engine";

pub use rows::CASES as ROWS;
pub use verbs::CASES as VERBS;

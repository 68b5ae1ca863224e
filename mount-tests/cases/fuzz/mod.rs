//! Random input: what nobody would write, to whatever reads text, and calls that nobody
//! would make, to whatever is in the tree. Each prints its seed; `MIRRORFS_SEED` takes it
//! again.

pub mod calls;
mod input;
pub mod model;
pub mod parsers;

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lab::long;

/// Where a run begins.
fn seed() -> u64 {
    let given = env::var("MIRRORFS_SEED")
        .ok()
        .and_then(|word| word.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    given.unwrap_or_else(|| now.map_or(1, |now| now.as_secs()))
}

/// How long it takes.
fn time() -> Duration {
    let given = env::var("MIRRORFS_FUZZ_SECONDS")
        .ok()
        .and_then(|word| word.parse().ok());
    Duration::from_secs(given.unwrap_or(if long() { 600 } else { 20 }))
}

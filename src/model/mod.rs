//! One mirror as it was at one moment, and what follows from it. Pure: it is
//! built from what the seam answered and does no I/O itself.

pub mod check;
pub mod failure;
pub mod grounds;
pub mod health;
pub mod id;
pub mod map;
pub mod ownership;
mod parts;
pub mod places;
pub mod policy;
pub mod progress;
pub mod rate;
pub mod settings;
pub mod shared;
pub mod snapshot;
pub mod spots;
pub mod whole;

#[cfg(test)]
pub(crate) mod tests;

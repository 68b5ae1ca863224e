//! A source with bad spots: they are set aside, and all else goes on.

pub mod in_use;
pub mod kept;
pub mod mapped;
pub mod medium;
pub mod reader;
pub mod segments;
pub mod spots;

//! The number of a mirror.

use std::fmt;

/// A mirror's number in this daemon's life. It is never given twice, so that a name or a
/// device number that is used again is not mistaken for what had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MirrorId(u64);

impl MirrorId {
    /// The number as the inode numbers have it; 0 is no mirror's.
    pub const fn new(number: u64) -> MirrorId {
        MirrorId(number)
    }

    /// The same as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MirrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

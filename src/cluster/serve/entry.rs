//! What this machine's kernel has said of a table with the log.

use crate::cluster::ulog::constructor::Constructor;
use crate::text::device::DeviceRef;

/// A table of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of what it was made.
    pub made: Constructor,
    /// Its words, as they came.
    pub words: String,
    /// Whether the kernel makes it once more, since nobody had answered it: it goes on with
    /// what it has in mind. A table that is loaded is asked for its region size next.
    pub again: bool,
    /// Whether the group knew it before it was made.
    pub known: bool,
    /// Whether the kernel was told the log's device: it has no room for that when it makes
    /// a log once more, and takes it once.
    pub told: bool,
    /// Its legs, as this machine's tables name them, once somebody has looked.
    pub legs: Vec<DeviceRef>,
    /// The number of its disk log's device.
    pub disk: Option<DeviceRef>,
    /// What that had as clean then.
    pub clean: Option<Vec<u8>>,
    /// Whether its kernel was told that nobody knows it: it makes the log once more.
    pub refused: bool,
}

impl Entry {
    /// One that was just made.
    pub fn new(made: Constructor, words: &str) -> Entry {
        Entry {
            made,
            words: words.into(),
            again: true,
            known: false,
            told: false,
            legs: Vec::new(),
            disk: None,
            clean: None,
            refused: false,
        }
    }
}

//! Owner and mode of a file, as far as somebody changed them.

use serde::{Deserialize, Serialize};

/// What root changed of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// Another mode.
    pub mode: Option<u16>,
    /// Another owner.
    pub uid: Option<u32>,
    /// Another group.
    pub gid: Option<u32>,
}

impl Ownership {
    /// This over what was changed before.
    pub fn over(self, old: Ownership) -> Ownership {
        Ownership {
            mode: self.mode.or(old.mode),
            uid: self.uid.or(old.uid),
            gid: self.gid.or(old.gid),
        }
    }

    /// Whether nothing is changed.
    pub fn is_plain(self) -> bool {
        self == Ownership::default()
    }
}

//! What tells a device or file from all others, also after a reboot that has given
//! the names and numbers anew. Plain data: [`super::host`] finds it out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The identity of a leg or log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A regular file.
    File {
        /// An absolute path without links.
        path: PathBuf,
        /// Its inode number in that file system (stat(2)).
        inode: u64,
        /// The UUID of its file system, where that is known.
        file_system: Option<String>,
        /// Bytes.
        size: u64,
    },
    /// A block device.
    Device {
        /// What it was called, for people.
        node: PathBuf,
        /// What it says of itself, by kind: `wwn`, `serial`, `part_uuid`, …
        ids: BTreeMap<String, String>,
        /// Bytes.
        size: u64,
    },
}

impl Identity {
    /// What it was called.
    pub fn node(&self) -> &PathBuf {
        match self {
            Identity::File { path, .. } => path,
            Identity::Device { node, .. } => node,
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Identity::File { size, .. } | Identity::Device { size, .. } => *size,
        }
    }
}

/// What is the same on many disks: it can contradict, and proves nothing.
const WEAK: &[&str] = &["partition"];

/// Whether what two devices say of themselves is the same: nothing contradicts,
/// and something agrees. What only one says proves nothing.
pub fn agree(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    let both = one
        .iter()
        .filter_map(|(kind, id)| Some((kind, id, other.get(kind)?)));
    let mut agreed = false;
    for (kind, id, also) in both {
        if id != also {
            return false;
        }
        agreed |= !WEAK.contains(&kind.as_str());
    }
    agreed
}

/// For a sentence: the name, and by what it is known.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::File { path, inode, .. } => write!(f, "{} (inode {inode})", path.display()),
            Identity::Device { node, ids, .. } => {
                let ids: Vec<String> = ids
                    .iter()
                    .map(|(kind, id)| format!("{kind} {id}"))
                    .collect();
                write!(f, "{} ({})", node.display(), ids.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(kind, id)| ((*kind).into(), (*id).into()));
        pairs.collect()
    }

    #[test]
    fn one_that_agrees_and_none_that_contradicts() {
        let known = ids(&[("wwn", "1"), ("serial", "a")]);
        assert!(agree(&known, &known));
        assert!(agree(&known, &ids(&[("serial", "a"), ("part_uuid", "z")])));
        assert!(!agree(&known, &ids(&[("serial", "a"), ("wwn", "2")])));
        assert!(!agree(&known, &ids(&[("part_uuid", "z")])));
        assert!(!agree(&ids(&[]), &ids(&[])));
        let part = ids(&[("partition", "1")]);
        assert!(!agree(&part, &part));
    }
}

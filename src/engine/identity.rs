//! What tells a device or file from all others, also after a reboot that has given
//! the names and numbers anew. Plain data: [`super::host`] finds it out.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::device_id::{BOOT, DeviceId, DeviceKind, Proof};

/// The identity of a leg or log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A regular file.
    File(FileId),
    /// A part of a regular file that somebody has set up as a loop device (losetup(8)).
    Loop(LoopId),
    /// A block device.
    Device(DeviceId),
}

/// What a regular file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileId {
    /// An absolute path without links.
    pub path: PathBuf,
    /// Its inode number in that file system (stat(2)).
    pub inode: u64,
    /// The UUID of its file system, where that is known.
    pub file_system: Option<String>,
    /// When it was made, `SECONDS.NANOSECONDS` (statx(2)), where its file system tells: a
    /// number of a file that was removed is given again.
    #[serde(default)]
    pub born: Option<String>,
    /// Bytes.
    pub size: u64,
}

/// What a loop device of somebody else's is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopId {
    /// The file behind it.
    pub file: FileId,
    /// Which part of the file it is; none in a record of before, which does not say.
    pub window: Option<Window>,
}

/// How a loop device shows its file (`struct loop_info64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The byte of the file where it begins.
    pub offset: u64,
    /// Bytes at most; 0: as far as the file reaches.
    pub limit: u64,
    /// Bytes of a logical block.
    pub block_size: u64,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// Bytes of a logical block of a loop device, where nobody asks for others.
pub const LOOP_BLOCK: u64 = 512;

impl Window {
    /// All of a file, as it is shown where nothing is asked for.
    pub const WHOLE: Window = Window {
        offset: 0,
        limit: 0,
        block_size: LOOP_BLOCK,
        read_only: false,
    };
}

impl FileId {
    /// Why another file is not this one; none where it may be.
    pub fn differs(&self, now: &FileId) -> Option<&'static str> {
        let moved = |one: &Option<String>, other: &Option<String>| matches!((one, other), (Some(one), Some(other)) if one != other);
        if self.inode != now.inode || moved(&self.file_system, &now.file_system) {
            Some("another inode or file system")
        } else {
            moved(&self.born, &now.born).then_some("made at another time")
        }
    }
}

impl Identity {
    /// What it was called.
    pub fn node(&self) -> &PathBuf {
        match self {
            Identity::File(file) => &file.path,
            Identity::Loop(id) => &id.file.path,
            Identity::Device(device) => &device.node,
        }
    }

    /// For how long it can be told from others.
    pub fn proof(&self) -> Proof {
        match self {
            Identity::File(_) | Identity::Loop(_) => Proof::Lasting,
            Identity::Device(device) => device.proof(),
        }
    }

    /// Whether both are of one thing, as far as they know.
    pub fn is(&self, now: &Identity) -> bool {
        match (self, now) {
            (Identity::File(one), Identity::File(other)) => {
                one.path == other.path && one.differs(other).is_none()
            }
            (Identity::Loop(one), Identity::Loop(other)) => {
                one.window == other.window && one.file.differs(&other.file).is_none()
            }
            (Identity::Device(one), Identity::Device(other)) => one.is(other),
            _ => false,
        }
    }

    /// The same with what was known before of the same thing: udev may not have known
    /// the disk yet, or does so no longer.
    pub fn learned(self, before: &Identity) -> Identity {
        match (self, before) {
            (Identity::Device(now), Identity::Device(before)) if before.is(&now) => {
                Identity::Device(now.with(before))
            }
            (now, _) => now,
        }
    }
}

/// For a sentence: the name, and by what it is known.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::File(file) => write!(f, "{file}"),
            Identity::Loop(LoopId { file, window }) => match window {
                Some(window) => write!(f, "{file} from byte {} on", window.offset),
                None => write!(f, "a loop device of {file}"),
            },
            Identity::Device(device) => write!(f, "{device}"),
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (inode {})", self.path.display(), self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device_id::tests::{device, with_common};

    #[test]
    fn what_is_learned_later_is_added_and_nothing_is_lost() {
        let poor = Identity::Device(device(&[(BOOT, "b 1")]));
        let rich = Identity::Device(device(&[("serial", "a"), (BOOT, "b 1")]));
        let later = Identity::Device(device(&[(BOOT, "b 1"), ("wwn", "5")]));
        let other = Identity::Device(device(&[("serial", "b"), (BOOT, "b 1")]));
        assert_eq!(rich.clone().learned(&poor), rich);
        assert_eq!(poor.learned(&rich), rich);
        let all = device(&[("serial", "a"), ("wwn", "5"), (BOOT, "b 1")]);
        assert_eq!(later.learned(&rich), Identity::Device(all));
        assert_eq!(other.clone().learned(&rich), other);
        let seen = with_common(&device(&[("serial", "a"), (BOOT, "b 1")]), "serial");
        assert_eq!(
            rich.learned(&Identity::Device(seen.clone())),
            Identity::Device(seen)
        );
    }

    #[test]
    fn a_file_of_the_same_number_made_later_is_another() {
        let file = |born: Option<&str>| FileId {
            path: "/a".into(),
            inode: 7,
            file_system: None,
            born: born.map(Into::into),
            size: 1,
        };
        assert!(file(Some("1.0")).differs(&file(Some("2.0"))).is_some());
        assert!(file(None).differs(&file(Some("2.0"))).is_none());
        let other = FileId {
            inode: 8,
            ..file(None)
        };
        assert!(file(None).differs(&other).is_some());
    }
}

//! Which file is which: by device and inode, never by name.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// What tells the file behind a loop device from all others, by the path that
/// sysfs shows; none where that path leads to it no more.
pub(super) fn file_identity(backing: &str) -> Option<String> {
    fs::metadata(backing).ok().map(|stat| identity(&stat))
}

/// What tells a file from all others, whatever its names are.
pub(super) fn identity(stat: &Metadata) -> String {
    format!("file {}:{}", stat.dev(), stat.ino())
}

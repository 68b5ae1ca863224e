//! Which file is which: by device and inode, never by name.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use super::sysfs::{Block, Sysfs};

/// What tells the file behind a loop device from all others; none where the path
/// that sysfs shows leads to it no more, and for what is no loop device.
pub(super) fn backing(device: &Block) -> Option<String> {
    let stat = fs::metadata(device.backing_file()?).ok()?;
    Some(identity(&stat))
}

/// The loop devices of a file.
pub(super) fn loops_of(sys: &Sysfs, file: &str) -> impl Iterator<Item = Block> {
    let loops = sys.loops().into_iter();
    loops.filter(move |device| backing(device).as_deref() == Some(file))
}

/// What tells a file from all others, whatever its names are.
pub(super) fn identity(stat: &Metadata) -> String {
    format!("file {}:{}", stat.dev(), stat.ino())
}

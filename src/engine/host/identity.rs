//! Which file is which: by device and inode, never by name.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::sysfs::{Block, Sysfs};
use crate::engine::loop_info::status;
use crate::error::Errno;
use crate::text::device::DevNo;

/// What tells the file behind a loop device from all others; none for what is no loop
/// device. The kernel is asked: the path that sysfs shows may be hidden, or another's.
pub(super) fn backing(device: &Block) -> Option<String> {
    let path = device.backing_file()?;
    match asked(device) {
        Some(Ok(known)) => Some(known),
        Some(Err(Errno::ENXIO)) => None,
        // Who may not ask, or gets no answer, has the path.
        Some(Err(_)) | None => Some(identity(&fs::metadata(path).ok()?)),
    }
}

/// What the device itself says; none where it cannot be opened.
fn asked(device: &Block) -> Option<Result<String, Errno>> {
    let file = open(device)?;
    Some(status(&file).map(|info| named(info.device, info.inode)))
}

fn open(device: &Block) -> Option<File> {
    // A node is of this machine, and sysfs may be a test's.
    let node = device.is_real().then(|| device.kernel_node())?;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(node)
        .ok()?;
    let number = DevNo::of_dev_t(file.metadata().ok()?.rdev());
    (number == device.dev).then_some(file)
}

/// The loop devices of a file.
pub(super) fn loops_of(sys: &Sysfs, file: &str) -> impl Iterator<Item = Block> {
    let loops = sys.loops().into_iter();
    loops.filter(move |device| backing(device).as_deref() == Some(file))
}

/// What tells a file from all others, whatever its names are.
pub(super) fn identity(stat: &Metadata) -> String {
    named(stat.dev(), stat.ino())
}

fn named(dev: u64, inode: u64) -> String {
    format!("file {dev}:{inode}")
}

//! Which file is which: by device and inode, never by name.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::sys::stat::makedev;

use super::mounts::{Mount, mounts};
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

/// The loop devices of a file, which somebody has just looked at.
pub(super) fn loops_of(sys: &Sysfs, file: &str) -> impl Iterator<Item = Block> {
    let loops = sys.loops().into_iter();
    let mounts = mounts().unwrap_or_default();
    loops.filter(move |device| {
        let path = device.backing_file();
        let elsewhere = path.is_some_and(|path| lies_elsewhere(&path, file, &mounts));
        !elsewhere && backing(device).as_deref() == Some(file)
    })
}

/// The file systems that another machine or program answers for, or does not. Their files
/// show the number that the mount has.
const ANSWERED_FOR: &[&str] = &["9p", "afs", "ceph", "cifs", "fuse", "nfs", "smb"];

/// Whether a path leads to such a file system that the file is not on: to ask that one for
/// its file may never come to an end.
fn lies_elsewhere(path: &Path, file: &str, mounts: &[Mount]) -> bool {
    let on = mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.as_os_str().len());
    on.is_some_and(|mount| {
        let mut kinds = ANSWERED_FOR.iter();
        let dev = makedev(mount.dev.major.into(), mount.dev.minor.into());
        // `fuseblk` is on a disk of this machine.
        let kind = &mount.kind;
        kinds.any(|known| kind.starts_with(known) && kind != "fuseblk")
            && !file.starts_with(&format!("file {dev}:"))
    })
}

/// What tells a file from all others, whatever its names are.
pub(super) fn identity(stat: &Metadata) -> String {
    named(stat.dev(), stat.ino())
}

fn named(dev: u64, inode: u64) -> String {
    format!("file {dev}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::super::mounts::all_mounts;
    use super::*;

    #[test]
    fn who_may_not_answer_is_asked_for_what_may_be_its_own_alone() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / /net rw - fuse.sshfs a: rw\n\
            3 2 0:51 / /net/b rw - btrfs /dev/sdb rw\n";
        let mounts = all_mounts(text).unwrap();
        let elsewhere = |path: &str, file: &str| lies_elsewhere(Path::new(path), file, &mounts);
        assert!(elsewhere("/net/file", "file 2049:7"));
        assert!(!elsewhere("/net/file", "file 50:7"));
        assert!(!elsewhere("/net/b/file", "file 2049:7"));
        assert!(!elsewhere("/home/file", "file 50:7"));
    }
}

//! What the system knows of a device that was written to below it: udev's links (by
//! UUID, by label) and the kernel's partitions are of before.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::Duration;

use libc::O_NONBLOCK;

use super::sysfs::{Block, Sysfs};
use super::users::named_user;
use crate::error::{Errno, Error, Result};

/// udev looks at each partition that changes, and while one is open nothing is read in.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: usize = 50;

nix::ioctl_none_bad!(
    /// BLKRRPART (include/uapi/linux/fs.h)
    reread,
    0x125F
);

/// Let udev look at a device and its partitions again. A loop device that goes with
/// its last user is gone.
///
/// # Errors
/// What open(2) and write(2) of its `uevent` answer: EACCES for who is not root.
pub(super) fn let_go(block: &Block) -> Result<()> {
    if is_fleeting(block) {
        return Ok(());
    }
    let parts = block.partitions();
    [block].into_iter().chain(&parts).try_for_each(|block| {
        let failed = |error| Error::io(format!("a change event of {}", block.name()), &error);
        block.announce().map_err(failed)
    })
}

/// Let the kernel read the partition table of a whole disk in again that nobody uses.
/// It waits as long as the disk does.
///
/// # Errors
/// What open(2) and BLKRRPART answer: EACCES for who is not root.
pub(super) fn read_partitions(sys: &Sysfs, block: &Block) -> Result<()> {
    let is_part = block.whole().is_some();
    if is_part || is_fleeting(block) || named_user(sys, block, &[]) != Ok(None) {
        return Ok(());
    }
    let node = block.kernel_node();
    let failed = |error| Error::io(format!("the partitions of {}", node.display()), &error);
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(O_NONBLOCK).open(&node);
    let disk = opened.map_err(failed)?;
    let mut tries = 0..TRIES;
    loop {
        match ask(&disk) {
            Err(Errno::EBUSY) if tries.next().is_some() => sleep(PAUSE),
            // Somebody uses it by now; or it is of a kind that has no partitions.
            Ok(()) | Err(Errno::EBUSY | Errno::EINVAL | Errno::ENOTTY) => return Ok(()),
            Err(errno) => return Err(failed(errno.into())),
        }
    }
}

fn ask(disk: &File) -> Result<(), Errno> {
    // SAFETY: the call takes no argument, and `disk` is open.
    unsafe { reread(disk.as_raw_fd()) }.map(drop)
}

fn is_fleeting(block: &Block) -> bool {
    let is_loop = block.name().starts_with("loop");
    is_loop && (block.number("loop/autoclear") == Some(1) || block.backing_file().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::sysfs::fake::Tree;

    fn uevent_of(tree: &Tree, dev: &str) -> Option<String> {
        let block = tree.sysfs().block(dev.parse().unwrap()).unwrap();
        block.text("uevent")
    }

    fn part(tree: &Tree, dev: &str) {
        let block = tree.sysfs().block(dev.parse().unwrap()).unwrap();
        let_go(&block).unwrap();
    }

    #[test]
    fn a_disk_and_its_partitions_are_told_of() {
        let tree = Tree::new();
        tree.device("sda", "8:0", &[("uevent", "")]);
        let attributes = [("partition", "1"), ("uevent", "")];
        tree.device("sda/sda1", "8:1", &attributes);
        part(&tree, "8:0");
        assert_eq!(uevent_of(&tree, "8:0").as_deref(), Some("change"));
        assert_eq!(uevent_of(&tree, "8:1").as_deref(), Some("change"));
    }

    #[test]
    fn a_partition_alone_and_no_loop_device_that_goes() {
        let tree = Tree::new();
        tree.device("sda", "8:0", &[("uevent", "")]);
        let attributes = [("partition", "1"), ("uevent", "")];
        tree.device("sda/sda1", "8:1", &attributes);
        let file = ("loop/backing_file", "/a");
        let ours = [("uevent", ""), file, ("loop/autoclear", "1")];
        tree.device("loop0", "7:0", &ours);
        tree.device("loop1", "7:1", &[("uevent", ""), file]);
        ["8:1", "7:0", "7:1"]
            .iter()
            .for_each(|dev| part(&tree, dev));
        let uevents = ["8:0", "8:1", "7:0", "7:1"].map(|dev| uevent_of(&tree, dev));
        let changed = uevents.map(|text| text.unwrap() == "change");
        assert_eq!(changed, [false, true, false, true]);
    }

    #[test]
    fn only_a_disk_of_its_own_is_read_again() {
        let tree = Tree::new();
        tree.device("sda", "4000:0", &[]);
        tree.device("sda/sda1", "4000:1", &[("partition", "1")]);
        tree.device("dm-9", "4001:9", &[("dm/name", "m0")]);
        tree.hold("sda", "dm-9");
        let sys = tree.sysfs();
        for dev in ["4000:0", "4000:1"] {
            // Opened, it would not be found.
            let block = sys.block(dev.parse().unwrap()).unwrap();
            assert_eq!(read_partitions(&sys, &block), Ok(()));
        }
    }
}

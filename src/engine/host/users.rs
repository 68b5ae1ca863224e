//! Who else uses a device or file: mounts, mappings, arrays, swap, and whoever
//! has it open for itself alone. What is found is said in words for a sentence.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use libc::{O_EXCL, O_NONBLOCK};
use nix::fcntl::{Flock, FlockArg};

use super::identity::{backing, identity, loops_of};
use super::mounts::{Mount, mounts, needing_devices, swaps};
use super::sysfs::{Block, Sysfs};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// udev and the like look at a device for a moment whenever it changes.
const PAUSE: Duration = Duration::from_millis(75);
const TRIES: usize = 5;

/// Who uses a block device, or the file behind it, besides what is in `own`.
///
/// The errno of open(2) where it cannot be asked: ENXIO or EIO of a device that
/// is dead, EACCES for who may not open it; that of reading what is mounted.
pub(super) fn of_block(sys: &Sysfs, block: &Block, own: &[DeviceRef]) -> Result<Option<String>> {
    let known = named_user(sys, block, own)?;
    if let Some(user) = known.or_else(|| other_loop(sys, block, own)) {
        return Ok(Some(user));
    }
    // A mapping claims what it is made of for all mappings together, so nobody
    // but mappings can have it, and the foreign ones were looked for.
    if parts(block)
        .iter()
        .any(|(part, _)| !part.holders().is_empty())
    {
        return Ok(None);
    }
    // Who mirrors in this process has claimed what is its own.
    if is_own(block, own) {
        return Ok(None);
    }
    let claimed = claimed(block)?;
    Ok(claimed.then(|| "opened exclusively by another program".to_owned()))
}

/// Who uses a regular file, besides the loop devices that are in `own` or that
/// only devices in `own` use.
///
/// The errno of stat(2), and of reading what is swapped to.
pub(super) fn of_file(sys: &Sysfs, path: &Path, own: &[DeviceRef]) -> Result<Option<String>> {
    let stat = fs::metadata(path).map_err(|e| Error::io(path.display(), &e))?;
    let file = identity(&stat);
    if swaps()?
        .iter()
        .any(|swap| fs::metadata(swap).is_ok_and(|s| identity(&s) == file))
    {
        return Ok(Some("used as swap".to_owned()));
    }
    if let Some(user) = attached(sys, &file, own) {
        return Ok(Some(user));
    }
    let mut paths = own.iter().filter_map(DeviceRef::path);
    if paths.any(|path| fs::metadata(path).is_ok_and(|s| identity(&s) == file)) {
        return Ok(None);
    }
    Ok(locked(path).then(|| "locked by another program".to_owned()))
}

// Whether somebody has locked the file as a mirrorfs that copies by itself does
// (flock(2)). A file that cannot be opened says so later, to who needs it.
fn locked(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
    else {
        return false;
    };
    // A file system without locks keeps nobody out.
    let locked = Flock::lock(file, FlockArg::LockSharedNonblock);
    matches!(locked, Err((_, Errno::EWOULDBLOCK)))
}

// The loop device that a file is attached to.
fn attached(sys: &Sysfs, file: &str, own: &[DeviceRef]) -> Option<String> {
    let other = loops_of(sys, file).find(|device| !belongs(sys, device, own));
    other.map(|device| format!("attached to {}", device.node().display()))
}

// The file behind a loop device, attached to another one as well.
fn other_loop(sys: &Sysfs, block: &Block, own: &[DeviceRef]) -> Option<String> {
    let disk = block.whole().unwrap_or_else(|| block.clone());
    let file = backing(&disk)?;
    let itself = [DeviceRef::Number(disk.dev)];
    let own: Vec<_> = own.iter().cloned().chain(itself).collect();
    attached(sys, &file, &own).map(|user| format!("a file that is {user}"))
}

fn is_own(block: &Block, own: &[DeviceRef]) -> bool {
    own.contains(&DeviceRef::Number(block.dev))
}

fn belongs(sys: &Sysfs, device: &Block, own: &[DeviceRef]) -> bool {
    let held = || {
        let parts = parts(device);
        let mut holders = parts.iter().flat_map(|(part, _)| part.holders());
        holders.next().is_some() && named_user(sys, device, own) == Ok(None)
    };
    is_own(device, own) || held()
}

// The device itself, and what shares its bytes: a disk's partitions, a
// partition's disk; each with the words that tell it from the device itself.
pub(super) fn parts(block: &Block) -> Vec<(Block, String)> {
    let itself = [(block.clone(), String::new())];
    let below = block.partitions().into_iter().map(|part| {
        let words = format!(" through its partition {}", part.name());
        (part, words)
    });
    let above = block.whole().map(|disk| {
        let words = format!(" with the whole disk {}", disk.name());
        (disk, words)
    });
    itself.into_iter().chain(below).chain(above).collect()
}

pub(super) fn named_user(sys: &Sysfs, block: &Block, own: &[DeviceRef]) -> Result<Option<String>> {
    let (mounts, swaps, needing) = (mounts()?, swaps()?, needing_devices()?);
    Ok(parts(block).into_iter().find_map(|(part, how)| {
        let user = mounted(&part, &mounts, &needing)
            .or_else(|| swapped(&part, &swaps))
            .or_else(|| held(&part, own))
            .or_else(|| btrfs(sys, &part))?;
        Some(user + &how)
    }))
}

fn mounted(block: &Block, all: &[Mount], needing: &[String]) -> Option<String> {
    let known = all.iter().find(|mount| mount.dev == block.dev);
    // btrfs shows a number of its own: there the source tells. Of a file system that needs
    // no device it is whatever somebody has called it, and with FUSE anybody may.
    let mut mounted = all.iter().filter(|mount| needing.contains(&mount.kind));
    let mount = known.or_else(|| mounted.find(|m| leads_to(&m.source) == Some(block.dev)))?;
    Some(format!("mounted on {}", mount.point.display()))
}

fn swapped(block: &Block, swaps: &[PathBuf]) -> Option<String> {
    let used = swaps.iter().any(|swap| leads_to(swap) == Some(block.dev));
    used.then(|| "used as swap".to_owned())
}

fn held(block: &Block, own: &[DeviceRef]) -> Option<String> {
    let holders = block.holders();
    let other = holders.iter().find(|holder| !is_own(holder, own))?;
    Some(match other.mapping() {
        Some(name) => format!("used by the mapping {name}"),
        None if other.is_array() => format!("used by the array {}", other.name()),
        None => format!("used by {}", other.name()),
    })
}

fn btrfs(sys: &Sysfs, block: &Block) -> Option<String> {
    let used = sys.btrfs_of(block.dev).is_some();
    used.then(|| "part of a mounted btrfs".to_owned())
}

fn leads_to(path: &Path) -> Option<DevNo> {
    // `proc`, `server:/share` are sources too, but no paths.
    let stat = path.is_absolute().then(|| fs::metadata(path))?.ok()?;
    stat.file_type()
        .is_block_device()
        .then(|| DevNo::of_dev_t(stat.rdev()))
}

// Whether somebody has it for itself alone (open(2), O_EXCL without O_CREAT).
fn claimed(block: &Block) -> Result<bool> {
    let node = block.kernel_node();
    for _ in 0..TRIES {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(O_EXCL | O_NONBLOCK)
            .open(&node);
        match opened {
            Ok(_) => return Ok(false),
            Err(e) if e.raw_os_error() == Some(Errno::EBUSY as i32) => sleep(PAUSE),
            Err(e) => return Err(Error::io(node.display(), &e)),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::sysfs::fake::Tree;

    fn dev(text: &str) -> DevNo {
        text.parse().unwrap()
    }

    fn own(text: &str) -> DeviceRef {
        DeviceRef::Number(dev(text))
    }

    // Numbers that no machine mounts from.
    fn tree() -> Tree {
        let tree = Tree::new();
        tree.device("sdx", "4000:0", &[]);
        tree.device("sdx/sdx1", "4000:1", &[("partition", "1")]);
        tree.device("dm-9", "4001:9", &[("dm/name", "vg0-root")]);
        tree.device("md7", "4002:7", &[("md/level", "raid1")]);
        tree
    }

    fn user(tree: &Tree, device: &str, own: &[DeviceRef]) -> Option<String> {
        let sys = tree.sysfs();
        let block = sys.block(dev(device)).unwrap();
        named_user(&sys, &block, own).unwrap()
    }

    #[test]
    fn a_mapping_counts_unless_it_is_our_own() {
        let tree = tree();
        tree.hold("sdx", "dm-9");
        let words = "used by the mapping vg0-root";
        assert_eq!(user(&tree, "4000:0", &[]).unwrap(), words);
        let words = "used by the mapping vg0-root with the whole disk sdx";
        assert_eq!(user(&tree, "4000:1", &[]).unwrap(), words);
        assert_eq!(user(&tree, "4000:0", &[own("4001:9")]), None);
        tree.hold("sdx", "md7");
        let words = "used by the array md7";
        assert_eq!(user(&tree, "4000:0", &[own("4001:9")]).unwrap(), words);
    }

    #[test]
    fn a_partition_s_user_uses_the_disk_too() {
        let tree = tree();
        tree.hold("sdx/sdx1", "md7");
        let words = "used by the array md7 through its partition sdx1";
        assert_eq!(user(&tree, "4000:0", &[]).unwrap(), words);
    }

    #[test]
    fn a_mounted_btrfs_uses_all_of_its_devices() {
        let tree = tree();
        tree.btrfs("12-34", &["dm-9", "sdx/sdx1"]);
        let words = "part of a mounted btrfs";
        assert_eq!(user(&tree, "4001:9", &[]).unwrap(), words);
        assert_eq!(user(&tree, "4000:1", &[]).unwrap(), words);
        let words = "part of a mounted btrfs through its partition sdx1";
        assert_eq!(user(&tree, "4000:0", &[]).unwrap(), words);
        assert_eq!(user(&tree, "4002:7", &[]), None);
    }

    #[test]
    fn a_file_is_known_by_what_it_is_not_by_its_name() {
        let tree = Tree::new();
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "x").unwrap();
        fs::hard_link(&file, &link).unwrap();
        let backing = [("loop/backing_file", file.to_str().unwrap())];
        tree.device("loop7", "4003:7", &backing);
        tree.device("dm-9", "4001:9", &[("dm/name", "m0")]);
        let user = |own: &[DeviceRef]| of_file(&tree.sysfs(), &link, own).unwrap();
        assert_eq!(user(&[]).unwrap(), "attached to /dev/loop7");
        assert_eq!(user(&[own("4003:7")]), None);
        assert!(user(&[own("4001:9")]).is_some());
        tree.hold("loop7", "dm-9");
        assert_eq!(user(&[own("4001:9")]), None);
    }

    #[test]
    fn a_locked_file_is_used_unless_the_lock_is_our_own() {
        let (tree, file) = (Tree::new(), tempfile::NamedTempFile::new().unwrap());
        let path = file.path();
        let user = |own: &[DeviceRef]| of_file(&tree.sysfs(), path, own).unwrap();
        let lock = Flock::lock(file.reopen().unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(user(&[]).unwrap(), "locked by another program");
        assert_eq!(user(&[DeviceRef::Path(path.into())]), None);
        drop(lock);
        assert_eq!(user(&[]), None);
    }

    #[test]
    fn a_second_loop_device_of_the_same_file_is_a_user() {
        let tree = Tree::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let backing = [("loop/backing_file", file.path().to_str().unwrap())];
        tree.device("loop7", "4003:7", &backing);
        tree.device("loop8", "4003:8", &backing);
        let sys = tree.sysfs();
        let block = sys.block(dev("4003:7")).unwrap();
        let words = "a file that is attached to /dev/loop8";
        assert_eq!(of_block(&sys, &block, &[]).unwrap().unwrap(), words);
    }
}

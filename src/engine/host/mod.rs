//! The block devices and files of this machine, whichever engine stands on them:
//! sysfs says what a device is, `users` says who else uses it. Nothing here
//! changes anything or needs root.

mod identity;
mod mounts;
mod probe;
mod signature;
pub(super) mod sysfs;
mod tell;
mod users;

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use self::identity::{backing, identity, loops_of};
use self::sysfs::{Block, Sysfs};
use self::tell::Teller;
use super::identity::Identity;
use super::{Extent, Facts, Traffic};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// What a regular file is addressed in: a loop device's blocks are as large.
const FILE_BLOCK: u64 = 512;

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// Devices on devices that are looked through; the kernel allows no cycle, but
/// what is read may change meanwhile.
const DEEPEST: usize = 32;

/// This machine.
#[derive(Debug, Default)]
pub struct Host {
    sys: Sysfs,
}

impl Host {
    /// This machine, as `/sys` shows it.
    pub fn new() -> Self {
        Host::default()
    }

    /// What is known of `device`, as [`super::Devices::facts`] has it.
    ///
    /// # Errors
    /// ENOENT, ENODEV, and what stat(2) answers.
    pub fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        match device {
            DeviceRef::Number(dev) => self.known(*dev).and_then(|block| of_block(&block)),
            DeviceRef::Path(path) => self.of_path(path),
        }
    }

    /// What tells it from all others, as [`super::Devices::identity`] has it.
    ///
    /// # Errors
    /// What stat(2) answers; ENODEV where it is gone.
    pub fn identity(&self, facts: &Facts) -> Result<Identity> {
        Teller::new(&self.sys).identity(facts)
    }

    /// Where it is now, as [`super::Devices::find`] has it.
    ///
    /// # Errors
    /// ENODEV, EINVAL where it is not there or not the same.
    pub fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        Teller::new(&self.sys).find(identity)
    }

    /// The loop device that somebody has attached to a file for longer than its
    /// next close.
    pub(super) fn lasting_loop(&self, path: &Path) -> Option<DevNo> {
        let file = identity(&fs::metadata(path).ok()?);
        let mut loops = loops_of(&self.sys, &file);
        let lasting = loops.find(|device| device.number("loop/autoclear") != Some(1));
        lasting.map(|device| device.dev)
    }

    /// Who else uses it, as [`super::Devices::user`] has it.
    ///
    /// # Errors
    /// What open(2) and stat(2) answer of it.
    pub fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        match &facts.device {
            DeviceRef::Number(dev) => users::of_block(&self.sys, &self.known(*dev)?, own),
            DeviceRef::Path(path) => users::of_file(&self.sys, path, own),
        }
    }

    /// Whether it answers, as [`super::Devices::probe`] has it.
    ///
    /// # Errors
    /// What open(2) and read(2) answer.
    pub fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        probe::probe(&self.facts(device)?.node, at)
    }

    /// What was written to it reaches its medium, as [`super::Devices::flush`] has it.
    ///
    /// # Errors
    /// What open(2) and fsync(2) answer.
    pub fn flush(&self, device: &DeviceRef) -> Result<()> {
        let node = self.facts(device)?.node;
        // Of a block device fsync(2) sends a flush (blkdev_fsync, block/fops.c).
        let flushed = fs::File::open(&node).and_then(|file| file.sync_all());
        flushed.map_err(|error| Error::io(format!("flushing {}", node.display()), &error))
    }

    /// What it holds, as [`super::Devices::signature`] has it.
    ///
    /// # Errors
    /// What open(2) and read(2) answer, and what libblkid does.
    pub fn signature(&self, device: &DeviceRef, offset: u64) -> Result<Option<String>> {
        signature::signature(&self.facts(device)?.node, offset)
    }

    /// What goes through a device, as [`super::Devices::traffic`] has it.
    pub fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        let stat = self.sys.block(dev)?.text("stat")?;
        let fields: Vec<u64> = stat
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        // Reads, writes, discards and flushes; older kernels lack the last two.
        let ended = [0, 4, 11, 15].iter().filter_map(|field| fields.get(*field));
        Some(Traffic {
            done: ended.sum(),
            under_way: *fields.get(8)?,
        })
    }

    /// Whether one stands on the other, as [`super::Devices::stands_on`] has it.
    pub fn stands_on(&self, above: DevNo, below: DevNo) -> bool {
        let block = self.sys.block(below);
        block.is_some_and(|block| reaches(&block, above, DEEPEST))
    }

    fn known(&self, dev: DevNo) -> Result<Block> {
        let missing = || Error::new(Errno::ENODEV, format!("there is no block device {dev}"));
        self.sys.block(dev).ok_or_else(missing)
    }

    fn of_path(&self, path: &Path) -> Result<Facts> {
        let stat = fs::metadata(path).map_err(|e| not_found(path, &e))?;
        let kind = stat.file_type();
        if kind.is_block_device() {
            let block = self.known(DevNo::of_dev_t(stat.rdev()));
            return block
                .and_then(|b| of_block(&b))
                .map_err(|e| e.context(path.display()));
        }
        if kind.is_file() {
            return of_file(path, &stat);
        }
        Err(Error::new(
            Errno::ENODEV,
            format!("{} is neither a block device nor a file", path.display()),
        ))
    }
}

fn not_found(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        // A path with a NUL in it, or one that goes through a file, is none.
        ErrorKind::InvalidInput | ErrorKind::NotADirectory | ErrorKind::NotFound => {
            Error::new(Errno::ENOENT, format!("there is no {shown}"))
        }
        _ => Error::io(shown, error),
    }
}

fn of_file(path: &Path, stat: &Metadata) -> Result<Facts> {
    let path = path.canonicalize().map_err(|e| not_found(path, &e))?;
    let size = stat.len();
    Ok(Facts {
        device: DeviceRef::Path(path.clone()),
        node: path.clone(),
        file: Some(path),
        autoclear: false,
        size,
        block_size: FILE_BLOCK,
        extent: Extent {
            base: identity(stat),
            start: 0,
            size,
        },
    })
}

// Whether the device, or one that is made of it, is `above`.
fn reaches(block: &Block, above: DevNo, deep: usize) -> bool {
    let mut upper = block.partitions().into_iter().chain(block.holders());
    block.dev == above || (deep > 0 && upper.any(|upper| reaches(&upper, above, deep - 1)))
}

fn of_block(block: &Block) -> Result<Facts> {
    // A device may go between two reads; then it is as if it had never been.
    let gone = || {
        Error::new(
            Errno::ENODEV,
            format!("the block device {} is gone", block.dev),
        )
    };
    let size = block.bytes("size").ok_or_else(gone)?;
    let disk = block.whole().unwrap_or_else(|| block.clone());
    let start = match disk == *block {
        true => 0,
        false => block.bytes("start").ok_or_else(gone)?,
    };
    let (base, offset) = bottom(&disk);
    Ok(Facts {
        device: DeviceRef::Number(block.dev),
        node: block.node(),
        file: block.backing_file().map(|file| named(&file)),
        autoclear: block.number("loop/autoclear") == Some(1),
        size,
        block_size: disk.number("queue/logical_block_size").ok_or_else(gone)?,
        extent: Extent {
            base,
            start: offset.saturating_add(start),
            size,
        },
    })
}

// What a whole disk's bytes lie on, and where they begin there.
fn bottom(disk: &Block) -> (String, u64) {
    match backing(disk) {
        Some(base) => (base, disk.number("loop/offset").unwrap_or(0)),
        None => (disk.dev.to_string(), 0),
    }
}

// The path that a deleted file had; the file may be another one by now.
fn named(backing: &str) -> PathBuf {
    let gone = !Path::new(backing).exists();
    let deleted = backing.strip_suffix(DELETED).filter(|_| gone);
    deleted.unwrap_or(backing).into()
}

#[cfg(test)]
mod tests {
    use super::sysfs::fake::Tree;
    use super::*;

    const BLOCK: (&str, &str) = ("queue/logical_block_size", "4096");

    fn facts(tree: &Tree, device: &str) -> Result<Facts> {
        let host = Host { sys: tree.sysfs() };
        host.facts(&device.parse()?)
    }

    #[test]
    fn a_partition_lies_on_its_disk() {
        let tree = Tree::new();
        tree.device("sda", "8:0", &[("size", "1000"), BLOCK]);
        let part = [("partition", "1"), ("start", "34"), ("size", "66")];
        tree.device("sda/sda1", "8:1", &part);
        let known = facts(&tree, "8:1").unwrap();
        assert_eq!((known.size, known.block_size), (66 * 512, 4096));
        assert_eq!(known.node, Path::new("/dev/sda1"));
        let extent = Extent {
            base: "8:0".into(),
            start: 34 * 512,
            size: 66 * 512,
        };
        assert_eq!(known.extent, extent);
    }

    #[test]
    fn a_loop_device_lies_on_its_file_and_so_do_its_partitions() {
        let tree = Tree::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let backing = [
            ("size", "100"),
            ("loop/backing_file", path),
            ("loop/offset", "4096"),
            ("loop/autoclear", "1"),
            BLOCK,
        ];
        tree.device("loop3", "7:3", &backing);
        let part = [("partition", "1"), ("start", "2"), ("size", "50")];
        tree.device("loop3/loop3p1", "259:0", &part);
        let whole = facts(&tree, "7:3").unwrap();
        let part = facts(&tree, "259:0").unwrap();
        let itself = facts(&tree, path).unwrap();
        assert!(whole.autoclear && !part.autoclear);
        assert_eq!(whole.file.as_deref(), Some(file.path()));
        assert_eq!(whole.extent.base, itself.extent.base);
        assert_eq!(part.extent.base, itself.extent.base);
        assert_eq!((whole.extent.start, part.extent.start), (4096, 4096 + 1024));
    }

    #[test]
    fn a_deleted_file_is_named_but_never_taken_for_its_successor() {
        let tree = Tree::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let deleted = format!("{path} (deleted)");
        let backing = [("size", "100"), ("loop/backing_file", &deleted), BLOCK];
        tree.device("loop0", "7:0", &backing);
        let known = facts(&tree, "7:0").unwrap();
        assert_eq!(known.file.as_deref(), Some(file.path()));
        assert_eq!(known.extent.base, "7:0");
    }

    #[test]
    fn what_is_no_device_has_the_right_errno() {
        let tree = Tree::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let refused = |path: &Path| {
            let host = Host { sys: tree.sysfs() };
            let device = DeviceRef::Path(path.into());
            host.facts(&device).unwrap_err().errno()
        };
        assert_eq!(refused(folder.path()), Errno::ENODEV);
        assert_eq!(refused(Path::new("/dev/null")), Errno::ENODEV);
        assert_eq!(refused(&folder.path().join("none")), Errno::ENOENT);
        assert_eq!(refused(&file.join("below")), Errno::ENOENT);
        assert_eq!(refused(Path::new("/a\0b")), Errno::ENOENT);
        assert_eq!(facts(&tree, "8:0").unwrap_err().errno(), Errno::ENODEV);
    }
}

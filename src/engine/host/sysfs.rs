//! Block devices as /sys shows them (Documentation/ABI/stable/sysfs-block). Reads
//! only, needs no privilege, and knows nothing of what an answer is for.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::engine::shown;
use crate::text::device::DevNo;
use crate::text::size::SECTOR;

/// Devices on devices that are looked through; the kernel allows no cycle, but
/// what is read may change meanwhile.
pub(super) const DEEPEST: usize = 32;

/// The place where sysfs is mounted.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Sysfs(PathBuf);

impl Default for Sysfs {
    fn default() -> Self {
        Sysfs("/sys".into())
    }
}

impl Sysfs {
    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Sysfs(root.into())
    }

    /// The device with this number; none where the kernel has no such one.
    pub(super) fn block(&self, dev: DevNo) -> Option<Block> {
        Block::at(&self.0.join(format!("dev/block/{dev}")))
    }

    /// All block devices, partitions among them.
    pub(super) fn all(&self) -> Vec<Block> {
        let disks = self.disks("").into_iter();
        let with_parts = disks.flat_map(|disk| [vec![disk.clone()], disk.partitions()].concat());
        with_parts.collect()
    }

    /// All whole disks: no partitions, and no mappings.
    pub(super) fn all_disks(&self) -> Vec<Block> {
        blocks(&self.0.join("block"), |name| !name.starts_with("dm-"))
    }

    /// Those of them that somebody may have plugged in.
    pub(super) fn physical(&self) -> Vec<Block> {
        const MADE_HERE: &[&str] = &["dm-", "loop", "ram", "zram"];
        let made = |name: &str| MADE_HERE.iter().any(|kind| name.starts_with(kind));
        blocks(&self.0.join("block"), |name| !made(name))
    }

    /// All mappings.
    pub(super) fn mappings(&self) -> Vec<Block> {
        self.disks("dm-")
    }

    /// All loop devices, attached or not.
    pub(super) fn loops(&self) -> Vec<Block> {
        self.disks("loop")
    }

    /// The UUID of the mounted btrfs that has this device among its own: its files
    /// show a number that is none of theirs.
    pub(super) fn btrfs_of(&self, dev: DevNo) -> Option<String> {
        let mut all = self.btrfs_all().into_iter();
        all.find(|uuid| self.btrfs_devices(uuid).contains(&dev))
    }

    /// The UUIDs of all mounted btrfs.
    pub(super) fn btrfs_all(&self) -> Vec<String> {
        let systems = entries(&self.0.join("fs/btrfs"), |_| true);
        let systems = systems.iter().filter(|path| path.join("devices").is_dir());
        systems.map(|path| file_name(path)).collect()
    }

    /// The devices of a mounted btrfs, as they are now.
    pub(super) fn btrfs_devices(&self, uuid: &str) -> Vec<DevNo> {
        let devices = self.0.join("fs/btrfs").join(uuid).join("devices");
        let blocks = blocks(&devices, |_| true).into_iter();
        blocks.map(|block| block.dev).collect()
    }

    fn disks(&self, prefix: &str) -> Vec<Block> {
        blocks(&self.0.join("block"), |name| name.starts_with(prefix))
    }
}

/// The folder of a disk or a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    folder: PathBuf,
    /// MAJOR:MINOR, from its file `dev`.
    pub(super) dev: DevNo,
}

impl Block {
    fn at(path: &Path) -> Option<Self> {
        let folder = resolved(path)?;
        let dev = shown::attribute(folder.join("dev")).ok()?;
        let dev = std::str::from_utf8(&dev).ok()?.trim().parse().ok()?;
        Some(Block { folder, dev })
    }

    /// An attribute without its newline; none where there is no such one.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        let text = shown::attribute(self.folder.join(attribute)).ok()?;
        let text = String::from_utf8(text).ok()?;
        Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// An attribute that is a number.
    pub(super) fn number(&self, attribute: &str) -> Option<u64> {
        self.text(attribute)?.trim().parse().ok()
    }

    /// An attribute in sectors, as bytes.
    pub(super) fn bytes(&self, attribute: &str) -> Option<u64> {
        self.number(attribute)?.checked_mul(SECTOR)
    }

    /// The kernel's name for it: `sda1`, `dm-0`.
    pub(super) fn name(&self) -> String {
        file_name(&self.folder).replace('!', "/")
    }

    /// What devtmpfs calls it.
    pub(super) fn kernel_node(&self) -> PathBuf {
        let name = self.text("uevent").and_then(|uevent| {
            let line = uevent
                .lines()
                .find_map(|line| line.strip_prefix("DEVNAME="));
            line.map(str::to_owned)
        });
        Path::new("/dev").join(name.unwrap_or_else(|| self.name()))
    }

    /// What people call it: a mapping has a name of its own.
    pub(super) fn node(&self) -> PathBuf {
        match self.mapping() {
            Some(name) => Path::new("/dev/mapper").join(name),
            None => self.kernel_node(),
        }
    }

    /// The mapping's name, if it is one.
    pub(super) fn mapping(&self) -> Option<String> {
        self.text("dm/name").filter(|name| !name.is_empty())
    }

    /// Whether it is an md array.
    pub(super) fn is_array(&self) -> bool {
        self.folder.join("md").is_dir()
    }

    /// Let the kernel tell of a change, as if it had seen one itself.
    pub(super) fn announce(&self) -> io::Result<()> {
        fs::write(self.folder.join("uevent"), "change")
    }

    /// The disk that this is a partition of.
    pub(super) fn whole(&self) -> Option<Block> {
        let parent = self
            .folder
            .join("partition")
            .exists()
            .then(|| self.folder.parent());
        Block::at(parent??)
    }

    /// The partitions of this disk.
    pub(super) fn partitions(&self) -> Vec<Block> {
        let disk = file_name(&self.folder);
        let parts = entries(&self.folder, |name| name.starts_with(&disk));
        let parts = parts.iter().filter(|path| path.join("partition").exists());
        parts.filter_map(|path| Block::at(path)).collect()
    }

    /// The devices that are made of this one.
    pub(super) fn holders(&self) -> Vec<Block> {
        blocks(&self.folder.join("holders"), |_| true)
    }

    /// The devices that this one is made of.
    pub(super) fn slaves(&self) -> Vec<Block> {
        blocks(&self.folder.join("slaves"), |_| true)
    }

    /// Whether it is a device of this machine.
    pub(super) fn is_real(&self) -> bool {
        self.folder.starts_with("/sys")
    }

    /// Whether it is a loop device that is attached to a file.
    pub(super) fn is_attached(&self) -> bool {
        self.folder.join("loop").is_dir()
    }

    /// The same without mappings, of which nothing but the name is looked at.
    pub(super) fn holders_but_mappings(&self) -> Vec<Block> {
        blocks(&self.folder.join("holders"), |name| {
            !name.starts_with("dm-")
        })
    }

    /// The path of the file behind a loop device, as it was when it was
    /// attached; the kernel ends it with ` (deleted)` once it has no name.
    pub(super) fn backing_file(&self) -> Option<PathBuf> {
        let mut path = shown::attribute(self.folder.join("loop/backing_file")).ok()?;
        path.pop_if(|last| *last == b'\n');
        (!path.is_empty()).then(|| OsString::from_vec(path).into())
    }
}

/// The folder that a path of sysfs leads to. Its links are relative to real folders, so one
/// is read and the rest is reckoned.
fn resolved(path: &Path) -> Option<PathBuf> {
    let Ok(link) = fs::read_link(path) else {
        return Some(path.into());
    };
    let mut folder = path.parent()?.to_path_buf();
    for part in link.components() {
        match part {
            Component::ParentDir => drop(folder.pop()),
            part => folder.push(part),
        }
    }
    Some(folder)
}

fn blocks(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Block> {
    let paths = entries(folder, wanted);
    paths.iter().filter_map(|path| Block::at(path)).collect()
}

// Those with a name that is wanted, in an order that does not change from one call to
// the next.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = read.filter(|entry| wanted(&entry.file_name().to_string_lossy()));
    let mut paths: Vec<_> = read.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A made-up tree for the tests of this folder.
#[cfg(test)]
pub(super) mod fake {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A /sys that a test fills.
    pub(in crate::engine::host) struct Tree(tempfile::TempDir);

    impl Tree {
        pub(in crate::engine::host) fn new() -> Self {
            Tree(tempfile::tempdir().unwrap())
        }

        /// A path in it.
        pub(in crate::engine::host) fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        pub(in crate::engine::host) fn sysfs(&self) -> Sysfs {
            Sysfs::at(self.0.path())
        }

        /// A device at `place` (`sda`, `sda/sda1`) with these attributes.
        pub(in crate::engine::host) fn device(
            &self,
            place: &str,
            dev: &str,
            attributes: &[(&str, &str)],
        ) {
            let folder = self.0.path().join("block").join(place);
            let number = ("dev", dev);
            for (name, value) in attributes.iter().chain([&number]) {
                let path = folder.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{value}\n")).unwrap();
            }
            let links = self.0.path().join("dev/block");
            fs::create_dir_all(&links).unwrap();
            symlink(folder, links.join(dev)).unwrap();
        }

        /// `upper` is made of `lower`.
        pub(in crate::engine::host) fn hold(&self, lower: &str, upper: &str) {
            let block = self.0.path().join("block");
            for (of, kind, other) in [(lower, "holders", upper), (upper, "slaves", lower)] {
                let folder = block.join(of).join(kind);
                fs::create_dir_all(&folder).unwrap();
                let name = file_name(Path::new(other));
                symlink(block.join(other), folder.join(name)).unwrap();
            }
        }

        /// A mounted btrfs of these devices.
        pub(in crate::engine::host) fn btrfs(&self, uuid: &str, places: &[&str]) {
            let folder = self.0.path().join("fs/btrfs").join(uuid).join("devices");
            fs::create_dir_all(&folder).unwrap();
            for place in places {
                let block = self.0.path().join("block").join(place);
                let name = file_name(Path::new(place));
                symlink(block, folder.join(name)).unwrap();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(text: &str) -> DevNo {
        text.parse().unwrap()
    }

    #[test]
    fn a_partition_knows_its_disk_and_the_disk_its_partitions() {
        let tree = fake::Tree::new();
        tree.device("sda", "8:0", &[("size", "100")]);
        tree.device(
            "sda/sda1",
            "8:1",
            &[("partition", "1"), ("start", "34"), ("size", "66")],
        );
        let sys = tree.sysfs();
        let part = sys.block(dev("8:1")).unwrap();
        let disk = sys.block(dev("8:0")).unwrap();
        assert_eq!(part.whole(), Some(disk.clone()));
        assert_eq!(disk.whole(), None);
        assert_eq!(disk.partitions(), std::slice::from_ref(&part));
        assert_eq!(part.bytes("start"), Some(34 * 512));
    }

    #[test]
    fn names_are_the_kernel_s_or_the_mapping_s() {
        let tree = fake::Tree::new();
        tree.device(
            "dm-0",
            "254:0",
            &[
                ("dm/name", "vg0-root"),
                ("uevent", "MAJOR=254\nDEVNAME=dm-0"),
            ],
        );
        tree.device("cciss!c0d0", "104:0", &[]);
        let sys = tree.sysfs();
        let mapping = sys.block(dev("254:0")).unwrap();
        assert_eq!(mapping.node(), Path::new("/dev/mapper/vg0-root"));
        assert_eq!(mapping.kernel_node(), Path::new("/dev/dm-0"));
        let old = sys.block(dev("104:0")).unwrap();
        assert_eq!(old.node(), Path::new("/dev/cciss/c0d0"));
    }

    #[test]
    fn what_is_not_there_is_none() {
        let tree = fake::Tree::new();
        let sys = tree.sysfs();
        assert_eq!(sys.block(dev("8:0")), None);
        assert!(sys.loops().is_empty());
        tree.device(
            "sda",
            "8:0",
            &[("size", "many"), ("huge", "18446744073709551615")],
        );
        let disk = sys.block(dev("8:0")).unwrap();
        assert_eq!(disk.bytes("size"), None);
        assert_eq!(disk.bytes("huge"), None);
        assert!(disk.holders().is_empty());
    }
}

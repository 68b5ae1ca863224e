//! On which block devices the bytes of a file lie. Where stat(2) shows the number of
//! no device (btrfs, overlayfs, file systems in memory or on other machines) the mount
//! says what it is made of. What that is gets followed down through loop devices,
//! whose files lie somewhere too.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::mounts::{Mount, mounts};
use super::sysfs::{Block, DEEPEST, Sysfs};
use crate::engine::home::{Home, Part};
use crate::error::Result;
use crate::text::device::{DevNo, DeviceRef};

/// File systems whose files are on no device.
const IN_MEMORY: &[&str] = &[
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "hugetlbfs",
    "mqueue",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "securityfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Options that name further devices of a file system (xfs(5)).
const FURTHER: &[&str] = &["logdev", "rtdev"];

/// File systems whose journal may be on a disk of its own (mke2fs(8), `-J device=`).
const JOURNALED: &[&str] = &["ext3", "ext4", "ocfs2"];

/// The journals of those that are in use, by the names of their devices; an
/// inode's number follows where one is a file in its own file system (fs/jbd2).
const JOURNALS: &str = "/proc/fs/jbd2";

/// What the kernel says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// The mount that it is in, as mountinfo counts them.
    pub(super) mount: u64,
    /// The number that stat(2) shows for its file system.
    pub(super) dev: DevNo,
    /// Its own number, where it is the node of a block device.
    pub(super) node: Option<DevNo>,
}

/// Look at a path; none where there is nothing.
pub(super) fn look(path: &Path) -> io::Result<Option<Spot>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path);
    let file = match opened {
        Err(error) if is_nothing(&error) => return Ok(None),
        opened => opened?,
    };
    let stat = file.metadata()?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let mount = mount.and_then(|number| number.trim().parse().ok());
    let block = stat.file_type().is_block_device();
    Ok(Some(Spot {
        mount: mount.ok_or(ErrorKind::InvalidData)?,
        dev: DevNo::of_dev_t(stat.dev()),
        node: block.then(|| DevNo::of_dev_t(stat.rdev())),
    }))
}

fn is_nothing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput)
}

/// The home of a path, or of where it would be made, or of a device.
pub(super) fn home(sys: &Sysfs, device: &DeviceRef) -> Home {
    let (mounts, journals) = (mounts(), journals());
    let mut finder = Finder::new(sys, &mounts, &journals, &look);
    match device {
        DeviceRef::Number(dev) => finder.device(*dev),
        DeviceRef::Path(path) => finder.path(path),
    }
    finder.home
}

fn journals() -> Vec<String> {
    let entries = fs::read_dir(JOURNALS).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

/// One search; what it asks paths is handed in.
pub(super) struct Finder<'a> {
    sys: &'a Sysfs,
    mounts: &'a Result<Vec<Mount>>,
    journals: &'a [String],
    look: &'a dyn Fn(&Path) -> io::Result<Option<Spot>>,
    home: Home,
    /// Devices that were followed down already.
    seen: Vec<DevNo>,
    /// How many files within files it has come down.
    deep: usize,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        sys: &'a Sysfs,
        mounts: &'a Result<Vec<Mount>>,
        journals: &'a [String],
        look: &'a dyn Fn(&Path) -> io::Result<Option<Spot>>,
    ) -> Self {
        Finder {
            sys,
            mounts,
            journals,
            look,
            home: Home::default(),
            seen: Vec::new(),
            deep: 0,
        }
    }

    /// A path that need not be there: what is made there lies where its folder does.
    fn path(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else {
            return self.unknown(format!("there is no path {}", path.display()));
        };
        let look = self.look;
        let first = path.ancestors().find_map(|path| look(path).transpose());
        self.found(&path, first);
    }

    /// A path that somebody else has named: it means what is there, or nothing.
    fn existing(&mut self, path: &Path) {
        let spot = if path.is_absolute() {
            (self.look)(path).transpose()
        } else {
            None
        };
        self.found(path, spot);
    }

    fn found(&mut self, path: &Path, spot: Option<io::Result<Spot>>) {
        let shown = path.display();
        match spot {
            None => self.unknown(format!("nothing is seen at {shown}")),
            Some(Err(error)) => self.unknown(format!("{shown} cannot be looked at: {error}")),
            Some(Ok(Spot {
                node: Some(dev), ..
            })) => self.device(dev),
            Some(Ok(spot)) => self.file(path, spot),
        }
    }

    fn unknown(&mut self, why: String) {
        self.home.add(Part::Unknown(why));
    }

    fn file(&mut self, path: &Path, spot: Spot) {
        self.deep += 1;
        let mount = self.mounts.as_ref().map(|all| {
            let mut all = all.iter();
            all.find(|mount| mount.id == spot.mount)
        });
        match mount {
            _ if self.deep > DEEPEST => self.unknown("files lie within files without end".into()),
            Ok(Some(mount)) => self.mount(mount, spot.dev),
            _ if self.sys.block(spot.dev).is_some() => self.device(spot.dev),
            Ok(None) => self.unknown(format!("the mount of {} is not listed", path.display())),
            Err(error) => self.unknown(error.sentence().into()),
        }
        self.deep -= 1;
    }

    fn mount(&mut self, mount: &Mount, dev: DevNo) {
        match mount.kind.as_str() {
            "btrfs" => self.btrfs(mount),
            "overlay" => self.overlay(mount),
            kind if IN_MEMORY.contains(&kind) => {}
            _ => match self.under(mount, dev) {
                Some(dev) => {
                    self.device(dev);
                    let further = mount.options(FURTHER);
                    further.iter().for_each(|path| self.existing(path));
                    if JOURNALED.contains(&mount.kind.as_str()) {
                        self.journal(dev);
                    }
                }
                None => self.unknown(format!(
                    "a file system of type {} does not say on which disks it is",
                    mount.kind
                )),
            },
        }
    }

    /// A file system whose journal is no file of its own has it on another disk. Which
    /// of those with a journal it is, nothing tells.
    fn journal(&mut self, of: DevNo) {
        let block = self.sys.block(of);
        let inside = block.map(|block| block.name() + "-").unwrap_or_default();
        let names: Vec<String> = self
            .journals
            .iter()
            .map(|name| name.replace('!', "/"))
            .collect();
        if names.iter().any(|name| name.starts_with(&inside)) {
            return;
        }
        let all = self.sys.all().into_iter();
        let outside = all.filter(|block| names.contains(&block.name()));
        outside.for_each(|block| self.device(block.dev));
    }

    /// The one device of a file system. What a program serves is where that puts it,
    /// whatever it calls its source.
    fn under(&self, mount: &Mount, dev: DevNo) -> Option<DevNo> {
        if self.sys.block(dev).is_some() {
            return Some(dev);
        }
        let served = mount.kind.split('.').next() == Some("fuse");
        self.node(&mount.source).filter(|_| !served)
    }

    fn node(&self, path: &Path) -> Option<DevNo> {
        // `proc`, `server:/share` are sources too, but no paths.
        let spot = path.is_absolute().then(|| (self.look)(path).ok()?);
        spot??.node
    }

    /// The source is one of the disks, by the name that it had: where that leads to
    /// none any more it may be any btrfs.
    fn btrfs(&mut self, mount: &Mount) {
        let source = self.node(&mount.source);
        let uuid = source.and_then(|dev| self.sys.btrfs_of(dev));
        let uuids = uuid.map_or_else(|| self.sys.btrfs_all(), |uuid| vec![uuid]);
        if uuids.is_empty() {
            self.unknown("/sys/fs/btrfs does not show on which disks a btrfs is".into());
        }
        for uuid in uuids {
            let members = self.sys.btrfs_devices(&uuid);
            self.home.add(Part::Btrfs(uuid));
            members.into_iter().for_each(|dev| self.below(dev));
        }
    }

    fn overlay(&mut self, mount: &Mount) {
        let upper = mount.options(&["upperdir"]);
        let lower = mount.options(&["lowerdir", "lowerdir+", "datadir+"]);
        let lower = lower.iter().flat_map(|paths| layers(paths));
        let layers: Vec<PathBuf> = upper.iter().cloned().chain(lower).collect();
        if layers.is_empty() {
            self.unknown("an overlay does not say what it is made of".into());
        }
        layers.iter().for_each(|path| self.existing(path));
    }

    fn device(&mut self, dev: DevNo) {
        self.home.add(Part::Device(dev));
        self.below(dev);
    }

    /// The files that a device lies on, at whatever depth. The devices between are
    /// found from below, when it is asked what stands on what.
    fn below(&mut self, dev: DevNo) {
        if self.seen.contains(&dev) {
            return;
        }
        self.seen.push(dev);
        let Some(block) = self.sys.block(dev) else {
            return self.unknown(format!("there is no block device {dev}"));
        };
        match block.backing_file() {
            Some(file) => self.existing(&file),
            None if block.is_attached() => self.unknown(format!("{dev} does not show its file")),
            None => {}
        }
        let lower = block.whole().into_iter().chain(block.slaves());
        let lower: Vec<Block> = lower.collect();
        lower.iter().for_each(|lower| self.below(lower.dev));
    }
}

/// The folders of an overlay's lower layers (Documentation/filesystems/overlayfs.rst):
/// a colon is between them, two before those that have data only, and a backslash
/// before one that belongs to a name.
fn layers(text: &Path) -> Vec<PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let (mut layers, mut layer) = (Vec::new(), Vec::new());
    let mut bytes = text.as_os_str().as_bytes().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => layer.extend(bytes.next()),
            b':' => layers.push(std::mem::take(&mut layer)),
            byte => layer.push(*byte),
        }
    }
    layers.push(layer);
    let named = layers.into_iter().filter(|layer| !layer.is_empty());
    named
        .map(|layer| std::ffi::OsString::from_vec(layer).into())
        .collect()
}

#[cfg(test)]
mod tests;

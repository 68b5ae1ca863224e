//! What devices and files say of themselves, so that they are found again whatever
//! they are called after a reboot: udev's database and sysfs for devices, inode, file
//! system and time of birth for files. The kernel's own names and numbers prove nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::home::look;
use super::mounts::mounts;
use super::sysfs::{Block, Sysfs};
use crate::engine::Facts;
use crate::engine::identity::{
    BOOT, DeviceId, DeviceKind, FileId, Identity, LOOP_BLOCK, LoopId, Window,
};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// udev's database (systemd-udevd.service(8)).
const UDEV: &str = "/run/udev/data";

/// A number that each boot has of its own (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What udev's rules find out of a disk (60-persistent-storage.rules).
const PROPERTIES: &[&str] = &["ID_WWN_WITH_EXTENSION", "ID_WWN", "ID_SERIAL", "MD_UUID"];

/// What they find out of a partition alone.
const PARTITION_PROPERTY: &str = "ID_PART_ENTRY_UUID";

/// What sysfs has without udev (Documentation/ABI/stable/sysfs-block).
const ATTRIBUTES: &[&str] = &["wwid", "device/wwid", "serial", "device/serial", "md/uuid"];

/// The key of what is a partition of a loop device.
pub(super) const LOOP_FILE: &str = "loop/file";

type Ids = BTreeMap<String, String>;

/// Where sysfs and udev's database are.
pub(super) struct Teller<'a> {
    pub(super) sys: &'a Sysfs,
    pub(super) udev: &'a Path,
}

impl<'a> Teller<'a> {
    pub(super) fn new(sys: &'a Sysfs) -> Self {
        Teller {
            sys,
            udev: Path::new(UDEV),
        }
    }

    /// The identity of what `facts` are known of.
    ///
    /// # Errors
    /// What stat(2) answers; ENODEV where the device is gone.
    pub(super) fn identity(&self, facts: &Facts) -> Result<Identity> {
        let dev = match &facts.device {
            DeviceRef::Path(path) => return self.file(path, &facts.way()).map(Identity::File),
            DeviceRef::Number(dev) => *dev,
        };
        let gone = || Error::new(Errno::ENODEV, format!("the device {dev} is gone"));
        let block = self.sys.block(dev).ok_or_else(gone)?;
        let Some(path) = &facts.file else {
            return Ok(Identity::Device(self.of_block(&block)));
        };
        let file = self.file(path, path)?;
        let window = block.window();
        // One of mirrorfs's own is made again from the file.
        Ok(if facts.autoclear || window == Window::WHOLE {
            Identity::File(file)
        } else {
            let window = Some(window);
            Identity::Loop(LoopId { file, window })
        })
    }

    /// What a block device is now.
    pub(super) fn of_block(&self, block: &Block) -> DeviceId {
        let alone = self.alone(block);
        DeviceId {
            common: self.common(block, &alone.ids),
            ..alone
        }
    }

    /// The same as if there were no other.
    pub(super) fn alone(&self, block: &Block) -> DeviceId {
        let disk = block.whole().unwrap_or_else(|| block.clone());
        DeviceId {
            node: block.node(),
            kind: Some(block.kind()),
            common: BTreeSet::new(),
            ids: self.ids(block),
            size: block.bytes("size").unwrap_or(0),
            block_size: disk.number("queue/logical_block_size"),
        }
    }

    /// Those of its keys that another device here has too: of a partition, another disk.
    fn common(&self, block: &Block, ids: &Ids) -> BTreeSet<String> {
        let own = |key: &str| matches!(key, BOOT | LOOP_FILE) || key.starts_with("dm/");
        if ids.keys().all(|key| own(key)) {
            return BTreeSet::new();
        }
        let disk = block.whole().unwrap_or_else(|| block.clone());
        let mut others = self.sys.physical();
        others.retain(|other| other.dev != disk.dev);
        let mut known: Vec<Ids> = others.iter().map(|other| self.ids(other)).collect();
        if ids.contains_key(PARTITION_PROPERTY) {
            others.push(disk);
            let parts = others.iter().flat_map(Block::partitions);
            let parts = parts.filter(|part| part.dev != block.dev);
            known.extend(parts.map(|part| {
                let id = self.properties(part.dev).remove(PARTITION_PROPERTY);
                let id = id.map(|id| (PARTITION_PROPERTY.to_string(), id));
                id.into_iter().collect()
            }));
        }
        let elsewhere = |(key, id): &(&String, &String)| {
            !own(key) && known.iter().any(|other| other.get(*key) == Some(*id))
        };
        let common = ids.iter().filter(elsewhere);
        common.map(|(key, _)| key.clone()).collect()
    }

    /// That of a file; `way` leads to it, if its name does not.
    pub(super) fn file(&self, path: &Path, way: &Path) -> Result<FileId> {
        let stat = fs::metadata(way).map_err(|error| Error::io(path.display(), &error))?;
        let born = stat
            .created()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Ok(FileId {
            path: path.into(),
            inode: stat.ino(),
            file_system: self.file_system(way, &stat),
            born: born.map(|at| format!("{}.{:09}", at.as_secs(), at.subsec_nanos())),
            size: stat.len(),
        })
    }

    /// What a block device says of itself, and for as long as this boot lasts a count
    /// that is never given twice.
    fn ids(&self, block: &Block) -> Ids {
        let mut ids = BTreeMap::new();
        let mut add = |key: &str, id: Option<String>| {
            let id = id.map(|id| id.trim().to_string());
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                ids.insert(key.to_string(), id);
            }
        };
        let disk = block.whole().unwrap_or_else(|| block.clone());
        if block.mapping().is_some() {
            let uuid = block.text("dm/uuid").filter(|uuid| !uuid.is_empty());
            match uuid {
                Some(uuid) => add("dm/uuid", Some(uuid)),
                None => add("dm/name", block.mapping()),
            }
        } else {
            let mut properties = self.properties(block.dev);
            for key in PROPERTIES.iter().chain([&PARTITION_PROPERTY]) {
                add(key, properties.remove(*key));
            }
            for key in ATTRIBUTES {
                add(key, disk.text(key));
            }
            let file = disk.backing_file().filter(|_| disk.dev != block.dev);
            add(
                LOOP_FILE,
                file.map(|file| {
                    let Window { offset, limit, .. } = disk.window();
                    format!("{} {offset} {limit}", file.display())
                }),
            );
        }
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let count = disk
            .text("diskseq")
            .unwrap_or_else(|| block.dev.to_string());
        add(BOOT, Some(format!("{} {count}", boot.trim())));
        ids
    }

    /// `E:KEY=VALUE` lines of the device's file.
    fn properties(&self, dev: DevNo) -> Ids {
        let text = fs::read_to_string(self.udev.join(format!("b{dev}"))).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| {
            let (key, value) = line.strip_prefix("E:")?.split_once('=')?;
            Some((key.to_string(), value.to_string()))
        });
        pairs.collect()
    }

    /// The UUID of the file system that a file is on. Where stat(2) shows a number that
    /// is no device's, as in a subvolume of btrfs, the mount's source tells.
    fn file_system(&self, path: &Path, stat: &Metadata) -> Option<String> {
        let dev = DevNo::of_dev_t(stat.dev());
        let own = self.properties(dev).remove("ID_FS_UUID");
        own.or_else(|| {
            let id = look(path).ok()??.mount;
            let mount = mounts().ok()?.into_iter().find(|mount| mount.id == id)?;
            let dev = look(&mount.source).ok()??.node?;
            let of_btrfs = self.sys.btrfs_of(dev);
            of_btrfs.or_else(|| self.properties(dev).remove("ID_FS_UUID"))
        })
    }
}

impl Block {
    /// What kind of thing it is.
    fn kind(&self) -> DeviceKind {
        match self.number("partition") {
            Some(number) => DeviceKind::Partition {
                number,
                start: self.bytes("start"),
            },
            None if self.mapping().is_some() => DeviceKind::Mapping,
            None if self.is_array() => DeviceKind::Array,
            None => DeviceKind::Disk,
        }
    }

    /// What of its file a loop device shows.
    pub(super) fn window(&self) -> Window {
        Window {
            offset: self.number("loop/offset").unwrap_or(0),
            limit: self.number("loop/sizelimit").unwrap_or(0),
            block_size: self
                .number("queue/logical_block_size")
                .unwrap_or(LOOP_BLOCK),
            read_only: self.number("ro") == Some(1),
        }
    }
}

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
const LOOP_FILE: &str = "loop/file";

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
            return Ok(Identity::Device(self.device(&block, facts)));
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

    fn device(&self, block: &Block, facts: &Facts) -> DeviceId {
        DeviceId {
            size: facts.size,
            block_size: Some(facts.block_size),
            node: facts.node.clone(),
            ..self.of_block(block)
        }
    }

    /// What a block device is now.
    pub(super) fn of_block(&self, block: &Block) -> DeviceId {
        let ids = self.ids(block);
        let disk = block.whole().unwrap_or_else(|| block.clone());
        DeviceId {
            node: block.node(),
            kind: Some(block.kind()),
            common: self.common(block, &ids),
            ids,
            size: block.bytes("size").unwrap_or(0),
            block_size: disk.number("queue/logical_block_size"),
        }
    }

    /// How a table names what has this identity now.
    ///
    /// # Errors
    /// ENODEV where a device is not there, ENOENT a file; EINVAL where it is not the same
    /// any more, or cannot be told from others.
    pub(super) fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        match identity {
            Identity::File(file) => self.find_file(file),
            Identity::Loop(id) => self.find_loop(id),
            Identity::Device(device) => {
                let (block, now) = self.find_block(device)?;
                check_unchanged(device, &now)?;
                Ok(DeviceRef::Number(block.dev))
            }
        }
    }

    fn find_block(&self, device: &DeviceId) -> Result<(Block, DeviceId)> {
        let all = self.rivals(device.kind(), &device.ids).into_iter();
        let all = all.map(|block| {
            let now = self.of_block(&block);
            (block, now)
        });
        let alike = all.filter(|(_, now)| device.is_one_of(now));
        let alike: Vec<(Block, DeviceId)> = alike.collect();
        let mut same = alike.iter().filter(|(_, now)| device.is(now));
        match (same.next(), same.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some((one, _)), Some((other, _))) => Err(Error::invalid(format!(
                "{} and {} are both {device}: remove one of them",
                one.node().display(),
                other.node().display()
            ))),
            (None, _) => Err(not_found(device, &alike)),
        }
    }

    /// All devices of a kind that such keys could be of.
    fn rivals(&self, kind: DeviceKind, ids: &Ids) -> Vec<Block> {
        if kind == DeviceKind::Mapping {
            return self.sys.mappings();
        }
        let disks = if ids.contains_key(LOOP_FILE) {
            self.sys.loops()
        } else if ids
            .keys()
            .any(|key| !matches!(key.as_str(), BOOT | "partition"))
        {
            self.sys.physical()
        } else {
            self.sys.all_disks()
        };
        match kind {
            DeviceKind::Partition { .. } => disks.iter().flat_map(Block::partitions).collect(),
            _ => disks,
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

    fn find_file(&self, file: &FileId) -> Result<DeviceRef> {
        let path = &file.path;
        let missing = |error: Error| Error::new(Errno::ENOENT, error.sentence());
        let now = self.file(path, path).map_err(missing)?;
        if let Some(why) = file.differs(&now) {
            return Err(Error::invalid(format!(
                "{} is now another file ({why}): it was {file}, it is {now}",
                path.display()
            )));
        }
        if file.size != now.size {
            return Err(resized(file, file.size, now.size));
        }
        Ok(DeviceRef::Path(path.clone()))
    }

    /// The loop device that shows that part of the file. Where nobody has set one up, and
    /// it is all of the file, that is found; any other is for who can make one.
    fn find_loop(&self, id: &LoopId) -> Result<DeviceRef> {
        let path = self.find_file(&id.file)?;
        let mut loops = self.loops_on(&id.file.path).into_iter();
        let fits = |block: &Block| id.window.is_none_or(|window| block.window() == window);
        match (loops.find(fits), loops.find(fits), id.window) {
            (Some(one), None, _) => Ok(DeviceRef::Number(one.dev)),
            (Some(one), Some(_), Some(_)) => Ok(DeviceRef::Number(one.dev)),
            (None, _, Some(window)) if window == Window::WHOLE => Ok(path),
            (None, _, Some(window)) => Err(Error::new(
                Errno::ENODEV,
                format!(
                    "no loop device shows {} from byte {} on as before: `losetup` makes one",
                    id.file, window.offset
                ),
            )),
            (_, _, None) => Err(Error::invalid(format!(
                "the record is of an older mirrorfs and does not say which part of {} the loop device was: set up that one alone with `losetup`",
                id.file.path.display()
            ))),
        }
    }

    /// The loop devices that somebody has attached to a file for longer than their next
    /// close.
    pub(super) fn loops_on(&self, path: &Path) -> Vec<Block> {
        let Ok(stat) = fs::metadata(path) else {
            return Vec::new();
        };
        let file = super::identity::identity(&stat);
        let loops = super::identity::loops_of(self.sys, &file);
        let lasting = loops.filter(|device| device.number("loop/autoclear") != Some(1));
        lasting.collect()
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

/// `alike` have what it has, and so have others.
fn not_found(device: &DeviceId, alike: &[(Block, DeviceId)]) -> Error {
    if let Some((one, _)) = alike.first() {
        return Error::invalid(format!(
            "{} may be {device}, but what it says of itself another device says too, or did: nothing tells them apart",
            one.node().display()
        ));
    }
    let now = if device.node.exists() {
        format!("; {} is now another device", device.node.display())
    } else {
        String::new()
    };
    Error::new(Errno::ENODEV, format!("no device here is {device}{now}"))
}

fn check_unchanged(device: &DeviceId, now: &DeviceId) -> Result<()> {
    if !device.has_size(now.size) {
        return Err(resized(device, device.size, now.size));
    }
    match (device.block_size, now.block_size) {
        (Some(was), Some(is)) if was != is => Err(Error::invalid(format!(
            "{device} has logical blocks of {is} bytes now, and had {was}"
        ))),
        _ => Ok(()),
    }
}

fn resized(what: impl std::fmt::Display, was: u64, is: u64) -> Error {
    Error::invalid(format!("{what} has changed size: from {was} to {is} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::Host;
    use crate::engine::host::sysfs::fake::Tree;
    use crate::engine::identity::Proof;

    /// A machine with disks of these numbers, names and serials.
    fn machine(disks: &[(&str, &str, &str)]) -> (Tree, tempfile::TempDir) {
        let (tree, udev) = (Tree::new(), tempfile::tempdir().unwrap());
        for (dev, name, serial) in disks {
            let attributes = [("size", "100"), ("queue/logical_block_size", "512")];
            tree.device(name, dev, &attributes);
            let text = format!("S:disk/by-id/x\nE:ID_SERIAL={serial}\nE:ID_PATH=pci\n");
            fs::write(udev.path().join(format!("b{dev}")), text).unwrap();
        }
        (tree, udev)
    }

    fn device(serial: &str) -> DeviceId {
        DeviceId {
            node: "/dev/sdb".into(),
            kind: Some(DeviceKind::Disk),
            ids: [("ID_SERIAL".to_string(), serial.to_string())].into(),
            common: BTreeSet::new(),
            size: 51_200,
            block_size: Some(512),
        }
    }

    fn identity(serial: &str) -> Identity {
        Identity::Device(device(serial))
    }

    fn found(disks: &[(&str, &str, &str)], identity: &Identity) -> Result<DeviceRef> {
        let (tree, udev) = machine(disks);
        let sys = tree.sysfs();
        let teller = Teller {
            sys: &sys,
            udev: udev.path(),
        };
        teller.find(identity)
    }

    #[test]
    fn a_disk_is_found_wherever_it_is_now() {
        let disks = [("8:0", "sda", "B"), ("8:16", "sdb", "A")];
        for (serial, dev) in [("A", "8:16"), ("B", "8:0")] {
            let device = found(&disks, &identity(serial)).unwrap();
            assert_eq!(device.to_string(), dev);
        }
    }

    #[test]
    fn a_missing_a_doubled_and_a_resized_one_are_refused() {
        let one = [("8:0", "sda", "A")];
        let error = found(&one, &identity("C")).unwrap_err();
        assert_eq!(error.errno(), Errno::ENODEV);
        assert!(error.sentence().contains("ID_SERIAL C"), "{error}");
        let two = [("8:0", "sda", "A"), ("8:16", "sdb", "A")];
        let error = found(&two, &identity("A")).unwrap_err();
        assert!(
            error.sentence().contains("another device says too"),
            "{error}"
        );
        let other = |change: fn(&mut DeviceId)| {
            let mut device = device("A");
            change(&mut device);
            found(&one, &Identity::Device(device)).unwrap_err()
        };
        let error = other(|device| device.size = 7);
        assert!(error.sentence().contains("from 7 to 51200 bytes"));
        let error = other(|device| device.block_size = Some(4096));
        assert!(
            error.sentence().contains("512 bytes now, and had 4096"),
            "{error}"
        );
        let error = other(|device| device.common = ["ID_SERIAL".to_string()].into());
        assert!(error.sentence().contains("or did"), "{error}");
    }

    #[test]
    fn a_partition_is_not_its_disk_nor_another_partition() {
        let (tree, udev) = machine(&[("8:0", "sda", "A")]);
        for (number, start) in [("1", "34"), ("2", "68")] {
            let (place, dev) = (format!("sda/sda{number}"), format!("8:{number}"));
            let attributes = [("partition", number), ("start", start), ("size", "20")];
            tree.device(&place, &dev, &attributes);
            let text = "E:ID_SERIAL=A\n";
            fs::write(udev.path().join(format!("b{dev}")), text).unwrap();
        }
        let sys = tree.sysfs();
        let teller = Teller {
            sys: &sys,
            udev: udev.path(),
        };
        for dev in ["8:0", "8:1", "8:2"] {
            let block = sys.block(dev.parse().unwrap()).unwrap();
            let identity = Identity::Device(teller.of_block(&block));
            let found = teller.find(&identity).unwrap();
            assert_eq!(found.to_string(), dev, "{identity}");
        }
        let before = Identity::Device(DeviceId {
            kind: None,
            ..device("A")
        });
        assert_eq!(teller.find(&before).unwrap().to_string(), "8:0");
    }

    #[test]
    fn what_two_disks_say_is_common_to_them_and_their_partitions() {
        let (tree, udev) = machine(&[("8:0", "sda", "A"), ("8:16", "sdb", "A")]);
        let attributes = [("partition", "1"), ("start", "34"), ("size", "20")];
        tree.device("sda/sda1", "8:1", &attributes);
        fs::write(
            udev.path().join("b8:1"),
            "E:ID_SERIAL=A\nE:ID_PART_ENTRY_UUID=u\n",
        )
        .unwrap();
        let sys = tree.sysfs();
        let teller = Teller {
            sys: &sys,
            udev: udev.path(),
        };
        let of = |dev: &str| teller.of_block(&sys.block(dev.parse().unwrap()).unwrap());
        assert_eq!(of("8:0").proof(), Proof::None);
        assert_eq!(of("8:1").proof(), Proof::Lasting);
        let common: Vec<String> = of("8:1").common.into_iter().collect();
        assert_eq!(common, ["ID_SERIAL"]);
        let part = Identity::Device(of("8:1"));
        assert_eq!(teller.find(&part).unwrap().to_string(), "8:1");
    }

    #[test]
    fn a_file_that_was_replaced_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leg");
        fs::write(&path, "12345").unwrap();
        let host = Host::new();
        let facts = host.facts(&DeviceRef::Path(path.clone())).unwrap();
        let identity = host.identity(&facts).unwrap();
        assert_eq!(host.find(&identity), Ok(DeviceRef::Path(path.clone())));
        fs::write(&path, "1234567").unwrap();
        assert!(
            host.find(&identity)
                .unwrap_err()
                .sentence()
                .contains("size")
        );
        fs::rename(&path, folder.path().join("old")).unwrap();
        assert_eq!(host.find(&identity).unwrap_err().errno(), Errno::ENOENT);
        fs::write(&path, "12345").unwrap();
        let error = host.find(&identity).unwrap_err();
        assert!(error.sentence().contains("now another file"), "{error}");
    }
}

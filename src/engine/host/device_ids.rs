//! What devices and files say of themselves, so that they are found again whatever
//! they are called after a reboot: udev's database and sysfs for devices, inode and
//! file system for files. The kernel's own names and numbers prove nothing.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::home::look;
use super::mounts::mounts;
use super::sysfs::{Block, Sysfs};
use crate::engine::Facts;
use crate::engine::identity::{Identity, agree};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// udev's database (systemd-udevd.service(8)).
const UDEV: &str = "/run/udev/data";

/// A number that each boot has of its own (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What udev's rules find out (60-persistent-storage.rules).
const PROPERTIES: &[&str] = &[
    "ID_WWN_WITH_EXTENSION",
    "ID_WWN",
    "ID_SERIAL",
    "ID_PART_ENTRY_UUID",
    "MD_UUID",
];

/// What sysfs has without udev (Documentation/ABI/stable/sysfs-block).
const ATTRIBUTES: &[&str] = &["wwid", "device/wwid", "serial", "device/serial", "md/uuid"];

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
        match (&facts.file, &facts.device) {
            (_, DeviceRef::Path(path)) => self.of_file(path, &facts.way()),
            (Some(path), _) => self.of_file(path, path),
            (None, DeviceRef::Number(dev)) => {
                let gone = || Error::new(Errno::ENODEV, format!("the device {dev} is gone"));
                let block = self.sys.block(*dev).ok_or_else(gone)?;
                Ok(Identity::Device {
                    node: facts.node.clone(),
                    ids: self.ids(&block),
                    size: facts.size,
                })
            }
        }
    }

    /// How a table names what has this identity now.
    ///
    /// # Errors
    /// ENODEV where it is not there, EINVAL where it is not the same any more or
    /// two are.
    pub(super) fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        match identity {
            Identity::File { path, .. } => self.find_file(identity, path),
            Identity::Device { node, ids, size } => {
                let block = self.find_block(identity, node, ids)?;
                same_size(identity, *size, block.bytes("size").unwrap_or(0))?;
                Ok(DeviceRef::Number(block.dev))
            }
        }
    }

    fn find_block(
        &self,
        identity: &Identity,
        node: &Path,
        ids: &BTreeMap<String, String>,
    ) -> Result<Block> {
        let all = self.sys.all().into_iter();
        let mut same = all.filter(|block| agree(ids, &self.ids(block)));
        match (same.next(), same.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => Err(Error::invalid(format!(
                "{} and {} are both {identity}: remove one of them",
                one.node().display(),
                other.node().display()
            ))),
            (None, _) => {
                let there = node.exists();
                let now = if there {
                    format!("; {} is now another device", node.display())
                } else {
                    String::new()
                };
                let sentence = format!("no device here is {identity}{now}");
                Err(Error::new(Errno::ENODEV, sentence))
            }
        }
    }

    /// That of a file; `way` leads to it, if its name does not.
    fn of_file(&self, path: &Path, way: &Path) -> Result<Identity> {
        let stat = fs::metadata(way).map_err(|error| Error::io(path.display(), &error))?;
        Ok(Identity::File {
            path: path.into(),
            inode: stat.ino(),
            file_system: self.file_system(way, &stat),
            size: stat.len(),
        })
    }

    fn find_file(&self, identity: &Identity, path: &Path) -> Result<DeviceRef> {
        let missing = |error: Error| Error::new(Errno::ENODEV, error.sentence());
        let now = self.of_file(path, path).map_err(missing)?;
        let (
            Identity::File {
                inode,
                file_system,
                size,
                ..
            },
            Identity::File {
                inode: inode_now,
                file_system: file_system_now,
                size: size_now,
                ..
            },
        ) = (identity, &now)
        else {
            return Err(Error::invalid(format!("{identity} is not a file")));
        };
        let moved =
            matches!((file_system, file_system_now), (Some(one), Some(other)) if one != other);
        if moved || inode != inode_now {
            return Err(Error::invalid(format!(
                "{} is now another file: it was {identity}, it is {now}",
                path.display()
            )));
        }
        same_size(identity, *size, *size_now)?;
        Ok(DeviceRef::Path(path.into()))
    }

    /// What a block device says of itself. One that says nothing is known for as
    /// long as this boot lasts, by a count that is never given twice.
    pub(super) fn ids(&self, block: &Block) -> BTreeMap<String, String> {
        let mut ids = BTreeMap::new();
        let mut add = |kind: &str, id: Option<String>| {
            let id = id.map(|id| id.trim().to_string());
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                ids.insert(kind.to_string(), id);
            }
        };
        if block.mapping().is_some() {
            let uuid = block.text("dm/uuid").filter(|uuid| !uuid.is_empty());
            match uuid {
                Some(uuid) => add("dm/uuid", Some(uuid)),
                None => add("dm/name", block.mapping()),
            }
        } else {
            let properties = self.properties(block.dev);
            for kind in PROPERTIES {
                add(kind, properties.get(*kind).cloned());
            }
            let disk = block.whole().unwrap_or_else(|| block.clone());
            for kind in ATTRIBUTES {
                add(kind, disk.text(kind));
            }
        }
        if ids.is_empty() {
            let boot = fs::read_to_string(BOOT).unwrap_or_default();
            let count = block.text("diskseq");
            let count = count.unwrap_or_else(|| block.dev.to_string());
            ids.insert("boot".into(), format!("{} {count}", boot.trim()));
        }
        if let Some(number) = block.text("partition") {
            ids.insert("partition".into(), number.trim().into());
        }
        ids
    }

    /// `E:KEY=VALUE` lines of the device's file.
    fn properties(&self, dev: DevNo) -> BTreeMap<String, String> {
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

fn same_size(identity: &Identity, was: u64, is: u64) -> Result<()> {
    if was == is {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{identity} has changed size: from {was} to {is} bytes"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::Host;
    use crate::engine::host::sysfs::fake::Tree;

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

    fn identity(serial: &str) -> Identity {
        Identity::Device {
            node: "/dev/sdb".into(),
            ids: [("ID_SERIAL".to_string(), serial.to_string())].into(),
            size: 51_200,
        }
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
        assert!(found(&two, &identity("A")).is_err());
        let Identity::Device { node, ids, .. } = identity("A") else {
            panic!()
        };
        let larger = Identity::Device { node, ids, size: 7 };
        let error = found(&one, &larger).unwrap_err();
        assert!(error.sentence().contains("from 7 to 51200 bytes"));
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
        assert_eq!(host.find(&identity).unwrap_err().errno(), Errno::ENODEV);
        fs::write(&path, "12345").unwrap();
        let error = host.find(&identity).unwrap_err();
        assert!(error.sentence().contains("now another file"), "{error}");
    }
}

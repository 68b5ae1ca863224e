//! Where a device or file is now that was known by its identity.

use std::fs;
use std::path::Path;

use super::device_ids::{Ids, LOOP_FILE, Teller};
use super::identity::{identity, loops_of};
use super::sysfs::Block;
use crate::engine::identity::{BOOT, DeviceId, DeviceKind, FileId, Identity, LoopId, Window};
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;

impl Teller<'_> {
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
        let alike = all.filter(|block| device.is_one_of(&self.alone(block)));
        let alike = alike.map(|block| {
            let now = self.of_block(&block);
            (block, now)
        });
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
        let file = identity(&stat);
        let loops = loops_of(self.sys, &file);
        let lasting = loops.filter(|device| device.number("loop/autoclear") != Some(1));
        lasting.collect()
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
mod tests;

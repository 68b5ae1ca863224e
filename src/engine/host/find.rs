//! Where a device or file is now that was known by its identity.

use std::fs;
use std::path::Path;

use super::device_ids::{LOOP_FILE, Teller};
use super::identity::{identity, loops_of};
use super::sysfs::Block;
use crate::engine::identity::{DeviceId, DeviceKind, FileId, Identity, LoopId, Proof, Window};
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
            Identity::File(file) => self.find_part(file, Some(Window::WHOLE)),
            Identity::Loop(LoopId { file, window }) => self.find_part(file, *window),
            Identity::Device(device) => {
                let (block, now) = self.find_block(device)?;
                check_unchanged(device, &now)?;
                Ok(DeviceRef::Number(block.dev))
            }
        }
    }

    fn find_block(&self, device: &DeviceId) -> Result<(Block, DeviceId)> {
        let all = self.rivals(device).into_iter();
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

    /// All devices of its kind that its keys could be of.
    fn rivals(&self, device: &DeviceId) -> Vec<Block> {
        let kind = device.kind();
        if kind == DeviceKind::Mapping {
            return self.sys.mappings();
        }
        let disks = if device.ids.contains_key(LOOP_FILE) {
            self.sys.loops()
        } else if device.proof() == Proof::ThisBoot {
            self.sys.all_disks()
        } else {
            self.sys.physical()
        };
        match kind {
            DeviceKind::Partition { .. } => disks.iter().flat_map(Block::partitions).collect(),
            _ => disks,
        }
    }

    fn check_file(&self, file: &FileId) -> Result<()> {
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
        Ok(())
    }

    /// The loop device that somebody has set up for that part of the file: he means that
    /// one. Where nobody has, and it is all of the file, that is found; any other is for
    /// who can make one.
    fn find_part(&self, file: &FileId, part: Option<Window>) -> Result<DeviceRef> {
        self.check_file(file)?;
        let mut loops = self.loops_on(&file.path).into_iter();
        let fits = |block: &Block| part.is_none_or(|window| block.window() == window);
        match (loops.find(fits), part) {
            (Some(one), Some(_)) => Ok(DeviceRef::Number(one.dev)),
            (Some(one), None) if !loops.any(|other| fits(&other)) => Ok(DeviceRef::Number(one.dev)),
            (None, Some(Window::WHOLE)) => Ok(DeviceRef::Path(file.path.clone())),
            (None, Some(window)) => Err(Error::new(
                Errno::ENODEV,
                format!(
                    "no loop device shows {file} from byte {} on as before: `losetup` makes one",
                    window.offset
                ),
            )),
            (_, None) => Err(Error::invalid(format!(
                "the record is of an older mirrorfs and does not say which part of {} the loop device was: set up that one alone with `losetup`",
                file.path.display()
            ))),
        }
    }

    /// The loop devices that somebody has attached to a file for longer than their next
    /// close.
    fn loops_on(&self, path: &Path) -> Vec<Block> {
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

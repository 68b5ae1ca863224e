//! Whether the log of a mirror that was away can be believed. A log sees only what
//! is written through its mirror. What was written to a leg behind its back can not
//! be seen by any log; but where the log calls the first region clean, the legs must
//! begin with the same bytes, and a file system that was mounted from one of them
//! meanwhile has changed its superblock there.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

use super::log_file::open_afresh;
use crate::engine::{Devices, Facts, Span};
use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::DeviceRef;
use crate::text::disklog::{BITSET_OFFSET, Header};
use crate::text::mirror::{Leg, Mirror};
use crate::text::table::Table;

/// How much of the first region is compared: the superblocks of ext4, XFS and
/// btrfs, LVM's and md's headers, and the partition tables lie in it.
const COMPARED: u64 = 128 * 1024;

/// Check the logs of a table that is about to be loaded. Those that cannot be
/// believed are cleared, so that everything is copied again; the sentences say why.
///
/// # Errors
/// What reading the log and the legs answers.
pub fn check(devices: &dyn Devices, table: &Table) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (_, mirror) in table.mirrors() {
        let Some(log) = mirror.log_device() else {
            continue;
        };
        if let Some(why) = doubt(devices, mirror, log)? {
            clear(devices, log)?;
            notes.push(format!("{why}: copying everything again from leg 0"));
        }
    }
    Ok(notes)
}

/// Why the log is not to be believed, if so.
fn doubt(devices: &dyn Devices, mirror: &Mirror, log: &DeviceRef) -> Result<Option<String>> {
    let mut head = vec![0; BITSET_OFFSET as usize + 1];
    read(&devices.facts(log)?, 0, &mut head)?;
    if Header::parse(&head).is_none() {
        return Ok(Some(format!("the header of the log {log} is lost")));
    }
    let clean = head.last().is_some_and(|byte| byte & 1 == 1);
    if !clean {
        return Ok(None);
    }
    let size = mirror
        .region()
        .unwrap_or(0)
        .saturating_mul(SECTOR)
        .min(COMPARED);
    let Some((first, others)) = mirror.legs.split_first() else {
        return Ok(None);
    };
    let source = beginning(devices, first, size)?;
    for (leg, number) in others.iter().zip(1..) {
        if beginning(devices, leg, size)? != source {
            return Ok(Some(format!(
                "leg 0 and leg {number} differ where the log calls them equal: one was written while the mirror was stopped"
            )));
        }
    }
    Ok(None)
}

/// Whether so many bytes of two devices look the same, each from its own byte on:
/// where they begin and end, where each partition in them does, and where something
/// was found. Whoever has used one of them for itself has changed a superblock there.
///
/// # Errors
/// What reading them answers.
pub(crate) fn are_alike(
    devices: &dyn Devices,
    sides: [(&Facts, u64); 2],
    size: u64,
    found: u64,
) -> Result<bool> {
    let [one, other] = sides.map(|(facts, start)| {
        let parts = devices.partitions(&facts.pinned(), Span { start, size })?;
        Ok::<_, Error>((facts, start, parts))
    });
    let (one, other) = (one?, other?);
    if one.2 != other.2 {
        return Ok(false);
    }
    let begins = one.2.iter().map(|part| part.start);
    let ends = one.2.iter().map(|part| part.end().saturating_sub(COMPARED));
    let last = size.saturating_sub(COMPARED);
    for at in [0, last, found].into_iter().chain(begins).chain(ends) {
        let length = size.saturating_sub(at).min(COMPARED);
        let piece = |(facts, start): (&Facts, u64)| {
            let mut bytes = vec![0; length as usize];
            read(facts, start.saturating_add(at), &mut bytes).map(|()| bytes)
        };
        if piece((one.0, one.1))? != piece((other.0, other.1))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn beginning(devices: &dyn Devices, leg: &Leg, size: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    let at = leg.offset.saturating_mul(SECTOR);
    read(&devices.facts(&leg.device)?, at, &mut bytes).map(|()| bytes)
}

fn read(facts: &Facts, at: u64, bytes: &mut [u8]) -> Result<()> {
    let opened = open_afresh(&facts.way(), OpenOptions::new().read(true));
    let read = opened.and_then(|file| file.read_exact_at(bytes, at));
    read.map_err(|error| Error::io(format!("reading {}", facts.node.display()), &error))
}

/// Let the logs of a table begin afresh.
///
/// # Errors
/// What writing them answers.
pub(crate) fn clear_all(devices: &dyn Devices, table: &Table) -> Result<()> {
    let mut logs = table.log_devices();
    logs.try_for_each(|log| clear(devices, log))
}

/// Without its header a log is begun afresh (`read_header`, drivers/md/dm-log.c).
///
/// # Errors
/// What writing the log answers.
fn clear(devices: &dyn Devices, log: &DeviceRef) -> Result<()> {
    let facts = devices.facts(log)?;
    let clear = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(facts.way())?;
        file.write_all_at(&[0; SECTOR as usize], 0)?;
        file.sync_all()
    };
    clear().map_err(|error| Error::io(format!("clearing {}", facts.node.display()), &error))
}

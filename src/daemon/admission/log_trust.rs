//! What a log is worth: whether two devices that were legs still look alike, and logs that
//! are to begin afresh.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use super::log_file::open_afresh;
use crate::engine::{Devices, Facts, Span};
use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// How much is compared where something begins or ends: the superblocks of ext4, XFS and
/// btrfs, LVM's and md's headers, and the partition tables lie in it.
const COMPARED: u64 = 128 * 1024;

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

/// Bytes of a device or file, without what the cache still has of before.
///
/// # Errors
/// What open(2) and read(2) answer.
pub(super) fn read(facts: &Facts, at: u64, bytes: &mut [u8]) -> Result<()> {
    let read = opened(facts)?.read_exact_at(bytes, at);
    read.map_err(|error| Error::io(format!("reading {}", facts.node.display()), &error))
}

/// The same, open for reading.
///
/// # Errors
/// What open(2) answers.
pub(super) fn opened(facts: &Facts) -> Result<File> {
    let opened = open_afresh(&facts.way(), OpenOptions::new().read(true));
    opened.map_err(|error| Error::io(format!("reading {}", facts.node.display()), &error))
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
pub(crate) fn clear(devices: &dyn Devices, log: &DeviceRef) -> Result<()> {
    let facts = devices.facts(log)?;
    let clear = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(facts.way())?;
        file.write_all_at(&[0; SECTOR as usize], 0)?;
        file.sync_all()
    };
    clear().map_err(|error| Error::io(format!("clearing {}", facts.node.display()), &error))
}

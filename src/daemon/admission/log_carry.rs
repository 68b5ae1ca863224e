//! Disk logs that take over what others say: a mirror is divided, or becomes one again,
//! and what is known to be equal is not copied again.

use crate::engine::{Devices, Direct, Span};
use crate::error::Result;
use crate::model::snapshot::{LogView, Part, SECTOR, Snapshot};
use crate::plan::carry::{self, Kept};
use crate::text::disklog::{self, BITSET_OFFSET, Header};
use crate::text::letter::Letter;
use crate::text::mirror::Mirror;
use crate::text::table::{Mapping, Table, Target};

/// Write the logs that only the new table has, from those of the mirror as it is.
///
/// # Errors
/// What reading and writing them answers.
pub(crate) fn carry(devices: &dyn Devices, before: &Snapshot, table: &Table) -> Result<()> {
    let begun = carry::begun(&before.table, table);
    if begun.is_empty() {
        return Ok(());
    }
    let logs = before.parts.iter().zip(&before.logs);
    let kept: Vec<Kept> = logs
        .filter_map(|(part, log)| kept(devices, part, log).transpose())
        .collect::<Result<_>>()?;
    write_each(devices, begun, |target| carry::bits(target, &kept))
}

/// Write the logs of these targets, each with its bitset.
///
/// # Errors
/// What writing them answers.
pub(crate) fn write_each<'a>(
    devices: &dyn Devices,
    targets: impl IntoIterator<Item = &'a Target>,
    bits: impl Fn(&Target) -> Vec<u8>,
) -> Result<()> {
    targets.into_iter().try_for_each(|target| {
        let Mapping::Mirror(mirror) = &target.mapping else {
            return Ok(());
        };
        match (mirror.log_device(), mirror.regions(target.length)) {
            (Some(log), Some(regions)) => {
                let log = devices.direct(log, true)?;
                write(log.as_ref(), regions, &bits(target))
            }
            _ => Ok(()),
        }
    })
}

/// A part with what its log says; none of one that does not know.
fn kept(devices: &dyn Devices, part: &Part, log: &LogView) -> Result<Option<Kept>> {
    let Some(mirror) = part.mirror.as_ref().filter(|_| log.letter == Letter::Alive) else {
        return Ok(None);
    };
    let bits = bits_of(devices, part, mirror)?;
    Ok(bits.map(|bits| Kept {
        target: Target {
            start: part.start,
            length: part.length,
            mapping: Mapping::Mirror(mirror.clone()),
        },
        bits,
    }))
}

/// The bitset of a part's disk log as it is on the disk; none where it has no such log,
/// or one that is not of as many regions.
///
/// # Errors
/// What reading it answers.
pub(crate) fn bits_of(
    devices: &dyn Devices,
    part: &Part,
    mirror: &Mirror,
) -> Result<Option<Vec<u8>>> {
    let regions = mirror.regions(part.length);
    let (Some(device), Some(regions)) = (mirror.log_device(), regions) else {
        return Ok(None);
    };
    let size = disklog::size_for(regions, SECTOR).unwrap_or(BITSET_OFFSET);
    let direct = devices.direct(device, false)?;
    let bytes = direct.read(Span { start: 0, size })?;
    Ok(disklog::bits(&bytes, regions))
}

/// Write a log with this bitset.
fn write(log: &dyn Direct, regions: u64, bits: &[u8]) -> Result<()> {
    let size = disklog::size_for(regions, log.block()).unwrap_or(BITSET_OFFSET);
    let mut bytes = vec![0; size as usize];
    let version = disklog::VERSION;
    let header = Header { version, regions }.to_bytes();
    for (at, part) in [(0, header.as_slice()), (BITSET_OFFSET as usize, bits)] {
        let place = bytes
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..part.len()));
        place
            .into_iter()
            .for_each(|place| place.copy_from_slice(part));
    }
    log.write(0, &bytes)
}

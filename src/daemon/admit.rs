//! What must be true of devices before the kernel sees a table: each exists, is
//! large enough, is nobody else's, and is named once. Files become devices here.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::logfile;
use crate::engine::{Attachment, Devices, Extent, Facts};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::disklog;
use crate::text::mirror::{Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// The places that requests under way are about to use. The kernel shares a
/// device among mappings, so two requests at once would both find it free.
#[derive(Debug, Default)]
pub struct Claims {
    bases: Mutex<HashSet<String>>,
}

impl Claims {
    fn bases(&self) -> MutexGuard<'_, HashSet<String>> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places that are claimed until this is dropped.
struct Claimed<'a> {
    claims: &'a Claims,
    bases: HashSet<String>,
}

impl Claimed<'_> {
    fn claim(&mut self, base: &str, place: &Place) -> Result<()> {
        if self.bases.contains(base) {
            return Ok(());
        }
        if !self.claims.bases().insert(base.into()) {
            let sentence = format!(
                "{} {} is being used by another request",
                place.role, place.device
            );
            return Err(Error::busy(sentence));
        }
        self.bases.insert(base.into());
        Ok(())
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut all = self.claims.bases();
        all.retain(|base| !self.bases.contains(base));
    }
}

/// A table whose devices are there and free, with what was made for it.
pub struct Admitted<'a> {
    /// The table, every device by its number.
    pub table: Table,
    /// Loop devices: they go when this is dropped before a table holds them.
    attached: HashMap<PathBuf, Attachment>,
    /// Log files that did not exist.
    made: Vec<PathBuf>,
    /// Nobody else gets these devices meanwhile.
    _claimed: Claimed<'a>,
}

impl Admitted<'_> {
    /// Take back the log files that were made, after the mirror was not.
    pub fn undo(self) {
        drop(self.attached);
        for path in &self.made {
            if let Err(error) = std::fs::remove_file(path) {
                log::warn!("{} was made for nothing and stays: {error}", path.display());
            }
        }
    }
}

/// Check every device of `table` and make it usable. What the devices in `own`
/// hold does not count as use by others.
///
/// # Errors
/// ENOENT, ENODEV where a device is missing or none; ENOSPC where it is too
/// small; EBUSY where somebody uses it; EINVAL where two ranges overlap or a log
/// is another mirror's. Nothing is left behind.
pub fn admit<'a>(
    devices: &dyn Devices,
    claims: &'a Claims,
    table: &Table,
    own: &[DevNo],
    read_only: bool,
) -> Result<Admitted<'a>> {
    let places = places(table)?;
    let mut claimed = Claimed {
        claims,
        bases: HashSet::new(),
    };
    check(devices, &places, own, &mut claimed)?;
    let mut admitted = Admitted {
        table: table.clone(),
        attached: HashMap::new(),
        made: Vec::new(),
        _claimed: claimed,
    };
    match prepare(devices, &places, own, read_only, &mut admitted) {
        Ok(()) => Ok(admitted),
        Err(error) => {
            admitted.undo();
            Err(error)
        }
    }
}

/// A range of a device that the table uses.
struct Place {
    device: DeviceRef,
    /// `leg 1`, `log`, as a sentence calls it.
    role: String,
    /// First byte.
    start: u64,
    /// Bytes.
    size: u64,
    /// The regions of the log, where this is one.
    log: Option<u64>,
}

fn places(table: &Table) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut legs = 0;
    for target in &table.targets {
        match &target.mapping {
            Mapping::Mirror(mirror) => {
                places.extend(log_place(mirror, target.length)?);
                for leg in &mirror.legs {
                    places.push(place(
                        &leg.device,
                        format!("leg {legs}"),
                        leg.offset,
                        target,
                    )?);
                    legs += 1;
                }
            }
            Mapping::Linear(linear) => {
                let role = format!("the linear target at {}", target.start);
                places.push(place(&linear.device, role, linear.offset, target)?);
            }
            Mapping::Other { .. } => {}
        }
    }
    Ok(places)
}

fn place(device: &DeviceRef, role: String, offset: u64, target: &Target) -> Result<Place> {
    let bytes = |sectors: u64| sectors.checked_mul(SECTOR);
    let (start, size) = bytes(offset)
        .zip(bytes(target.length))
        .filter(|(start, size)| start.checked_add(*size).is_some())
        .ok_or_else(|| {
            Error::invalid(format!(
                "{role}: {offset} + {} sectors is past any device",
                target.length
            ))
        })?;
    Ok(Place {
        device: device.clone(),
        role,
        start,
        size,
        log: None,
    })
}

fn log_place(mirror: &Mirror, length: u64) -> Result<Option<Place>> {
    let Log::Disk { device, region, .. } = &mirror.log else {
        return Ok(None);
    };
    let regions = length.div_ceil((*region).max(1));
    let size = disklog::size_for(regions, SECTOR)
        .ok_or_else(|| Error::invalid(format!("a log of {regions} regions is too large")))?;
    Ok(Some(Place {
        device: device.clone(),
        role: "the log".into(),
        start: 0,
        size,
        log: Some(regions),
    }))
}

/// The checks that change nothing.
fn check(
    devices: &dyn Devices,
    places: &[Place],
    own: &[DevNo],
    claimed: &mut Claimed<'_>,
) -> Result<()> {
    let mut extents: Vec<(&str, Extent)> = Vec::new();
    for place in places {
        let Some(facts) = existing(devices, place)? else {
            continue;
        };
        match place.log {
            Some(regions) => logfile::check(&facts, regions)?,
            None => check_size(place, &facts)?,
        }
        let extent = Extent {
            base: facts.extent.base.clone(),
            start: facts.extent.start.saturating_add(place.start),
            size: place.size,
        };
        check_overlap(place, &extent, &extents)?;
        claimed.claim(&extent.base, place)?;
        extents.push((&place.role, extent));
        if let Some(user) = devices.user(&facts, own)? {
            return Err(Error::busy(format!(
                "{} {} is {user}",
                place.role,
                facts.node.display()
            )));
        }
    }
    Ok(())
}

/// What is known of the place's device; none for a log file yet to be made.
fn existing(devices: &dyn Devices, place: &Place) -> Result<Option<Facts>> {
    match devices.facts(&place.device) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.errno() == Errno::ENOENT && place.log.is_some() => Ok(None),
        Err(error) => Err(error.context(&place.role)),
    }
}

fn check_size(place: &Place, facts: &Facts) -> Result<()> {
    let need = place.start.saturating_add(place.size);
    if facts.size >= need {
        return Ok(());
    }
    let (name, have) = (facts.node.display(), facts.size / SECTOR);
    Err(Error::new(
        Errno::ENOSPC,
        format!(
            "{} {name} is too small: it has {have} sectors, {} from {} on need {}",
            place.role,
            place.size / SECTOR,
            place.start / SECTOR,
            need / SECTOR
        ),
    ))
}

/// The kernel takes one device twice, and overlapping ranges: a copy onto
/// itself, or a log over data.
fn check_overlap(place: &Place, extent: &Extent, others: &[(&str, Extent)]) -> Result<()> {
    let end = |e: &Extent| e.start.saturating_add(e.size);
    let clash = others.iter().find(|(_, other)| {
        other.base == extent.base && other.start < end(extent) && extent.start < end(other)
    });
    match clash {
        Some((role, _)) => Err(Error::invalid(format!(
            "{} {} overlaps {role}: each needs a place of its own",
            place.role, place.device
        ))),
        None => Ok(()),
    }
}

/// Make log files, attach files, and put numbers into the table.
fn prepare(
    devices: &dyn Devices,
    places: &[Place],
    own: &[DevNo],
    read_only: bool,
    admitted: &mut Admitted<'_>,
) -> Result<()> {
    let mut numbers: HashMap<DeviceRef, DeviceRef> = HashMap::new();
    for place in places {
        if let (Some(regions), None) = (place.log, existing(devices, place)?) {
            let path = path_of(&place.device)?;
            logfile::make(path, regions)?;
            admitted.made.push(path.into());
        }
        let facts = devices.facts(&place.device)?;
        // The kernel writes the log even where the mirror is read only.
        let read_only = read_only && place.log.is_none();
        let number = usable(devices, &facts, own, read_only, admitted)?;
        numbers.insert(place.device.clone(), number);
    }
    rename_devices(&mut admitted.table, &numbers);
    Ok(())
}

fn path_of(device: &DeviceRef) -> Result<&Path> {
    match device {
        DeviceRef::Path(path) => Ok(path),
        DeviceRef::Number(number) => Err(Error::new(
            Errno::ENODEV,
            format!("there is no device {number}"),
        )),
    }
}

/// The device as a table names it: a file by the loop device that `own` holds
/// already, or by a new one.
fn usable(
    devices: &dyn Devices,
    facts: &Facts,
    own: &[DevNo],
    read_only: bool,
    admitted: &mut Admitted<'_>,
) -> Result<DeviceRef> {
    let Some(file) = facts.file.as_ref().filter(|_| is_file(facts)) else {
        return Ok(facts.device.clone());
    };
    if let Some(attachment) = admitted.attached.get(file) {
        return Ok(attachment.device.clone());
    }
    let held = own.iter().map(|number| DeviceRef::Number(*number));
    let mut held = held.filter(|device| {
        let known = devices.facts(device);
        known.is_ok_and(|known| known.extent == facts.extent)
    });
    if let Some(device) = held.next() {
        return Ok(device);
    }
    let attachment = devices.attach(file, read_only)?;
    let device = attachment.device.clone();
    admitted.attached.insert(file.clone(), attachment);
    Ok(device)
}

/// A loop device has a file behind it too, but is a device already.
fn is_file(facts: &Facts) -> bool {
    matches!(facts.device, DeviceRef::Path(_))
}

fn rename_devices(table: &mut Table, numbers: &HashMap<DeviceRef, DeviceRef>) {
    let rename = |device: &mut DeviceRef| {
        if let Some(number) = numbers.get(device) {
            device.clone_from(number);
        }
    };
    for target in &mut table.targets {
        match &mut target.mapping {
            Mapping::Mirror(mirror) => {
                mirror
                    .legs
                    .iter_mut()
                    .for_each(|leg| rename(&mut leg.device));
                if let Log::Disk { device, .. } = &mut mirror.log {
                    rename(device);
                }
            }
            Mapping::Linear(linear) => rename(&mut linear.device),
            Mapping::Other { .. } => {}
        }
    }
}

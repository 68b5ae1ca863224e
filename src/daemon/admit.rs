//! What must be true of devices before the kernel sees a table: each exists, is
//! large enough, is nobody else's, and is named once. Files become devices here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::claims::{Claimed, Claims};
use super::logfile;
use super::places::{Place, places};
use crate::engine::{Attachment, Devices, Extent, Facts};
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;
use crate::text::table::Table;

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
    /// The log files that were made for it.
    pub fn made(&self) -> &[PathBuf] {
        &self.made
    }

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
    own: &[DeviceRef],
    read_only: bool,
) -> Result<Admitted<'a>> {
    let places = places(table)?;
    let mut claimed = claims.none();
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

/// The checks that change nothing.
fn check(
    devices: &dyn Devices,
    places: &[Place],
    own: &[DeviceRef],
    claimed: &mut Claimed<'_>,
) -> Result<()> {
    let mut extents: Vec<(&str, Extent)> = Vec::new();
    for place in places {
        let Some(facts) = existing(devices, place)? else {
            continue;
        };
        let extent = place.extent(&facts);
        place.check_overlap(&extent, &extents)?;
        claimed.claim(&extent.base, || place.to_string())?;
        extents.push((&place.role, extent));
        if let Some(user) = devices.user(&facts, own)? {
            return Err(Error::busy(format!(
                "{} {} is {user}",
                place.role,
                facts.node.display()
            )));
        }
        match place.log {
            Some(regions) => logfile::check(&facts, regions, held(devices, &facts, own).is_some())?,
            None => place.check_size(&facts)?,
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

/// Make log files, attach files, and put numbers into the table.
fn prepare(
    devices: &dyn Devices,
    places: &[Place],
    own: &[DeviceRef],
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
    for device in admitted.table.devices() {
        if let Some(number) = numbers.get(device) {
            device.clone_from(number);
        }
    }
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
    own: &[DeviceRef],
    read_only: bool,
    admitted: &mut Admitted<'_>,
) -> Result<DeviceRef> {
    let Some(file) = facts.file.as_ref().filter(|_| is_file(facts)) else {
        return Ok(facts.device.clone());
    };
    if let Some(attachment) = admitted.attached.get(file) {
        return Ok(attachment.device.clone());
    }
    if let Some(device) = held(devices, facts, own) {
        return Ok(device);
    }
    let attachment = devices.attach(file, read_only)?;
    let device = attachment.device.clone();
    admitted.attached.insert(file.clone(), attachment);
    Ok(device)
}

/// The device in `own` that lies where this one does.
fn held(devices: &dyn Devices, facts: &Facts, own: &[DeviceRef]) -> Option<DeviceRef> {
    let found = own.iter().find(|device| {
        let known = devices.facts(device);
        known.is_ok_and(|known| known.extent == facts.extent)
    });
    found.cloned()
}

/// A loop device has a file behind it too, but is a device already.
fn is_file(facts: &Facts) -> bool {
    matches!(facts.device, DeviceRef::Path(_))
}

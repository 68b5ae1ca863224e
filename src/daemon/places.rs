//! Places: the ranges of devices that a table uses, as logs, legs or linear
//! targets, and what can be said of them without acting.

use std::fmt;

use crate::engine::{Extent, Facts, Span};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::mirror::{Leg, Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// A range of a device that the table uses.
#[derive(Debug)]
pub struct Place {
    /// The device, as the table names it.
    pub device: DeviceRef,
    /// `leg 1`, `the log`, as a sentence calls it.
    pub role: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// The regions of the log, where this is one.
    pub log: Option<u64>,
    /// What is copied to it, where it is a target.
    pub from: Option<Leg>,
}

/// The places of a table, in the order in which it names them.
///
/// # Errors
/// EINVAL where one is past any device.
pub fn places(table: &Table) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut legs = 0;
    for target in &table.targets {
        match &target.mapping {
            Mapping::Mirror(mirror) => {
                places.extend(log_place(mirror, target.length)?);
                for (number, leg) in mirror.legs.iter().enumerate() {
                    let role = format!("leg {legs}");
                    let mut place = place(&leg.device, role, leg.offset, target)?;
                    place.from = mirror.legs.first().filter(|_| number > 0).cloned();
                    places.push(place);
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
        from: None,
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
        from: None,
    }))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.device)
    }
}

impl Place {
    /// Whether the mirror itself writes it, whoever else does.
    pub fn is_written(&self) -> bool {
        self.log.is_some() || self.from.is_some()
    }

    /// Its bytes on the device.
    pub fn span(&self) -> Span {
        Span {
            start: self.start,
            size: self.size,
        }
    }

    /// Where the place really lies, given what is known of its device.
    pub fn extent(&self, facts: &Facts) -> Extent {
        Extent {
            base: facts.extent.base.clone(),
            start: facts.extent.start.saturating_add(self.start),
            size: self.size,
        }
    }

    /// Check that the device reaches to the end of the place.
    ///
    /// # Errors
    /// ENOSPC where it does not.
    pub fn check_size(&self, facts: &Facts) -> Result<()> {
        let need = self.start.saturating_add(self.size);
        if facts.size >= need {
            return Ok(());
        }
        let (name, have) = (facts.node.display(), facts.size / SECTOR);
        Err(Error::new(
            Errno::ENOSPC,
            format!(
                "{} {name} is too small: it has {have} sectors, {} from {} on need {}",
                self.role,
                self.size / SECTOR,
                self.start / SECTOR,
                need / SECTOR
            ),
        ))
    }

    /// Check that the place is nobody else's. The kernel takes one device twice, and overlapping ranges: a copy onto
    /// itself, or a log over data.
    ///
    /// # Errors
    /// EINVAL where it overlaps another.
    pub fn check_overlap(&self, extent: &Extent, others: &[(&str, Extent)]) -> Result<()> {
        let end = |e: &Extent| e.start.saturating_add(e.size);
        let clash = others.iter().find(|(_, other)| {
            other.base == extent.base && other.start < end(extent) && extent.start < end(other)
        });
        match clash {
            Some((role, _)) => Err(Error::invalid(format!(
                "{} {} overlaps {role}: each needs a place of its own",
                self.role, self.device
            ))),
            None => Ok(()),
        }
    }
}

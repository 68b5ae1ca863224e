//! Places: the ranges of devices that a table uses, as logs, legs or linear
//! targets, and what can be said of them without acting.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::engine::{Extent, Facts, Span};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::mirror::{Leg, Log, Mirror};
use crate::text::size::exact;
use crate::text::table::{Mapping, Table, Target};

/// The most regions that a log file has room for beyond its own: a MiB of bits.
const MOST_ROOM: u64 = 1 << 23;

/// A range of a device that the table uses.
#[derive(Debug)]
pub struct TableRange {
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
    /// The regions that a log file which is made has room for: the mirror target may
    /// become as long as the device.
    pub room: u64,
    /// What is copied to it, where it is a target.
    pub from: Option<Leg>,
}

/// The places of a table, in the order in which it names them.
///
/// # Errors
/// EINVAL where one is past any device.
pub fn places(table: &Table) -> Result<Vec<TableRange>> {
    let mut places = Vec::new();
    let mut legs = 0;
    for target in &table.targets {
        match &target.mapping {
            Mapping::Mirror(mirror) => {
                places.extend(log_place(mirror, target.length, table.length())?);
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

fn place(device: &DeviceRef, role: String, offset: u64, target: &Target) -> Result<TableRange> {
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
    Ok(TableRange {
        device: device.clone(),
        role,
        start,
        size,
        log: None,
        room: 0,
        from: None,
    })
}

fn log_place(mirror: &Mirror, length: u64, whole: u64) -> Result<Option<TableRange>> {
    let Log::Disk { device, region, .. } = &mirror.log else {
        return Ok(None);
    };
    let regions = length.div_ceil((*region).max(1));
    let size = disklog::size_for(regions, SECTOR)
        .ok_or_else(|| Error::invalid(format!("a log of {regions} regions is too large")))?;
    Ok(Some(TableRange {
        device: device.clone(),
        role: "the log".into(),
        start: 0,
        size,
        log: Some(regions),
        room: whole.div_ceil((*region).max(1)).min(MOST_ROOM).max(regions),
        from: None,
    }))
}

impl fmt::Display for TableRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.device)
    }
}

impl TableRange {
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
        let name = facts.node.display();
        let shown = |bytes: u64| format!("{} sectors ({})", bytes / SECTOR, amount(bytes));
        let from = match self.start / SECTOR {
            0 => String::new(),
            sector => format!(", from sector {sector} on"),
        };
        let sentence = format!(
            "{} {name} is too small: it has {}, {} are needed{from}",
            self.role,
            shown(facts.size),
            shown(need)
        );
        Err(Error::new(Errno::ENOSPC, sentence))
    }
}

/// Bytes as a person compares them: exact, in the largest unit that is.
fn amount(bytes: u64) -> String {
    match exact(bytes) {
        (number, Some(letter)) => format!("{number} {letter}iB"),
        (bytes, None) => format!("{bytes} bytes"),
    }
}

/// The ranges that the places of one table have so far.
#[derive(Default)]
pub struct Taken<'p> {
    /// By what they lie on and where they begin: the first byte behind, and whose.
    ranges: HashMap<String, BTreeMap<u64, (u64, &'p str)>>,
}

impl<'p> Taken<'p> {
    /// Let a place have a range. The kernel takes one device twice, and overlapping
    /// ranges: a copy onto itself, or a log over data.
    ///
    /// # Errors
    /// EINVAL where it overlaps that of another.
    pub fn take(&mut self, place: &'p TableRange, extent: &Extent) -> Result<()> {
        let (start, end) = (extent.start, extent.start.saturating_add(extent.size));
        let ranges = self.ranges.entry(extent.base.clone()).or_default();
        // They do not overlap each other: only the last that begins before the end may
        // reach into this one.
        let last = ranges.range(..end).next_back();
        let clash = last.filter(|(_, (behind, _))| *behind > start);
        if let Some((_, (_, role))) = clash {
            return Err(Error::invalid(format!(
                "{} {} overlaps {role}: each needs a place of its own",
                place.role, place.device
            )));
        }
        ranges.insert(start, (end, &place.role));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn place(role: &str) -> TableRange {
        TableRange {
            device: "8:0".parse().unwrap(),
            role: role.into(),
            start: 0,
            size: 0,
            log: None,
            room: 0,
            from: None,
        }
    }

    fn extent(base: &str, start: u64, size: u64) -> Extent {
        let base = base.into();
        Extent { base, start, size }
    }

    #[test]
    fn ranges_that_meet_are_found() {
        let (one, other) = (place("leg 0"), place("leg 1"));
        for (start, size, free) in [
            (0, 10, true),
            (0, 11, false),
            (15, 1, false),
            (5, 100, false),
            (20, 10, true),
            (19, 1, false),
        ] {
            let mut taken = Taken::default();
            assert_eq!(taken.take(&one, &extent("8:0", 10, 10)), Ok(()));
            assert_eq!(taken.take(&other, &extent("8:16", start, size)), Ok(()));
            let found = taken.take(&other, &extent("8:0", start, size));
            assert_eq!(found.is_ok(), free, "{start} {size}: {found:?}");
        }
    }

    #[test]
    fn ten_thousand_places_take_no_time() {
        let (place, start) = (place("leg 0"), Instant::now());
        let mut taken = Taken::default();
        for number in 0..10_000 {
            assert_eq!(taken.take(&place, &extent("8:0", number * 8, 8)), Ok(()));
        }
        assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
    }
}

//! What a device has already when it is to get another table: nothing of it is taken
//! from anybody.

use std::collections::{BTreeMap, HashMap};

use super::extent::{TableRange, places};
use super::looks::Looks;
use crate::engine::{Devices, Extent, Facts};
use crate::error::{Error, Result};
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// What a device has already.
#[derive(Debug, Default)]
pub struct Own {
    /// The devices and files that its table holds, and itself.
    pub devices: Vec<DeviceRef>,
    /// Where the places of its table lie: by what they lie on, the first byte of each
    /// range and the one behind. What adjoins is one range.
    ranges: HashMap<String, BTreeMap<u64, u64>>,
    /// Its name and its logical blocks, while it may be in use.
    pub live: Option<(String, u64)>,
    /// Whether a log of it may be for another number of regions than it was.
    pub grows: bool,
}

impl Own {
    /// What a device has that is not there; `grows` as in [`Own::grows`].
    pub fn of_nothing(grows: bool) -> Own {
        Own {
            grows,
            ..Own::default()
        }
    }

    /// What a device with this table has, which holds these devices.
    pub fn of(devices: &dyn Devices, table: &Table, held: Vec<DeviceRef>) -> Own {
        let looks = Looks::at(devices);
        let places = places(table).unwrap_or_default();
        let extents = places.iter().filter_map(|place| {
            let facts = looks.facts(&place.device).ok()?;
            Some(place.extent(&facts))
        });
        Own {
            ranges: together(extents),
            devices: held,
            ..Own::default()
        }
    }

    /// What of an extent it does not have, from the first such byte on.
    pub fn fresh(&self, extent: &Extent) -> Option<Extent> {
        let end = |extent: &Extent| extent.start.saturating_add(extent.size);
        let (ranges, last) = (self.ranges.get(&extent.base), end(extent));
        let before = ranges.and_then(|ranges| ranges.range(..=extent.start).next_back());
        let start = before.map_or(0, |(_, end)| *end).max(extent.start);
        (start < last).then(|| Extent {
            base: extent.base.clone(),
            start,
            size: last - start,
        })
    }

    /// The device that it holds which lies where this one does.
    pub fn held(&self, devices: &dyn Devices, facts: &Facts) -> Option<DeviceRef> {
        let found = self.devices.iter().find(|device| {
            let known = devices.facts(device);
            known.is_ok_and(|known| known.extent == facts.extent)
        });
        found.cloned()
    }

    /// The kernel takes a leg with larger blocks, and the device has them too from
    /// then on: a file system that is mounted from it fails.
    ///
    /// # Errors
    /// EINVAL where a new leg has other blocks than a device that is in use.
    pub fn check_blocks(&self, place: &TableRange, facts: &Facts) -> Result<()> {
        let Some((name, has)) = &self.live else {
            return Ok(());
        };
        let known = self.devices.contains(&facts.device);
        if place.log.is_some() || known || facts.block_size == *has {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} {} has logical blocks of {} bytes, {name} of {has}: \
             they cannot differ while it is in use",
            place.role, place.device, facts.block_size
        )))
    }
}

fn together(extents: impl Iterator<Item = Extent>) -> HashMap<String, BTreeMap<u64, u64>> {
    let mut sorted: Vec<Extent> = extents.collect();
    sorted.sort_by(|one, other| (&one.base, one.start).cmp(&(&other.base, other.start)));
    let mut all: HashMap<String, BTreeMap<u64, u64>> = HashMap::new();
    for Extent { base, start, size } in sorted {
        let (ranges, end) = (all.entry(base).or_default(), start.saturating_add(size));
        match ranges.last_entry() {
            Some(mut last) if *last.get() >= start => {
                let behind = end.max(*last.get());
                last.insert(behind);
            }
            _ => {
                ranges.insert(start, end);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(base: &str, start: u64, size: u64) -> Extent {
        let base = base.into();
        Extent { base, start, size }
    }

    #[test]
    fn what_it_has_is_not_fresh() {
        let own = Own {
            ranges: together(
                [
                    extent("8:0", 20, 10),
                    extent("8:0", 10, 10),
                    extent("8:0", 12, 3),
                    extent("8:0", 40, 10),
                    extent("8:16", 0, 5),
                ]
                .into_iter(),
            ),
            ..Own::default()
        };
        for (asked, wanted) in [
            (extent("8:0", 10, 20), None),
            (extent("8:0", 15, 5), None),
            (extent("8:0", 10, 21), Some(extent("8:0", 30, 1))),
            (extent("8:0", 9, 5), Some(extent("8:0", 9, 5))),
            (extent("8:0", 30, 5), Some(extent("8:0", 30, 5))),
            (extent("8:0", 40, 10), None),
            (extent("8:0", 25, 20), Some(extent("8:0", 30, 15))),
            (extent("8:32", 10, 5), Some(extent("8:32", 10, 5))),
            (extent("8:16", 0, 8), Some(extent("8:16", 5, 3))),
        ] {
            assert_eq!(own.fresh(&asked), wanted, "{asked:?}");
        }
    }
}

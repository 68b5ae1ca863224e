//! A device that stands on itself by way of other mappings. The kernel refuses
//! only the shortest such cycle, and hangs in the others.

use std::collections::{HashMap, HashSet};

use crate::engine::{Engine, Id, Slot};
use crate::error::{Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Table;

/// Check that nothing that `table` names stands on `device`.
///
/// # Errors
/// EINVAL where something does, and what the list of devices answers.
pub fn check(engine: &dyn Engine, device: DevNo, table: &Table) -> Result<()> {
    check_numbers(engine, device, numbers(table).into_iter())
}

/// The same of devices by their numbers.
///
/// # Errors
/// As those of [`check`].
pub(crate) fn check_numbers(
    engine: &dyn Engine,
    device: DevNo,
    numbers: impl Iterator<Item = DevNo>,
) -> Result<()> {
    let listed = engine.list()?;
    let names: HashMap<DevNo, String> = listed.iter().map(|d| (d.dev, d.name.clone())).collect();
    for number in numbers {
        if stands_on(engine, &names, number, device) {
            return Err(Error::invalid(format!(
                "device {number} lies on {device} itself: a mirror cannot be its own leg"
            )));
        }
    }
    Ok(())
}

fn numbers(table: &Table) -> Vec<DevNo> {
    let mut table = table.clone();
    let numbers = table.devices().filter_map(|device| device.number());
    numbers.collect()
}

fn stands_on(engine: &dyn Engine, names: &HashMap<DevNo, String>, from: DevNo, on: DevNo) -> bool {
    let (mut seen, mut left) = (HashSet::new(), vec![from]);
    while let Some(number) = left.pop() {
        if number == on {
            return true;
        }
        if !seen.insert(number) {
            continue;
        }
        let name = names.get(&number).cloned();
        // One that goes meanwhile stands on nothing.
        let below = name.and_then(|name| engine.deps(&Id::Name(name), Slot::Live).ok());
        left.extend(
            below
                .unwrap_or_default()
                .iter()
                .filter_map(DeviceRef::number),
        );
    }
    false
}

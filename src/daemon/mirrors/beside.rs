//! Who else holds a mirror's legs and logs. device-mapper lets another mapping have a
//! leg that a mirror has already, and what is written through that one is on this leg
//! alone, while the mirror says that all are equal.

use super::tables::{ALL, Tables};
use crate::engine::{PromptDevices, PromptEngine, Span};
use crate::error::Result;
use crate::model::snapshot::{Owner, Snapshot};
use crate::text::device::DeviceRef;

/// Who else holds its legs and logs, a sentence's part each: `leg 1 /dev/sdc is
/// also used by the mapping t`. Asks the kernel alone. LVM shares its disks among
/// its own devices, and knows how.
///
/// # Errors
/// What the list of devices answers.
pub(super) fn beside(
    tables: &Tables,
    engine: &dyn PromptEngine,
    devices: &dyn PromptDevices,
    snapshot: &Snapshot,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if snapshot.owner() == Owner::Lvm {
        return Ok(found);
    }
    let uses = tables.uses(engine)?;
    let itself = snapshot.info.dev;
    for (what, device, span) in used(snapshot) {
        let mappings = uses.users(&device, span, itself).into_iter();
        let mappings = mappings.map(|name| format!("the mapping {name}"));
        let others = devices.holders(&device).into_iter();
        let others = others.filter(|other| other.dev != itself);
        for other in mappings.chain(others.map(|other| other.words)) {
            let text = format!("{what} is also used by {other}");
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    Ok(found)
}

/// The ranges of devices that a mirror uses, with what a sentence calls them.
fn used(snapshot: &Snapshot) -> Vec<(String, DeviceRef, Span)> {
    let legs = snapshot.legs.iter().map(|leg| {
        let span = Span {
            start: leg.offset,
            size: leg.length,
        };
        let what = format!("leg {} {}", leg.number, leg.node());
        (what, leg.device.clone(), span)
    });
    let logs = snapshot.logs.iter().filter_map(|log| {
        let device = log.device.clone()?;
        Some((format!("the log {}", log.node()), device, ALL))
    });
    legs.chain(logs).collect()
}

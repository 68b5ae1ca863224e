//! Who else holds a mirror's legs and logs. device-mapper lets another mapping have a
//! leg that a mirror has already, and what is written through that one is on this leg
//! alone, while the mirror says that all are equal.

use std::collections::HashMap;
use std::sync::Arc;

use super::tables::{ALL, Uses};
use crate::engine::{Holder, Span};
use crate::model::snapshot::{Owner, Snapshot};
use crate::text::device::DeviceRef;

/// Who else holds its legs and logs, a sentence's part each: `leg 1 /dev/sdc is
/// also used by the mapping t`. Asks the kernel alone. LVM shares its disks among
/// its own devices, and knows how.
pub(super) fn beside(
    uses: &Uses,
    holders: &HashMap<DeviceRef, Arc<[Holder]>>,
    snapshot: &Snapshot,
) -> Vec<String> {
    let mut found = Vec::new();
    if snapshot.owner() == Owner::Lvm {
        return found;
    }
    let itself = snapshot.info.dev;
    for (what, device, span) in used(snapshot) {
        let mappings = uses.users(&device, span, itself).into_iter();
        let mappings = mappings.map(|name| format!("the mapping {name}"));
        let others = holders
            .get(&device)
            .into_iter()
            .flat_map(|others| others.iter());
        let others = others.filter(|other| other.dev != itself);
        for other in mappings.chain(others.map(|other| other.words.clone())) {
            let text = format!("{what} is also used by {other}");
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}

/// The devices of its legs and logs.
pub(super) fn devices(snapshot: &Snapshot) -> impl Iterator<Item = &DeviceRef> {
    let legs = snapshot.leg_devices();
    legs.chain(snapshot.logs.iter().filter_map(|log| log.device.as_ref()))
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

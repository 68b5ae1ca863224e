//! Who else holds a mirror's legs and logs. device-mapper lets another mapping have a
//! leg that a mirror has already, and what is written through that one is on this leg
//! alone, while the mirror says that all are equal.

use super::Daemon;
use crate::engine::{Holder, Id, Slot};
use crate::error::{Error, Result};
use crate::model::snapshot::{Owner, SECTOR, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::mirror::Log;
use crate::text::table::{Mapping, Table, Target};

/// A range of a device that a mirror uses, in bytes.
struct Used {
    what: String,
    device: DeviceRef,
    start: u64,
    size: u64,
}

impl Daemon {
    /// Who else holds its legs and logs, a sentence's part each: `leg 1 /dev/sdc is
    /// also used by the mapping t`. Asks the kernel alone. LVM shares its disks among
    /// its own devices, and knows how.
    pub(super) fn beside(&self, snapshot: &Snapshot) -> Vec<String> {
        if snapshot.owner() == Owner::Lvm {
            return Vec::new();
        }
        let mut found = Vec::new();
        for used in used(snapshot) {
            let holders = self.devices.holders(&used.device).into_iter();
            let others = holders.filter(|holder| holder.dev != snapshot.info.dev);
            for other in others.filter(|other| self.shares(other, &used)) {
                let text = format!("{} is also used by {}", used.what, other.words);
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        found
    }

    /// Check that nobody else holds its legs and logs.
    ///
    /// # Errors
    /// EBUSY names the first who does.
    pub(super) fn check_nobody_beside(&self, snapshot: &Snapshot) -> Result<()> {
        match self.beside(snapshot).first() {
            Some(other) => Err(Error::busy(format!(
                "{other}: what was written through it is not on the other legs; \
                 remove it first"
            ))),
            None => Ok(()),
        }
    }

    /// Whether a holder may reach the range. A mapping's table says which part of the
    /// device it uses, where it is understood.
    fn shares(&self, holder: &Holder, used: &Used) -> bool {
        let Some(name) = &holder.mapping else {
            return true;
        };
        let live = self.engine.table(&Id::Name(name.clone()), Slot::Live);
        // One that is gone by now holds nothing any more.
        let Ok((_, lines)) = live else {
            return false;
        };
        let table = Table::from_lines(&lines);
        table.targets.iter().any(|target| reaches(target, used))
    }
}

fn used(snapshot: &Snapshot) -> Vec<Used> {
    let legs = snapshot.legs.iter().map(|leg| Used {
        what: format!("leg {} {}", leg.number, leg.node()),
        device: leg.device.clone(),
        start: leg.offset,
        size: leg.length,
    });
    let logs = snapshot.logs.iter().filter_map(|log| {
        Some(Used {
            what: format!("the log {}", log.node()),
            device: log.device.clone()?,
            start: 0,
            size: u64::MAX,
        })
    });
    legs.chain(logs).collect()
}

/// Whether a target of another mapping may reach the range; of a kind that is not
/// understood nobody knows.
fn reaches(target: &Target, used: &Used) -> bool {
    let overlaps = |device: &DeviceRef, offset: u64| {
        let (start, size) = (
            offset.saturating_mul(SECTOR),
            target.length.saturating_mul(SECTOR),
        );
        *device == used.device
            && start < used.start.saturating_add(used.size)
            && used.start < start.saturating_add(size)
    };
    match &target.mapping {
        Mapping::Linear(linear) => overlaps(&linear.device, linear.offset),
        Mapping::Mirror(mirror) => {
            let mut legs = mirror.legs.iter();
            let log = matches!(&mirror.log, Log::Disk { device, .. } if *device == used.device);
            log || legs.any(|leg| overlaps(&leg.device, leg.offset))
        }
        Mapping::Other { kind, .. } => !matches!(kind.as_str(), "error" | "zero"),
    }
}

//! What is below the device that has a log: its legs, and what is on its disk log.

use std::collections::BTreeSet;

use crate::cluster::serve::act::{Look, Looked};
use crate::cluster::state::legs::HERE;
use crate::engine::identity::{BOOT, DeviceId, DeviceKind, Identity};
use crate::engine::kernel::Kernel;
use crate::engine::kernel::devices::Looped;
use crate::engine::{Devices, Id, Info, PromptEngine, Slot, Span};
use crate::error::Result;
use crate::text::device::DeviceRef;
use crate::text::disklog::{bits, size_for};
use crate::text::log::Log;
use crate::text::mirror::Mirror;
use crate::text::table::{Line, Table};

/// What a device says of itself to each machine alike, without udev.
const LASTING: &[&str] = &[
    "dm/uuid",
    "md/uuid",
    "wwid",
    "device/wwid",
    "serial",
    "device/serial",
];

/// A device whose live table has a log.
pub struct Having {
    /// The device.
    pub info: Info,
    /// Its table.
    pub lines: Vec<Line>,
    /// The mirror that has the log.
    mirror: Mirror,
}

/// The devices that have a log, each as often as it has it.
///
/// # Errors
/// What listing the devices answers. One that goes meanwhile is none.
pub fn having(engine: &Kernel, log: &str) -> Result<Vec<Having>> {
    let mut found = Vec::new();
    for listed in engine.list()?.iter() {
        let Ok((info, lines)) = engine.table(&Id::Name(listed.name.clone()), Slot::Live) else {
            continue;
        };
        let table = Table::from_lines(&lines);
        let mirrors = table.mirrors().map(|(_, mirror)| mirror);
        let having = mirrors.filter(|mirror| name(&mirror.log) == Some(log));
        found.extend(having.map(|mirror| Having {
            info: info.clone(),
            lines: lines.clone(),
            mirror: mirror.clone(),
        }));
    }
    Ok(found)
}

/// The logs that some table has, a loaded one too.
///
/// # Errors
/// What listing the devices, or reading their tables, answers.
pub fn all_logs(engine: &Kernel) -> Result<BTreeSet<String>> {
    let mut logs = BTreeSet::new();
    for listed in engine.list()?.iter() {
        for slot in [Slot::Live, Slot::Inactive] {
            let (_, lines) = engine.table(&Id::Name(listed.name.clone()), slot)?;
            let table = Table::from_lines(&lines);
            let names = table.mirrors().filter_map(|(_, mirror)| name(&mirror.log));
            logs.extend(names.map(str::to_owned));
        }
    }
    Ok(logs)
}

/// What a userspace log is called.
fn name(log: &Log) -> Option<&str> {
    match log {
        Log::Userspace { args } => args.first().map(String::as_str),
        Log::Core { .. } | Log::Disk { .. } => None,
    }
}

/// Look. Where two devices have the log nobody can say which is meant.
pub fn look(engine: &Kernel, devices: &Looped, log: &str, look: &Look) -> Looked {
    let found = having(engine, log);
    let found = found.inspect_err(|error| log::warn!("the legs of the log {log}: {error}"));
    let mut looked = match found.as_deref() {
        Ok([one]) => legs(devices, &one.mirror),
        Ok(many) => {
            log::warn!("{} devices have the log {log}, not one", many.len());
            Looked::default()
        }
        Err(_) => Looked::default(),
    };
    if let Some(disk) = &look.disk {
        looked.disk = devices.facts(disk).map(|facts| facts.device).ok();
        let clean = look.regions.map(|regions| clean(devices, disk, regions));
        looked.clean = clean.and_then(|clean| {
            clean.unwrap_or_else(|error| {
                log::warn!("the log {log}: {error}");
                None
            })
        });
    }
    looked
}

fn legs(devices: &Looped, mirror: &Mirror) -> Looked {
    let named = mirror.legs.iter().map(|leg| {
        let facts = devices.facts(&leg.device)?;
        let name = called(&devices.identity(&facts)?, &leg.device);
        Ok(format!("{name} from sector {}", leg.offset))
    });
    let named: Result<Vec<String>> = named.collect();
    let legs = named.inspect_err(|error| log::warn!("a leg: {error}"));
    Looked {
        legs: legs.ok(),
        devices: mirror.legs.iter().map(|leg| leg.device.clone()).collect(),
        ..Looked::default()
    }
}

/// By what all machines know a leg; else by what this one does until it is booted.
fn called(identity: &Identity, device: &DeviceRef) -> String {
    let here = |text: String| format!("{HERE}{device} {text}");
    match identity {
        Identity::Device(id) => match lasting(id) {
            Some(name) => name,
            None => here(id.ids.get(BOOT).cloned().unwrap_or_default()),
        },
        other => here(other.to_string()),
    }
}

fn lasting(id: &DeviceId) -> Option<String> {
    let own = |key: &&&str| !id.common.contains(**key);
    let mut keys = LASTING.iter().filter(own);
    let name = keys.find_map(|key| id.ids.get(*key).map(|value| format!("{key} {value}")))?;
    Some(match id.kind() {
        DeviceKind::Partition { number, .. } => format!("{name} partition {number}"),
        _ => name,
    })
}

/// Which regions a disk log has as clean, where there is a log.
fn clean(devices: &Looped, device: &DeviceRef, regions: u64) -> Result<Option<Vec<u8>>> {
    let opened = devices.direct(device, false)?;
    let size = size_for(regions, 1).unwrap_or(0);
    let bytes = opened.read(Span { start: 0, size })?;
    Ok(bits(&bytes, regions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::device::DevNo;

    #[test]
    fn a_leg_has_a_name_that_lasts_where_it_says_one_of_its_own() {
        let device = DeviceRef::Number(DevNo { major: 8, minor: 1 });
        let named = |ids: &[(&str, &str)], common: &[&str], kind| {
            let ids = ids
                .iter()
                .map(|(key, id)| (key.to_string(), id.to_string()));
            let id = DeviceId {
                node: "/dev/sda1".into(),
                kind: Some(kind),
                ids: ids.collect(),
                common: common.iter().map(|key| key.to_string()).collect(),
                size: 4096,
                block_size: None,
            };
            called(&Identity::Device(id), &device)
        };
        let both = [("boot", "b 7"), ("ID_SERIAL", "q"), ("wwid", "w")];
        assert_eq!(named(&both, &[], DeviceKind::Disk), "wwid w");
        let part = DeviceKind::Partition {
            number: 2,
            start: None,
        };
        assert_eq!(named(&both, &[], part), "wwid w partition 2");
        assert_eq!(named(&both, &["wwid"], part), "here:8:1 b 7");
        assert_eq!(named(&[], &[], DeviceKind::Disk), "here:8:1 ");
    }
}

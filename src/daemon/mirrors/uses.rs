//! Which mapping uses which part of which device: what all tables of device-mapper say
//! together. A table is the same as long as its life lasts, and is read once in it, so
//! that a thousand mirrors on one disk can be asked about each other.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::engine::{Id, Listed, PromptEngine, Slot, Span};
use crate::error::Result;
use crate::model::snapshot::SECTOR;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::{Mapping, Table, Target};

/// What the tables say, as far as they were read.
#[derive(Default)]
pub(crate) struct Uses {
    known: Mutex<HashMap<DevNo, Known>>,
    /// All lives when they were read.
    lives: Mutex<Option<u64>>,
}

/// What one mapping uses, in one life of its table.
struct Known {
    life: Option<u64>,
    name: String,
    used: Vec<(DeviceRef, Span)>,
}

/// All of a device.
pub(crate) const ALL: Span = Span {
    start: 0,
    size: u64::MAX,
};

impl Uses {
    /// The names of the mappings that use some of these bytes of a device, but for one.
    pub(crate) fn of(&self, device: &DeviceRef, span: Span, but: DevNo) -> Vec<String> {
        let reaches = |(other, used): &(DeviceRef, Span)| other == device && used.meets(&span);
        let known = self.known.lock();
        let users = known
            .iter()
            .filter(|(dev, known)| **dev != but && known.used.iter().any(reaches));
        let mut names: Vec<String> = users.map(|(_, known)| known.name.clone()).collect();
        names.sort();
        names
    }

    /// Read the tables that are in another life than when they were read.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub(crate) fn refresh(&self, engine: &dyn PromptEngine) -> Result<()> {
        // Before the look, so that what comes meanwhile is looked at again.
        let all = engine.lives().ok();
        let mut read = self.lives.lock();
        if all.is_some() && *read == all {
            return Ok(());
        }
        *read = None;
        drop(read);
        let complete = self.read(engine)?;
        *self.lives.lock() = all.filter(|_| complete);
        Ok(())
    }

    /// Whether all of them could be read.
    fn read(&self, engine: &dyn PromptEngine) -> Result<bool> {
        let listed = engine.list()?;
        let lives: HashMap<DevNo, (Option<u64>, String)> = listed
            .iter()
            .map(|device| {
                let life = engine.life(device.dev).ok();
                (device.dev, (life, device.name.clone()))
            })
            .collect();
        let stale: Vec<Listed> = {
            let mut known = self.known.lock();
            // Where nothing tells one life from the next, each look is anew.
            known.retain(|dev, known| {
                let same = |(life, name): &(_, _)| *life == known.life && *name == known.name;
                known.life.is_some() && lives.get(dev).is_some_and(same)
            });
            let new = listed.into_iter();
            new.filter(|device| !known.contains_key(&device.dev))
                .collect()
        };
        let mut complete = true;
        for device in stale {
            let life = lives.get(&device.dev).and_then(|(life, _)| *life);
            // One that goes meanwhile uses nothing.
            let Ok(used) = used_by(engine, &device.name) else {
                complete = false;
                continue;
            };
            let name = device.name;
            self.known
                .lock()
                .insert(device.dev, Known { life, name, used });
        }
        Ok(complete)
    }
}

/// What a mapping uses. Of a kind of target that is not understood only the devices are
/// known.
fn used_by(engine: &dyn PromptEngine, name: &str) -> Result<Vec<(DeviceRef, Span)>> {
    let id = Id::Name(name.into());
    let (_, lines) = engine.table(&id, Slot::Live)?;
    let mut used = Vec::new();
    for target in &Table::from_lines(&lines).targets {
        match &target.mapping {
            Mapping::Linear(linear) => used.push(part(&linear.device, linear.offset, target)),
            Mapping::Mirror(mirror) => {
                let legs = mirror.legs.iter();
                used.extend(legs.map(|leg| part(&leg.device, leg.offset, target)));
                used.extend(mirror.log_device().map(|log| (log.clone(), ALL)));
            }
            Mapping::Other { kind, .. } if ["error", "zero"].contains(&kind.as_str()) => {}
            Mapping::Other { .. } => {
                let below = engine.deps(&id, Slot::Live)?.into_iter();
                return Ok(below.map(|device| (device, ALL)).collect());
            }
        }
    }
    Ok(used)
}

fn part(device: &DeviceRef, offset: u64, target: &Target) -> (DeviceRef, Span) {
    let span = Span {
        start: offset.saturating_mul(SECTOR),
        size: target.length.saturating_mul(SECTOR),
    };
    (device.clone(), span)
}

//! What all tables of device-mapper say: which mapping is a mirror, and which uses which
//! part of which device. A table is the same as long as its life lasts, and is read once
//! in it: an event of one mapping costs no look at the thousand others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::{Id, Info, Listed, PromptEngine, Slot, Span};
use crate::error::Result;
use crate::model::snapshot::{SECTOR, is_shown};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::printed::Printed;
use crate::text::table::{Mapping, Table, Target};

/// What the tables say, as far as they were read.
#[derive(Default)]
pub(crate) struct Tables {
    read: Mutex<HashMap<DevNo, Arc<Read>>>,
    /// All of them, and all lives when they were read.
    all: Mutex<(Option<u64>, Arc<Uses>)>,
}

/// What one table says, in one life of it.
pub(super) struct Read {
    /// The header that came with it.
    pub(super) info: Info,
    /// Whether mirrorfs shows the device because of it.
    pub(super) is_shown: bool,
    /// The table itself.
    pub(super) printed: Printed,
    /// The life that it was read in; none where it may be of any.
    pub(super) life: Option<u64>,
    used: Vec<(DeviceRef, Span)>,
}

/// The mappings that use a device, and which bytes of it.
#[derive(Default)]
pub(super) struct Uses(HashMap<DeviceRef, Users>);

/// Those that use one device, by the first byte that each uses.
#[derive(Default)]
struct Users {
    by_start: Vec<(Span, Arc<Read>)>,
    /// How far those up to each place reach.
    ends: Vec<u64>,
}

/// All of a device.
pub(super) const ALL: Span = Span {
    start: 0,
    size: u64::MAX,
};

impl Tables {
    /// What the table of a device says that was just listed.
    ///
    /// # Errors
    /// What reading it answers.
    pub(super) fn of(&self, engine: &dyn PromptEngine, device: &Listed) -> Result<Arc<Read>> {
        let same = |read: &&Arc<Read>| {
            // Where nothing tells one life from the next, each look is anew.
            device.life.is_some() && read.life == device.life && read.info.name == device.name
        };
        let known = self.read.lock().get(&device.dev).filter(same).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let id = Id::Name(device.name.clone());
        let (info, lines) = engine.table(&id, Slot::Live)?;
        let life = device.life.filter(|_| info.dev == device.dev);
        self.enter(engine, &id, (info, Printed::from(lines)), life)
    }

    /// What the table of a device says in this life of it, where it was read.
    pub(super) fn known(&self, dev: DevNo, life: Option<u64>) -> Option<Arc<Read>> {
        let read = self.read.lock();
        let known = read
            .get(&dev)
            .filter(|read| life.is_some() && read.life == life);
        known.cloned()
    }

    /// Keep a table that was just read, if it can be.
    pub(super) fn keep(
        &self,
        engine: &dyn PromptEngine,
        id: &Id,
        (info, printed): (&Info, &Printed),
        life: Option<u64>,
    ) {
        if life.is_some() {
            let entered = self.enter(engine, id, (info.clone(), printed.clone()), life);
            entered.map_or_else(|error| log::debug!("{error}: the table is not kept"), drop);
        }
    }

    fn enter(
        &self,
        engine: &dyn PromptEngine,
        id: &Id,
        (info, printed): (Info, Printed),
        life: Option<u64>,
    ) -> Result<Arc<Read>> {
        let read = Arc::new(Read {
            is_shown: is_shown(&info, &printed.lines),
            used: used_by(engine, id, &printed.table)?,
            printed,
            life,
            info,
        });
        self.read.lock().insert(read.info.dev, Arc::clone(&read));
        Ok(read)
    }

    /// Who uses what, now.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub(super) fn uses(&self, engine: &dyn PromptEngine) -> Result<Arc<Uses>> {
        // Before the look, so that what comes meanwhile is looked at again.
        let lives = engine.lives().ok();
        let (then, uses) = self.all.lock().clone();
        if lives.is_some() && then == lives {
            return Ok(uses);
        }
        let listed = engine.list()?;
        let read = listed.iter().map(|device| self.of(engine, device));
        // One that goes meanwhile uses nothing.
        let read: Vec<Arc<Read>> = read.filter_map(Result::ok).collect();
        let complete = read.len() == listed.len();
        let uses = Arc::new(Uses::of(&read));
        let there: HashSet<DevNo> = listed.iter().map(|device| device.dev).collect();
        self.read.lock().retain(|dev, _| there.contains(dev));
        *self.all.lock() = (lives.filter(|_| complete), Arc::clone(&uses));
        Ok(uses)
    }
}

impl Uses {
    fn of(read: &[Arc<Read>]) -> Uses {
        let mut uses = Uses::default();
        for read in read {
            for (device, span) in &read.used {
                let users = uses.0.entry(device.clone()).or_default();
                users.by_start.push((*span, Arc::clone(read)));
            }
        }
        uses.0.values_mut().for_each(Users::sort);
        uses
    }

    /// The names of the mappings that use some of these bytes of a device, but for one.
    pub(super) fn users(&self, device: &DeviceRef, span: Span, but: DevNo) -> Vec<&str> {
        let users = self
            .0
            .get(device)
            .into_iter()
            .flat_map(|users| users.meeting(span));
        let users = users.filter(|(_, read)| read.info.dev != but);
        let mut names: Vec<&str> = users.map(|(_, read)| &*read.info.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Users {
    fn sort(&mut self) {
        self.by_start.sort_by_key(|(span, _)| span.start);
        let mut end = 0;
        let reach = self.by_start.iter().map(|(span, _)| {
            end = span.end().max(end);
            end
        });
        self.ends = reach.collect();
    }

    /// Those that use some of these bytes: of thousands beside each other only they are
    /// looked at.
    fn meeting(&self, span: Span) -> impl Iterator<Item = &(Span, Arc<Read>)> {
        let first = self.ends.partition_point(|end| *end <= span.start);
        let last = self
            .by_start
            .partition_point(|(used, _)| used.start < span.end());
        let some = self.by_start.get(first..last).unwrap_or_default();
        some.iter().filter(move |(used, _)| used.meets(&span))
    }
}

/// What a mapping uses. Of a kind of target that is not understood only the devices are
/// known.
fn used_by(engine: &dyn PromptEngine, id: &Id, table: &Table) -> Result<Vec<(DeviceRef, Span)>> {
    let mut used = Vec::new();
    for target in &table.targets {
        match &target.mapping {
            Mapping::Linear(linear) => used.push(part(&linear.device, linear.offset, target)),
            Mapping::Mirror(mirror) => {
                let legs = mirror.legs.iter();
                used.extend(legs.map(|leg| part(&leg.device, leg.offset, target)));
                used.extend(mirror.log_device().map(|log| (log.clone(), ALL)));
            }
            Mapping::Other { kind, .. } if ["error", "zero"].contains(&kind.as_str()) => {}
            Mapping::Other { .. } => {
                let below = engine.deps(id, Slot::Live)?.into_iter();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::engine::embedded::Embedded;
    use crate::engine::inject::{Inject, Op};

    /// How many tables were read for looking at every device once.
    fn reads(tables: &Tables, engine: &Inject<Embedded>) -> usize {
        let before = engine.calls().len();
        for device in engine.list().unwrap().iter() {
            assert_eq!(tables.of(engine, device).unwrap().info.name, device.name);
        }
        let calls = engine.calls().split_off(before);
        calls.iter().filter(|call| **call == Op::Table).count()
    }

    #[test]
    fn a_table_is_read_once_in_its_life() {
        let (tables, engine) = (Tables::default(), Inject::new(Embedded::new().unwrap()));
        for name in ["a", "b", "c"] {
            let uuid = format!("MIRRORFS-{name}");
            engine.create(name, &uuid, None).unwrap();
        }
        assert_eq!(reads(&tables, &engine), 3);
        assert_eq!(reads(&tables, &engine), 0);
        engine.rename(&Id::Name("b".into()), "d").unwrap();
        assert_eq!(reads(&tables, &engine), 1);
        // Another one under the same name and number.
        engine.remove(&Id::Name("c".into()), false).unwrap();
        engine.create("c", "", Some(2)).unwrap();
        assert_eq!(reads(&tables, &engine), 1);
        assert_eq!(reads(&tables, &engine), 0);
        let listed = engine.list().unwrap();
        let shown = listed
            .iter()
            .map(|device| tables.of(&engine, device).unwrap().is_shown);
        assert_eq!(shown.collect::<Vec<_>>(), [true, false, true]);
        assert!(tables.uses(&engine).unwrap().0.is_empty());
    }
}

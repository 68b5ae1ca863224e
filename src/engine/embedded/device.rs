//! A device of the embedded engine (`struct mapped_device`, drivers/md/dm.c): a
//! name, two tables, and whether it is suspended.

use std::sync::Arc;

use super::counter::Counter;
use super::loaded::Loaded;
use crate::engine::{Id, Info, Slot};
use crate::text::device::DevNo;
use crate::text::table::Line;

/// There is no block device: its number is one that the kernel gives to none.
const MAJOR: u32 = 0;

/// A device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) minor: u32,
    pub(super) events: Counter,
    pub(super) live: Option<Arc<Loaded>>,
    pub(super) inactive: Option<Arc<Loaded>>,
    pub(super) suspended: bool,
    /// That of its table: no two tables have the same.
    pub(super) life: u64,
}

impl Device {
    pub(super) fn new(name: &str, uuid: &str, minor: u32, events: Counter, life: u64) -> Device {
        Device {
            name: name.into(),
            uuid: uuid.into(),
            minor,
            events,
            live: None,
            inactive: None,
            suspended: false,
            life,
        }
    }

    pub(super) fn dev(&self) -> DevNo {
        DevNo {
            major: MAJOR,
            minor: self.minor,
        }
    }

    pub(super) fn is(&self, id: &Id) -> bool {
        match id {
            Id::Name(name) => self.name == *name,
            Id::Uuid(uuid) => !uuid.is_empty() && self.uuid == *uuid,
        }
    }

    pub(super) fn info(&self) -> Info {
        Info {
            event_nr: self.events.get(),
            suspended: self.suspended,
            read_only: self.live.as_ref().is_some_and(|table| table.read_only),
            live: self.live.is_some(),
            inactive: self.inactive.is_some(),
            ..Info::bare(&self.name, &self.uuid, self.dev())
        }
    }

    pub(super) fn lines(&self, slot: Slot) -> Vec<Line> {
        let table = match slot {
            Slot::Live => &self.live,
            Slot::Inactive => &self.inactive,
        };
        table
            .as_ref()
            .map(|table| table.lines())
            .unwrap_or_default()
    }
}

//! device-mapper's own words: how a device is addressed, what its header says, how it
//! is suspended.

use serde::{Deserialize, Serialize};

use crate::text::device::DevNo;

/// How a device is addressed: by UUID where it has one, since names change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// The device's name, for devices without a UUID.
    Name(String),
    /// The device's UUID; it outlives a rename.
    Uuid(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Name(text) | Id::Uuid(text) => write!(f, "{text}"),
        }
    }
}

/// One line of DM_LIST_DEVICES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The device's name, as the kernel has it.
    pub name: String,
    /// The device's MAJOR:MINOR.
    pub dev: DevNo,
    /// Its event counter (`event_nr`), which wraps.
    pub event_nr: u32,
    /// The life of its table ([`PromptEngine::life`]) before the list was made; none
    /// where nothing tells.
    ///
    /// [`PromptEngine::life`]: super::PromptEngine::life
    pub life: Option<u64>,
}

/// The header that every ioctl on one device answers with
/// (`struct dm_ioctl`, include/uapi/linux/dm-ioctl.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The device's name.
    pub name: String,
    /// Its UUID, empty where it has none.
    pub uuid: String,
    /// The device's MAJOR:MINOR.
    pub dev: DevNo,
    /// Its event counter (`event_nr`), which wraps.
    pub event_nr: u32,
    /// How often it is open.
    pub open_count: u32,
    /// Whether I/O to it is held.
    pub suspended: bool,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Whether it has a live table.
    pub live: bool,
    /// Whether a loaded table waits for a resume.
    pub inactive: bool,
    /// Whether it goes at its last close.
    pub deferred: bool,
}

impl Info {
    /// That of a device which has nothing beyond a name and a UUID yet.
    pub fn bare(name: &str, uuid: &str, dev: DevNo) -> Info {
        Info {
            name: name.into(),
            uuid: uuid.into(),
            dev,
            event_nr: 0,
            open_count: 0,
            suspended: false,
            read_only: false,
            live: false,
            inactive: false,
            deferred: false,
        }
    }

    /// How to address this device from now on.
    pub fn id(&self) -> Id {
        if self.uuid.is_empty() {
            Id::Name(self.name.clone())
        } else {
            Id::Uuid(self.uuid.clone())
        }
    }
}

/// Which of a device's two tables is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The one that I/O goes through.
    Live,
    /// The one that was loaded and waits for a resume.
    Inactive,
}

/// How to suspend. The default flushes and freezes, as `dmsetup suspend` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suspend {
    /// Requeue held I/O instead of waiting for it: the only way to get writes
    /// off a failed leg without failing them.
    pub noflush: bool,
    /// Do not freeze the file system on the device.
    pub skip_lockfs: bool,
    /// A resume by the same caller follows. Where this process ends before, by
    /// whatever, the device goes on with its old table; the inactive one is thrown
    /// away.
    pub passing: bool,
}

impl Suspend {
    /// That of a switch of tables: the only one that lets held writes go without failing
    /// them.
    pub const REQUEUE: Suspend = Suspend {
        noflush: true,
        skip_lockfs: true,
        passing: true,
    };

    /// That of a look at what is on the legs: what is dirty in a file system, and every
    /// write that has begun, is on them.
    pub const FREEZE: Suspend = Suspend {
        noflush: false,
        skip_lockfs: false,
        passing: true,
    };
}

/// The versions that `version` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The ioctl interface, `4.47.0`.
    pub dm: String,
    /// The mirror target, `1.14.0`; none where it is not loaded.
    pub mirror: Option<String>,
}

/// Which implementation stands below the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The kernel's device-mapper.
    Kernel,
    /// This process.
    Embedded,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Kernel => write!(f, "kernel"),
            Kind::Embedded => write!(f, "embedded"),
        }
    }
}

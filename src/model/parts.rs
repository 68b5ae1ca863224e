//! What a mirror is made of: its targets, their legs and logs, from what the kernel
//! printed of them.

use std::time::Duration;

pub use crate::engine::Found;
use crate::engine::Sight;
use crate::text::device::DeviceRef;
use crate::text::letter::Letter;
use crate::text::mirror::{Log, Mirror, Sync};
pub use crate::text::size::SECTOR;
use crate::text::status::{LogStatus, MirrorStatus};
use crate::text::table::{Line, Mapping, Table, Target};

/// Who has not answered for so long is told of.
const LATE: Duration = Duration::from_secs(1);

/// One mirror target of the device, with its status where that was readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// First sector of the device that it maps.
    pub start: u64,
    /// Its length in sectors.
    pub length: u64,
    /// Its table; none where the kernel's text is of a kind unknown here.
    pub mirror: Option<Mirror>,
    /// What the kernel says of it; none where its status line was not understood.
    pub status: Option<MirrorStatus>,
    /// Its legs as they are here, numbered as those of the whole device.
    pub legs: Vec<Leg>,
}

impl Part {
    /// Whether it tracks errors (`handle_errors`).
    pub fn tracks_errors(&self) -> bool {
        let mirror = self.mirror.as_ref();
        mirror.is_some_and(|mirror| mirror.features.handle_errors)
    }

    /// Whether each leg has all that was acknowledged. All regions are in sync; or
    /// `remembered`, they were in this life of the table, and a leg has an error: its
    /// letter comes before the region of a write that it did not take goes. Fewer
    /// regions without an error are those of another life.
    pub(super) fn was_in_sync(&self, remembered: bool) -> bool {
        self.status.as_ref().is_some_and(|status| {
            let hurt = status.health.iter().any(|letter| *letter != Letter::Alive);
            status.in_sync == status.total || remembered && hurt && self.tracks_errors()
        })
    }

    /// Whether what was whole is so after a resume of the same table. A core log keeps
    /// what is in sync (`core_resume`), and `nosync` says so once more. Any other disk
    /// log is read again, and what was dirty is copied once more (`disk_resume`,
    /// drivers/md/dm-log.c): until then what is written there is on the default leg
    /// alone, unless a leg has an error already, which holds such writes (`do_writes`,
    /// drivers/md/dm-raid1.c).
    pub fn keeps_sync(&self) -> bool {
        let log = self.mirror.as_ref().map(|mirror| &mirror.log);
        let stays = matches!(
            log,
            Some(
                Log::Core { .. }
                    | Log::Disk {
                        sync: Some(Sync::NoSync),
                        ..
                    }
            )
        );
        let mut letters = self.status.iter().flat_map(|status| &status.health);
        stays || letters.any(|letter| *letter != Letter::Alive) && self.tracks_errors()
    }

    /// Whether each region of it is in sync.
    pub fn is_in_sync(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.in_sync == status.total)
    }

    /// First sector behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// Bytes of a region.
    pub fn region_size(&self) -> Option<u64> {
        self.mirror.as_ref()?.region()?.checked_mul(SECTOR)
    }
}

/// Looks a device up, as far as the caller needs it.
pub type Lookup<'a> = &'a dyn Fn(&DeviceRef) -> Found;

/// One leg: of all segments, where the targets are segments of one mirror; else numbered
/// through all mirror targets of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Its number, from 0.
    pub number: usize,
    /// As the table names it.
    pub device: DeviceRef,
    /// What is known of it; none where the device is gone or nobody asked.
    pub facts: Option<Sight>,
    /// For how long its file system has not answered.
    pub late: Option<Duration>,
    /// Where the mirror begins on it, in bytes.
    pub offset: u64,
    /// Bytes of it that the mirror uses.
    pub length: u64,
    /// The kernel's health letter.
    pub letter: Letter,
    /// Whether reads and copying come from it.
    pub source: bool,
    /// Errors that the daemon saw on it.
    pub errors: u64,
    /// Whether nothing can be read from it any more, as far as was tried.
    pub unresponsive: bool,
    /// Whether its device is not there any more, as far as was looked.
    pub gone: bool,
    /// For how long it has come to the end of nothing, although something is asked of it.
    pub slow: Option<Duration>,
}

impl Leg {
    /// How a person finds it: the regular file behind it, else its node.
    pub fn path(&self) -> String {
        let file = self.facts.as_ref().and_then(|facts| facts.file.as_ref());
        file.map_or_else(|| self.node(), |file| file.display().to_string())
    }

    /// Whether it no longer takes writes: a sync or read error leaves it in use
    /// (drivers/md/dm-raid1.c, `enum dm_raid1_error`), where it answers at all.
    pub fn is_dead(&self) -> bool {
        self.unresponsive
            || !matches!(
                self.letter,
                Letter::Alive | Letter::SyncFailed | Letter::ReadFailed
            )
    }

    /// How a person finds it: its node, else its number.
    pub fn node(&self) -> String {
        node_of(&self.device, self.facts.as_ref())
    }
}

/// The log of a mirror target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    /// `core`, `disk` or `userspace`.
    pub kind: String,
    /// The log device as the table names it.
    pub device: Option<DeviceRef>,
    /// What is known of that device.
    pub facts: Option<Sight>,
    /// For how long its file system has not answered.
    pub late: Option<Duration>,
    /// The kernel's health letter; `A` for a core log, which cannot fail.
    pub letter: Letter,
}

impl LogView {
    /// How a person finds its device; `-` where it has none.
    pub fn node(&self) -> String {
        let device = self.device.as_ref();
        device.map_or_else(|| "-".into(), |d| node_of(d, self.facts.as_ref()))
    }
}

fn node_of(device: &DeviceRef, facts: Option<&Sight>) -> String {
    facts.map_or_else(|| device.to_string(), |f| f.node.display().to_string())
}

/// A part for each line that the kernel calls a mirror, parsed or not: one that
/// cannot be parsed must not look as if it were none.
pub(super) fn parts(table: &Table, lines: &[Line], status: &[Line]) -> Vec<Part> {
    let mirrors = lines.iter().filter(|line| line.kind == "mirror");
    let part = |line: &Line| Part {
        start: line.start,
        length: line.length,
        legs: Vec::new(),
        mirror: mirror_at(table, line.start),
        status: status
            .iter()
            .find(|other| other.start == line.start && other.kind == "mirror")
            .and_then(|line| MirrorStatus::parse(&line.params).ok()),
    };
    mirrors.map(part).collect()
}

fn mirror_at(table: &Table, start: u64) -> Option<Mirror> {
    let mut mirrors = table.mirrors();
    let found = mirrors.find(|(target, _)| target.start == start);
    found.map(|(_, mirror)| mirror.clone())
}

/// The legs of a part, as far as its own lines tell; nobody is asked what they are.
pub(super) fn legs_of(part: &Part, was_in_sync: bool) -> Vec<Leg> {
    let source = source_of(part, was_in_sync);
    let places = places_of(part).into_iter().enumerate();
    let leg = |(number, (device, offset))| Leg {
        number,
        letter: letter_of(part, number),
        source: number == source,
        ..leg_at(device, offset, part.length)
    };
    places.map(leg).collect()
}

impl Leg {
    /// The same with what is known of its device.
    pub(super) fn looked_up(self, look_up: Lookup<'_>) -> Leg {
        let found = look_up(&self.device);
        let gone = found == Found::Gone;
        let (facts, late) = seen(found);
        Leg {
            gone,
            facts,
            late,
            ..self
        }
    }
}

/// What a device without a mirror target stands on: each linear target is a leg, of
/// which the kernel tells no errors.
pub(super) fn linear_legs(table: &Table) -> Vec<Leg> {
    let leg = |target: &Target| match &target.mapping {
        Mapping::Linear(linear) => {
            Some(leg_at(linear.device.clone(), linear.offset, target.length))
        }
        Mapping::Mirror(_) | Mapping::Other { .. } => None,
    };
    table.targets.iter().filter_map(leg).collect()
}

/// The source, without an error; the caller knows better.
fn leg_at(device: DeviceRef, offset: u64, length: u64) -> Leg {
    Leg {
        number: 0,
        gone: false,
        slow: None,
        facts: None,
        late: None,
        device,
        offset: offset.saturating_mul(SECTOR),
        length: length.saturating_mul(SECTOR),
        letter: Letter::Alive,
        source: true,
        errors: 0,
        unresponsive: false,
    }
}

/// What was seen, and for how long nobody has answered.
fn seen(found: Found) -> (Option<Sight>, Option<Duration>) {
    match found {
        Found::There(sight) => (Some(sight), None),
        Found::Late { since, before } => (before, Some(since).filter(|since| *since >= LATE)),
        Found::Unknown | Found::Gone => (None, None),
    }
}

/// Devices and offsets, from the table or, where that is unknown, the status.
fn places_of(part: &Part) -> Vec<(DeviceRef, u64)> {
    if let Some(mirror) = &part.mirror {
        let legs = mirror.legs.iter();
        return legs.map(|leg| (leg.device.clone(), leg.offset)).collect();
    }
    let devices = part.status.iter().flat_map(|status| &status.devices);
    devices
        .filter_map(|device| Some((device.parse().ok()?, 0)))
        .collect()
}

/// A leg without a readable status counts as unknown, never as healthy.
fn letter_of(part: &Part, index: usize) -> Letter {
    let status = part.status.as_ref();
    let letter = status.and_then(|status| status.health.get(index));
    letter.copied().unwrap_or(Letter::Unknown)
}

/// The leg that reads and copying come from. The kernel does not print it: it
/// is leg 0 until, in sync and with `handle_errors`, it fails; then the lowest
/// clean leg (`choose_mirror`, `fail_mirror` in drivers/md/dm-raid1.c).
fn source_of(part: &Part, was_in_sync: bool) -> usize {
    let Some(status) = &part.status else { return 0 };
    let clean = status
        .health
        .iter()
        .position(|letter| *letter == Letter::Alive);
    clean
        .filter(|_| was_in_sync && part.tracks_errors())
        .unwrap_or(0)
}

pub(super) fn log_of(part: &Part, look_up: Lookup<'_>) -> LogView {
    let device = part.mirror.as_ref().and_then(Mirror::log_device).cloned();
    let letter = match part.status.as_ref().map(|status| &status.log) {
        Some(LogStatus::Disk { health, .. }) => *health,
        Some(_) => Letter::Alive,
        None => Letter::Unknown,
    };
    let (facts, late) = seen(device.as_ref().map_or(Found::Unknown, look_up));
    LogView {
        kind: kind_of(part).into(),
        facts,
        late,
        device,
        letter,
    }
}

fn kind_of(part: &Part) -> &str {
    match part.mirror.as_ref().map(|mirror| &mirror.log) {
        Some(Log::Core { .. }) => "core",
        Some(Log::Disk { .. }) => "disk",
        Some(Log::Userspace { .. }) => "userspace",
        None => part
            .status
            .as_ref()
            .map_or("unknown", |status| status.log.kind()),
    }
}

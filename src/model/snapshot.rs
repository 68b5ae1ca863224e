//! The snapshot: everything a file may show of one mirror, taken at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Check, CheckPace};
use super::parts::{legs_of, linear_legs, log_of, parts};
use super::rate::Rate;
use super::settings::Settings;
use super::spots::{Spot, common, outside};
use super::whole::{gaps, legs_of_all};
use crate::engine::Info;
use crate::text::device::DeviceRef;
use crate::text::letter::Letter;
use crate::text::printed::Printed;
use crate::text::table::{Line, Mapping, Table, Target};

pub use super::parts::{Found, Leg, LogView, Lookup, Part, SECTOR};

/// Who made the device, and so who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// mirrorfs: its UUID says so.
    Mirrorfs,
    /// LVM, which keeps metadata that a change behind its back would falsify.
    Lvm,
    /// `dmsetup` or another program.
    Foreign,
}

/// The prefix of the UUIDs that mirrorfs gives.
pub const UUID_PREFIX: &str = "MIRRORFS-";

/// Whose device has this UUID.
pub fn owner_of(uuid: &str) -> Owner {
    match uuid {
        _ if uuid.starts_with(UUID_PREFIX) => Owner::Mirrorfs,
        _ if uuid.starts_with("LVM-") => Owner::Lvm,
        _ => Owner::Foreign,
    }
}

/// Whether mirrorfs shows a device: any with a mirror target, and its own.
pub fn is_shown(info: &Info, lines: &[Line]) -> bool {
    owner_of(&info.uuid) == Owner::Mirrorfs || lines.iter().any(|line| line.kind == "mirror")
}

/// A verb that runs on the mirror right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The verb as it was written.
    pub verb: String,
    /// How long it has been running.
    pub since: Duration,
}

/// The legs that nothing could be read from, in one life of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unresponsive {
    /// Their numbers.
    pub legs: Vec<usize>,
    /// The life in which that was tried; none before it was.
    pub life: Option<u64>,
}

/// What the daemon knows of a mirror beside the kernel's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The pace of copying.
    pub rate: Rate,
    /// The verb that runs, if any.
    pub running: Option<Running>,
    /// For each leg, the errors that the daemon saw since the table was loaded.
    pub errors: Vec<u64>,
    /// The legs that nothing could be read from.
    pub unresponsive: Unresponsive,
    /// The life of the table in which the daemon saw all regions in sync and no leg
    /// with an error.
    pub in_sync_life: Option<u64>,
    /// What is set for it.
    pub settings: Settings,
    /// Whether writes go through the mirror, which can be held.
    pub holds_writes: bool,
    /// How fast its check goes on.
    pub check_pace: CheckPace,
    /// The life of the table under which all of the last check was made, that was whole all
    /// the time.
    pub checked_life: Option<u64>,
    /// What the health warns of beside.
    pub notes: Vec<String>,
    /// Why writes that something failed under still wait.
    pub pending_failure: Option<String>,
    /// Why the mirror is not there, where it is only recorded.
    pub absent: Option<Away>,
}

/// Why a mirror is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Why, for a sentence.
    pub reason: String,
    /// What can be done about it.
    pub remedy: &'static str,
    /// Whether it is being started, and may be there at any moment.
    pub starting: bool,
}

/// A mirror at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The device's header.
    pub info: Info,
    /// Its status lines as the kernel printed them.
    pub status: Vec<Line>,
    /// Its table lines as the kernel printed them.
    pub lines: Arc<[Line]>,
    /// Its table, parsed.
    pub table: Arc<Table>,
    /// Its mirror targets, in the order of the table.
    pub parts: Vec<Part>,
    /// What lies between the parts on leg 0 alone; none where they are not segments of
    /// one mirror.
    pub gaps: Option<Vec<Spot>>,
    /// What of the gaps could not be read.
    pub bad: Vec<Spot>,
    /// Its legs, numbered from 0 on: those of all segments, or of one target after the
    /// other.
    pub legs: Vec<Leg>,
    /// The logs of its mirror targets.
    pub logs: Vec<LogView>,
    /// The life that the table is in, read after the status; none where that is not
    /// known.
    pub life: Option<u64>,
    /// Whether each leg has all that was acknowledged: all regions are in sync, or were
    /// in this life of the table and a leg has failed since. A write that a dead leg did
    /// not get takes its region out again, and the status alone no longer tells that
    /// from a first copy that has not come to its end.
    pub was_in_sync: bool,
    /// Who else holds a leg or a log, as sentences name them: what is written there goes
    /// past the mirror. Empty where nobody looked.
    pub beside: Vec<String>,
    /// What the disk logs of the parts say, as they are on the disk; none where one does
    /// not answer, or nobody looked.
    pub bits: Vec<Option<Vec<u8>>>,
    /// What the daemon knows beside.
    pub known: Known,
}

impl Snapshot {
    /// Put together what the seam answered.
    pub fn new(
        info: Info,
        status: Vec<Line>,
        Printed { lines, table }: Printed,
        life: Option<u64>,
        known: Known,
        look_up: Lookup<'_>,
    ) -> Self {
        let mut parts = parts(&table, &lines, &status);
        let gaps = gaps(&table, &parts);
        let between = gaps.as_deref().unwrap_or_default();
        let bad = common(&known.settings.bad, between);
        let remembered = is_this(known.in_sync_life, life);
        // What lies on leg 0 alone has no other leg that would lack it, once it is bad.
        let was_in_sync = parts.iter().all(|part| part.was_in_sync(remembered))
            && outside(between, &bad).is_empty();
        number(&mut parts, was_in_sync, gaps.is_some());
        let heard = is_this(known.unresponsive.life, life);
        let legs = match (&gaps, parts.as_slice()) {
            (_, []) => linear_legs(&table),
            (Some(_), parts) => legs_of_all(parts, table.length()),
            (None, parts) => parts.iter().flat_map(|part| part.legs.clone()).collect(),
        };
        let legs = legs.into_iter().enumerate().map(|(number, leg)| Leg {
            number,
            unresponsive: heard && known.unresponsive.legs.contains(&number),
            errors: known.errors.get(number).copied().unwrap_or(0),
            ..leg.looked_up(look_up)
        });
        let legs = legs.collect();
        let logs = parts.iter().map(|part| log_of(part, look_up)).collect();
        Snapshot {
            info,
            status,
            lines,
            table,
            parts,
            gaps,
            bad,
            legs,
            logs,
            life,
            was_in_sync,
            beside: Vec::new(),
            bits: Vec::new(),
            known,
        }
    }

    /// Who may change the device.
    pub fn owner(&self) -> Owner {
        owner_of(&self.info.uuid)
    }

    /// The log that `log/` shows: the first mirror target's.
    pub fn log(&self) -> Option<&LogView> {
        self.logs.first()
    }

    /// The health letter of the log: of several, that of one which does not work.
    pub fn log_letter(&self) -> Option<Letter> {
        let mut letters = self.logs.iter().map(|log| log.letter);
        let bad = letters.find(|letter| *letter != Letter::Alive);
        bad.or_else(|| self.log().map(|log| log.letter))
    }

    /// The kernel's health letters of all legs.
    pub fn letters(&self) -> Vec<Letter> {
        self.legs.iter().map(|leg| leg.letter).collect()
    }

    /// Bytes of the device.
    pub fn size(&self) -> u64 {
        self.table.length().saturating_mul(SECTOR)
    }

    /// Whether every mirror target tracks errors (`handle_errors`).
    pub fn tracks_errors(&self) -> bool {
        self.parts.iter().all(Part::tracks_errors)
    }

    /// The last check of these legs; none where there was none.
    pub fn check(&self) -> Option<&Check> {
        let check = self.known.settings.check.as_deref()?;
        let same = self.parts.is_empty() || check.legs == self.leg_places();
        same.then_some(check)
    }

    /// Its legs, and where the mirror begins on each: what a check is of.
    pub fn leg_places(&self) -> Vec<String> {
        let legs = self.legs.iter();
        legs.map(|leg| format!("{}@{}", leg.device, leg.offset))
            .collect()
    }

    /// Whether each leg is known to have all that there is: under mirror targets, copied,
    /// and without an error that anybody could have missed.
    pub fn is_whole(&self) -> bool {
        let healthy = self.legs.iter().all(|leg| leg.letter == Letter::Alive);
        let mirrored = !self.parts.is_empty() && self.on_leg_0().is_empty();
        mirrored && healthy && self.tracks_errors() && self.is_copied()
    }

    /// One leg of each mirror target, and all others.
    pub fn partition_legs(&self, place: usize) -> (Vec<&Leg>, Vec<&Leg>) {
        let chosen: Vec<usize> = self.numbers_at(place).collect();
        let legs = self.legs.iter();
        legs.partition(|leg| chosen.contains(&leg.number))
    }

    /// The numbers of the legs that have a place in their mirror target.
    pub fn numbers_at(&self, place: usize) -> impl Iterator<Item = usize> {
        let parts = self.parts.iter();
        let legs = parts.filter_map(move |part| part.legs.get(place));
        legs.map(|leg| leg.number)
    }

    /// What its legs are.
    pub fn leg_devices(&self) -> impl Iterator<Item = &DeviceRef> + Clone {
        self.legs.iter().map(|leg| &leg.device)
    }

    /// What lies on leg 0 alone; nothing where the targets are not segments of one mirror.
    pub fn on_leg_0(&self) -> &[Spot] {
        self.gaps.as_deref().unwrap_or_default()
    }

    /// Whether all that is under a mirror target is in sync.
    pub fn is_copied(&self) -> bool {
        self.parts.iter().all(Part::is_in_sync)
    }

    /// What lies on leg 0 alone and was not found to be bad: it is not copied yet.
    pub fn uncopied(&self) -> Vec<Spot> {
        outside(self.on_leg_0(), &self.bad)
    }

    /// Whether what was set aside waits: for all else to be copied where somebody said that it
    /// could not be read, and for a copy that is paused.
    pub fn leaves_aside(&self) -> bool {
        let copies = !self.is_copied() || !self.ahead().is_empty();
        copies && (self.known.settings.aside_last || self.is_paused())
    }

    /// What was set aside and is not copied yet.
    pub fn aside(&self) -> Vec<Spot> {
        common(&self.uncopied(), &self.known.settings.aside)
    }

    /// What the copy has not come to yet: it is under no mirror target, and is to be.
    pub fn ahead(&self) -> Vec<Spot> {
        let settings = &self.known.settings;
        let ahead = common(&self.uncopied(), &settings.ahead);
        outside(&ahead, &settings.aside)
    }

    /// Whether somebody has said that nothing is to be copied.
    pub fn is_paused(&self) -> bool {
        self.known.settings.limit == Some(0)
    }

    /// Whether what is on leg 0 alone can neither be read nor written, for `finish lossy`.
    pub fn is_closed(&self) -> bool {
        let mut targets = self.table.targets.iter();
        let is_error = |target: &Target| matches!(target.mapping, Mapping::Other { .. });
        self.gaps.is_some() && targets.any(is_error)
    }

    /// The bytes of a region of the first mirror target.
    pub fn region_size(&self) -> Option<u64> {
        self.parts.first()?.region_size()
    }
}

/// Give each part its legs, numbered as the device's are: the same in all segments, else
/// one target's after the other's.
fn number(parts: &mut [Part], was_in_sync: bool, segments: bool) {
    let mut next = 0;
    for part in parts {
        let mut legs = legs_of(part, was_in_sync);
        if !segments {
            let numbers = legs.iter_mut();
            numbers.for_each(|leg| leg.number += next);
            next += legs.len();
        }
        part.legs = legs;
    }
}

/// Whether what was seen in one life of a table is of this one.
fn is_this(seen: Option<u64>, life: Option<u64>) -> bool {
    seen.is_some() && seen == life
}

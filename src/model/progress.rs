//! How far a mirror is: counted in regions as the kernel does, told in bytes.

use super::rate::Rate;
use super::snapshot::{Part, SECTOR, Snapshot};
use super::spots::{Spot, sectors};
use crate::text::letter::Letter;
use crate::text::units;

/// What `sync/state` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// There is nothing to copy: no mirror target.
    None,
    /// Regions are missing, and copying goes on.
    Syncing,
    /// Regions are missing, and nothing copies them.
    Stopped,
    /// Every region is counted as in sync.
    InSync,
}

impl SyncState {
    /// The word of the interface.
    pub fn word(self) -> &'static str {
        match self {
            SyncState::None => "none",
            SyncState::Syncing => "syncing",
            SyncState::Stopped => "stopped",
            SyncState::InSync => "in_sync",
        }
    }
}

/// How far the copy is, over all mirror targets of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Regions in sync, the kernel's own figure.
    pub regions_done: u64,
    /// Regions of all mirror targets together.
    pub regions_total: u64,
    /// Bytes in sync, at least; exact where all regions are.
    pub bytes_done: u64,
    /// All bytes that are mirrored.
    pub bytes_total: u64,
    /// Whether copying goes on.
    pub state: SyncState,
    /// Bytes per second.
    pub rate: Rate,
    /// Bytes that could not be read.
    pub bad_bytes: u64,
}

impl Progress {
    /// The progress of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut sum = Progress {
            regions_done: 0,
            regions_total: 0,
            bytes_done: 0,
            bytes_total: 0,
            state: SyncState::None,
            rate: snapshot.known.rate,
            bad_bytes: sectors(&snapshot.bad).saturating_mul(SECTOR),
        };
        snapshot.parts.iter().for_each(|part| sum.add(part));
        let gaps = snapshot.on_leg_0().iter();
        gaps.for_each(|gap| sum.lack(gap, snapshot.region_size()));
        sum.state = state_of(snapshot, &sum);
        sum
    }

    fn add(&mut self, part: &Part) {
        let bytes = part.length.saturating_mul(SECTOR);
        self.bytes_total = self.bytes_total.saturating_add(bytes);
        let Some(status) = &part.status else { return };
        self.regions_done = self.regions_done.saturating_add(status.in_sync);
        self.regions_total = self.regions_total.saturating_add(status.total);
        let region = part.region_size().unwrap_or(0);
        // The last region may be short: which ones are done is not known, so
        // only a whole part counts to its last byte.
        let done = if status.in_sync == status.total {
            bytes
        } else {
            region.saturating_mul(status.in_sync).min(bytes)
        };
        self.bytes_done = self.bytes_done.saturating_add(done);
    }

    /// What is not under a mirror target is missing, at least as one region.
    fn lack(&mut self, gap: &Spot, region: Option<u64>) {
        let bytes = gap.length.saturating_mul(SECTOR);
        self.bytes_total = self.bytes_total.saturating_add(bytes);
        let regions = bytes.div_ceil(region.unwrap_or(bytes).max(1));
        self.regions_total = self.regions_total.saturating_add(regions);
    }

    /// Seconds until the end at the present pace, where that can be said.
    pub fn eta(&self) -> Option<u64> {
        let left = self.bytes_total.saturating_sub(self.bytes_done);
        match (self.state, self.rate) {
            (SyncState::Syncing, Rate::Moving(rate)) => Some(left.div_ceil(rate)),
            _ => None,
        }
    }

    /// Bytes per second; none where unknown or where nothing copies.
    pub fn rate_bytes(&self) -> Option<u64> {
        match self.state {
            SyncState::Syncing => self.rate.bytes(),
            _ => None,
        }
    }

    /// Percent in sync with two digits, cut so that 100.00 means all.
    pub fn percent(&self) -> String {
        units::percent(self.regions_done, self.regions_total)
    }

    /// The line of the file `progress` of a mirror, without its newline.
    pub fn line_of(snapshot: &Snapshot) -> String {
        let line = Progress::of(snapshot).line();
        match (snapshot.parts.as_slice(), snapshot.legs.as_slice()) {
            ([], [leg]) => format!("{line}, linear on {}", leg.device),
            _ => line,
        }
    }

    fn line(&self) -> String {
        let bad = match self.bad_bytes {
            0 => String::new(),
            bytes => format!(", {} bad", units::amount(bytes)),
        };
        format!(
            "{}% {}/{} regions, {}, {}{bad}",
            self.percent(),
            self.regions_done,
            self.regions_total,
            units::amounts(self.bytes_done, self.bytes_total),
            self.tail()
        )
    }

    fn tail(&self) -> String {
        match (self.state, self.rate) {
            (SyncState::None, _) => "no mirror".into(),
            (SyncState::InSync, _) => "in sync".into(),
            (SyncState::Stopped, _) => "stopped".into(),
            (_, Rate::Moving(rate)) => {
                let left = units::duration(self.eta().unwrap_or(0));
                format!("{}, {left} left", units::rate(rate))
            }
            _ => "syncing".into(),
        }
    }
}

/// Regions that failed to copy are skipped until a resume: a mirror with an
/// unhealthy leg that gets no further has stopped, and must not look as if it
/// only needed time.
fn state_of(snapshot: &Snapshot, sum: &Progress) -> SyncState {
    let hurt = snapshot.legs.iter().any(|leg| leg.letter != Letter::Alive);
    if snapshot.known.absent.is_some() {
        SyncState::Stopped
    } else if snapshot.parts.is_empty() {
        SyncState::None
    } else if sum.regions_total > 0 && sum.regions_done == sum.regions_total {
        SyncState::InSync
    } else if snapshot.is_copied() && (snapshot.is_paused() || snapshot.ahead().is_empty())
        || snapshot.info.suspended
        || hurt && !matches!(sum.rate, Rate::Moving(_))
    {
        SyncState::Stopped
    } else {
        SyncState::Syncing
    }
}

//! How fast the front of a copy goes on: as fast as somebody allows, or as fast as the disks
//! do, and then never far ahead of what is copied. Pure.

use std::time::Duration;

use super::allowance::{Allowance, step};
use super::front::{self, left, window};
use crate::error::{Error, Result};
use crate::model::rate::Rate;
use crate::model::snapshot::{Owner, SECTOR, Snapshot};
use crate::model::spots::Spot;
use crate::text::mirror::Log;
use crate::text::table::Table;

/// For how long a copy that has no limit is to have something to do at each step, and with
/// how much left the next one comes.
const AHEAD: Duration = Duration::from_secs(10);
const NEXT: Duration = Duration::from_secs(4);

/// A copy that ends sooner has no front: what an error may hurt is hurt for a moment.
const LONG: Duration = Duration::from_secs(60);

/// Nor has one of fewer bytes.
const LARGE: u64 = 1 << 30;

/// Bytes of the first step of a copy whose pace is not known.
const FIRST: u64 = 64 << 20;

/// Between two looks at a copy whose front may be due.
const SOON: Duration = Duration::from_secs(1);

/// The longest until the next look.
const LOOK: Duration = Duration::from_secs(60);

/// What is to be done about the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Nothing.
    Stay,
    /// Look again after a while.
    Look(Duration),
    /// So many sectors more are to be copied.
    Forward(u64),
    /// So many sectors may be left to be copied, the rest has to wait.
    Back(u64),
    /// All is copied, and what the steps have left apart may be one.
    Join,
}

/// Decide.
pub fn pace(snapshot: &Snapshot, allowance: &Allowance) -> Pace {
    let Some(region) = snapshot.region_size().filter(|_| has_front(snapshot)) else {
        return Pace::Stay;
    };
    let settings = &snapshot.known.settings;
    if settings.apart && snapshot.is_copied() && snapshot.ahead().is_empty() {
        return Pace::Join;
    }
    match settings.limit {
        Some(0) if window(snapshot) > 0 => Pace::Back(0),
        Some(0) => Pace::Stay,
        Some(limit) => limited(snapshot, allowance, limit, region),
        None if snapshot.ahead().is_empty() => unlimited(snapshot),
        None => onward(snapshot, allowance),
    }
}

/// The table with which a new mirror begins, and what is then ahead; none where that is
/// nothing.
pub fn begin(table: &Table, limit: Option<u64>) -> Option<(Table, Vec<Spot>)> {
    front::begin(table, first_step(limit?))
}

/// Sectors that are copied at first of a mirror with a limit.
pub fn first_step(limit: u64) -> u64 {
    step(limit, 0) / SECTOR
}

/// Whether its targets can be divided, and errors of a copy are told from its end.
fn has_front(snapshot: &Snapshot) -> bool {
    !snapshot.parts.is_empty() && check(snapshot).is_ok()
}

/// Check that a limit can be kept.
///
/// # Errors
/// EINVAL where the mirror cannot be copied in steps.
pub fn check(snapshot: &Snapshot) -> Result<()> {
    let mirrors = snapshot.parts.iter().map(|part| part.mirror.as_ref());
    let mut logs = mirrors.map(|mirror| mirror.map(|mirror| &mirror.log));
    let known = |log: Option<&Log>| matches!(log, Some(Log::Core { .. } | Log::Disk { .. }));
    let why = if snapshot.parts.is_empty() {
        return Ok(());
    } else if snapshot.gaps.is_none() {
        "it consists of several mirrors"
    } else if !snapshot.tracks_errors() {
        "it does not track errors (no handle_errors)"
    } else if !logs.all(known) {
        "its log is kept by a daemon"
    } else {
        return Ok(());
    };
    let name = &snapshot.info.name;
    Err(Error::invalid(format!(
        "{name} cannot be copied in steps: {why}"
    )))
}

fn limited(snapshot: &Snapshot, allowance: &Allowance, limit: u64, region: u64) -> Pace {
    let step = step(limit, region);
    let left = bytes(window(snapshot));
    if left > step.saturating_mul(3) {
        return Pace::Back(0);
    }
    let ahead = left_ahead(snapshot);
    let needed = i128::from(step.min(ahead));
    if ahead == 0 {
        Pace::Stay
    } else if left > step {
        // The disks do not do as much as is allowed.
        Pace::Look(NEXT)
    } else if allowance.bytes >= needed {
        Pace::Forward(sectors(allowance.bytes))
    } else {
        let micros = (needed - allowance.bytes).saturating_mul(1_000_000) / i128::from(limit);
        let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        Pace::Look(wait.clamp(Duration::from_millis(100), LOOK))
    }
}

/// A copy without a front gets one where it is a long one.
fn unlimited(snapshot: &Snapshot) -> Pace {
    // Several segments are copied at once: a front would leave one of them.
    if snapshot.known.settings.apart && snapshot.parts.len() > 1 {
        return Pace::Stay;
    }
    let Rate::Moving(rate) = snapshot.known.rate else {
        return Pace::Stay;
    };
    let left = bytes(window(snapshot));
    if !is_ours(snapshot) || left < LARGE || left < rate.saturating_mul(LONG.as_secs()) {
        return Pace::Stay;
    }
    Pace::Back(rate.saturating_mul(AHEAD.as_secs()) / SECTOR)
}

/// What another program has made gets no other table unasked, and where nobody reads or
/// writes nobody is hurt.
fn is_ours(snapshot: &Snapshot) -> bool {
    let known = &snapshot.known;
    known.holds_writes && (snapshot.owner() == Owner::Mirrorfs || known.settings.adopted)
}

/// One that has a front goes on before it comes to it.
fn onward(snapshot: &Snapshot, allowance: &Allowance) -> Pace {
    let (window, left) = (bytes(window(snapshot)), bytes(left(snapshot)));
    let rate = snapshot.known.rate.bytes().unwrap_or(0);
    let dry = window == 0;
    if !dry && (rate == 0 || window > rate.saturating_mul(NEXT.as_secs())) {
        // It may get faster at any moment.
        return Pace::Look(SOON);
    }
    // It could have been faster, how much nobody knows.
    let faster = allowance.stride.saturating_mul(if dry { 2 } else { 0 });
    let enough = rate.saturating_mul(AHEAD.as_secs()).max(faster).max(FIRST);
    if left <= rate.saturating_mul(LONG.as_secs()) {
        Pace::Forward(left / SECTOR)
    } else {
        Pace::Forward(enough.saturating_sub(window) / SECTOR)
    }
}

fn left_ahead(snapshot: &Snapshot) -> u64 {
    bytes(left(snapshot).saturating_sub(window(snapshot)))
}

fn bytes(sectors: u64) -> u64 {
    sectors.saturating_mul(SECTOR)
}

fn sectors(bytes: i128) -> u64 {
    u64::try_from(bytes).unwrap_or(0) / SECTOR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::Settings;
    use crate::model::snapshot::Known;
    use crate::model::spots::spots;
    use crate::model::tests::segments;

    const MIB: u64 = 1 << 20;

    /// A mirror of 16 GiB with regions of 1 MiB; so many are under a mirror target, so many
    /// of them in sync.
    fn snapshot(under: u64, in_sync: u64, limit: Option<u64>, rate: Rate) -> Snapshot {
        let (end, whole) = (under * 2048, 16384 * 2048);
        let known = Known {
            rate,
            holds_writes: true,
            settings: Settings {
                limit,
                ahead: spots(&[(end, whole)]),
                ..Settings::default()
            },
            ..Known::default()
        };
        let mirror = format!("0 {end} mirror disk 2 7:1 2048 2 8:0 0 8:1 0 1 handle_errors");
        let linear = format!("{end} {} linear 8:0 {end}", whole - end);
        let status = format!("0 {end} mirror 2 8:0 8:1 {in_sync}/{under} 1 AA 3 disk 7:1 A");
        let tail = format!("{end} {} linear ", whole - end);
        let targets = if end < whole { 2 } else { 1 };
        let table = [mirror.as_str(), &linear];
        let state = [status.as_str(), &tail];
        segments(&table[..targets], &state[..targets], known)
    }

    fn allowed(bytes: i128, stride: u64) -> Allowance {
        Allowance {
            bytes,
            stride,
            ..Allowance::default()
        }
    }

    #[test]
    fn what_is_copied_is_what_is_allowed() {
        let limit = Some(5 * MIB);
        let at = |under, in_sync, mib: i128| {
            let bytes = mib * i128::from(MIB);
            pace(
                &snapshot(under, in_sync, limit, Rate::Unknown),
                &allowed(bytes, 0),
            )
        };
        let look = |seconds| Pace::Look(Duration::from_secs(seconds));
        assert_eq!(at(20, 20, 0), look(4));
        assert_eq!(at(20, 20, 20), Pace::Forward(20 * 2048));
        assert_eq!(at(20, 20, 30), Pace::Forward(30 * 2048));
        assert_eq!(at(20, 10, 20), Pace::Forward(20 * 2048));
        assert_eq!(at(40, 10, 20), look(4));
        assert_eq!(at(20, 20, -15), look(7));
        assert_eq!(at(100, 20, 20), Pace::Back(0));
        assert_eq!(at(80, 20, 0), look(4));
        assert_eq!(at(16384, 20, 20), Pace::Back(0));
        assert_eq!(at(16380, 16380, 4), Pace::Forward(4 * 2048));
        assert_eq!(at(16384, 16384, 4), Pace::Stay);
        let slow = snapshot(20, 20, Some(1), Rate::Unknown);
        assert_eq!(pace(&slow, &allowed(0, 0)), Pace::Look(LOOK));
    }

    #[test]
    fn nothing_is_copied_where_nothing_is_allowed() {
        let at = |under, in_sync| {
            pace(
                &snapshot(under, in_sync, Some(0), Rate::Unknown),
                &Allowance::default(),
            )
        };
        assert_eq!(at(20, 20), Pace::Stay);
        assert_eq!(at(20, 10), Pace::Back(0));
        assert_eq!(at(16384, 16384), Pace::Stay);
    }

    #[test]
    fn a_long_copy_is_never_far_ahead() {
        let at = |under, in_sync, rate| {
            pace(
                &snapshot(under, in_sync, None, rate),
                &allowed(0, 100 * MIB),
            )
        };
        let fast = Rate::Moving(100 * MIB);
        assert_eq!(at(16384, 0, Rate::Unknown), Pace::Stay);
        assert_eq!(at(16384, 0, Rate::Moving(1000 * MIB)), Pace::Stay);
        assert_eq!(at(16384, 15400, Rate::Moving(MIB)), Pace::Stay);
        assert_eq!(at(16384, 0, fast), Pace::Back(1000 * 2048));
        assert_eq!(at(1000, 0, fast), Pace::Look(SOON));
        assert_eq!(at(1000, 700, fast), Pace::Forward(700 * 2048));
        // It was dry: how much more it could have copied is not known.
        assert_eq!(at(1000, 1000, Rate::Unknown), Pace::Forward(200 * 2048));
        // A disk that does not move gets no more.
        assert_eq!(at(1000, 999, Rate::Standing), Pace::Look(SOON));
        // The rest is a short one.
        assert_eq!(at(12000, 11900, fast), Pace::Forward(4484 * 2048));
    }

    #[test]
    fn what_is_no_copy_of_ours_to_pace_is_left() {
        let known = || Known {
            settings: Settings {
                limit: Some(0),
                ..Settings::default()
            },
            ..Known::default()
        };
        for (line, status) in [
            ("0 64 linear 8:0 0", "0 64 linear "),
            (
                "0 64 mirror core 1 8 2 8:0 0 8:1 0",
                "0 64 mirror 2 8:0 8:1 1/8 1 AA 1 core",
            ),
            (
                "0 64 mirror userspace 4 1 clustered-core 8 sync 2 8:0 0 8:1 0 1 handle_errors",
                "0 64 mirror 2 8:0 8:1 1/8 1 AA 1 clustered-core",
            ),
        ] {
            let snapshot = segments(&[line], &[status], known());
            assert_eq!(pace(&snapshot, &Allowance::default()), Pace::Stay, "{line}");
            assert_eq!(
                check(&snapshot).is_ok(),
                snapshot.parts.is_empty(),
                "{line}"
            );
        }
    }
}

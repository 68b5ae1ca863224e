//! Whether what is on the legs of a mirror that was away contradicts its log. A log sees
//! only what is written through its mirror. Where it calls the legs equal they must have
//! the same bytes; and whoever has made a file system on a target meanwhile, or mounted
//! it alone, wants it. Nothing is written here.

use std::fs::Metadata;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use super::log_trust::{opened, read};
use super::samples::Clean;
use crate::engine::{Devices, Facts, Held, Span};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::device::DeviceRef;
use crate::text::disklog::{BITSET_OFFSET, Header, VERSION, clean_regions, size_for};
use crate::text::mirror::Mirror;
use crate::text::table::Table;

/// Bytes that are compared at a time.
const PIECE: usize = 1 << 20;

/// How exact the times of files are: the kernel takes them from its tick.
const TICK: Duration = Duration::from_millis(50);

/// A leg of a mirror target: its number, what it is, the byte where it begins, and how
/// many it has.
struct Side {
    number: usize,
    facts: Facts,
    start: u64,
    size: u64,
}

/// Check the legs of a table that is about to be loaded again; `seen`: whether its logs
/// have seen all its legs.
///
/// # Errors
/// ENOTEMPTY where a leg was written to that the copy would write over, with what each
/// carries; what reading the log answers.
pub(crate) fn check(devices: &dyn Devices, table: &Table, seen: bool) -> Result<()> {
    mirrors(table).try_for_each(|(mirror, size)| {
        let clean = logged(devices, mirror, size)?.filter(|_| seen);
        let sides = sides(devices, mirror, size)?;
        let checked = check_sides(devices, mirror, &sides, clean.as_ref());
        // What was read stays in no cache: the mirror writes past it.
        sides.iter().for_each(|side| drop(opened(&side.facts)));
        checked
    })
}

/// The disk logs of a table that say nothing any more.
///
/// # Errors
/// What reading them answers.
pub(crate) fn lost(devices: &dyn Devices, table: &Table) -> Result<Vec<DeviceRef>> {
    let mut lost = Vec::new();
    for (mirror, size) in mirrors(table) {
        if let (Some(log), None) = (mirror.log_device(), logged(devices, mirror, size)?) {
            lost.push(log.clone());
        }
    }
    Ok(lost)
}

/// How many regions of a table its logs call clean, and how many there are; none where
/// one does not tell.
pub(crate) fn counted(devices: &dyn Devices, table: &Table) -> Option<(u64, u64)> {
    let mut sum = (0, 0);
    for (mirror, size) in mirrors(table) {
        let clean = logged(devices, mirror, size).ok()??;
        let regions = size.div_ceil(clean.region.max(1));
        sum.0 += clean_regions(&clean.bits, regions);
        sum.1 += regions;
    }
    Some(sum)
}

/// The mirror targets of a table, and the bytes of each.
fn mirrors(table: &Table) -> impl Iterator<Item = (&Mirror, u64)> {
    let mirrors = table.mirrors();
    mirrors.map(|(target, mirror)| (mirror, target.length.saturating_mul(SECTOR)))
}

/// What the log of a target says; none where it has no disk log, or one without a header.
fn logged(devices: &dyn Devices, mirror: &Mirror, size: u64) -> Result<Option<Clean>> {
    let region = mirror.region().unwrap_or(0).saturating_mul(SECTOR);
    let log = mirror.log_device();
    log.map_or(Ok(None), |log| clean(devices, log, size, region))
}

/// What a disk log says; none where its header is lost.
fn clean(devices: &dyn Devices, log: &DeviceRef, size: u64, region: u64) -> Result<Option<Clean>> {
    let facts = devices.facts(log)?;
    let regions = size.div_ceil(region.max(1));
    let length = size_for(regions, SECTOR).unwrap_or(0).min(facts.size);
    let mut bytes = vec![0; length as usize];
    read(&facts, 0, &mut bytes)?;
    let Some(header) = Header::parse(&bytes) else {
        return Ok(None);
    };
    let bits = bytes.split_off((BITSET_OFFSET as usize).min(bytes.len()));
    // One of another mirror, or of another version, is refused by who lets it in.
    let own = header.version == VERSION && header.regions == regions;
    Ok(Some(Clean {
        size,
        region,
        bits: if own { bits } else { Vec::new() },
    }))
}

/// The legs of a mirror target of so many bytes.
fn sides(devices: &dyn Devices, mirror: &Mirror, size: u64) -> Result<Vec<Side>> {
    let sides = mirror.legs.iter().enumerate().map(|(number, leg)| {
        Ok(Side {
            number,
            facts: devices.facts(&leg.device)?,
            start: leg.offset.saturating_mul(SECTOR),
            size,
        })
    });
    sides.collect()
}

fn check_sides(
    devices: &dyn Devices,
    mirror: &Mirror,
    sides: &[Side],
    clean: Option<&Clean>,
) -> Result<()> {
    let Some((source, targets)) = sides.split_first() else {
        return Ok(());
    };
    if let Some(clean) = clean {
        let all = clean.is_all() && was_touched(devices, mirror, sides);
        let parts = parts(devices, source);
        let begins: Vec<u64> = parts.iter().map(|part| part.start).collect();
        let samples = clean.samples(&begins, &swap(devices, source, &parts), all);
        for target in targets {
            if let Some(at) = differ(source, target, &samples)? {
                return Err(unequal(devices, [source, target], at, &begins));
            }
        }
    }
    if clean.is_some_and(|clean| clean.has(0)) {
        return Ok(());
    }
    let mut targets = targets.iter();
    targets.try_for_each(|target| check_beginning(devices, source, target))
}

/// Whether a file behind a leg was changed after the last write to the log's: when all is
/// clean, that is the last that a mirror writes. The time of change (stat(2)) cannot be
/// set back, but a power cut may lose it: so more is compared, and nothing else.
fn was_touched(devices: &dyn Devices, mirror: &Mirror, sides: &[Side]) -> bool {
    let at = |facts: &Facts, time: fn(&Metadata) -> (i64, i64)| {
        let stat = std::fs::metadata(facts.file.as_ref()?).ok()?;
        let (seconds, nanos) = time(&stat);
        let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
        Some(seconds + Duration::from_nanos(u64::try_from(nanos).ok()?))
    };
    let log = mirror.log_device().and_then(|log| devices.facts(log).ok());
    let written = log.and_then(|log| at(&log, |stat| (stat.mtime(), stat.mtime_nsec())));
    let Some(last) = written else {
        return false;
    };
    let changed = |side: &Side| at(&side.facts, |stat| (stat.ctime(), stat.ctime_nsec()));
    let mut changed = sides.iter().filter_map(changed);
    changed.any(|at| at > last + TICK)
}

/// The partitions of the source.
fn parts(devices: &dyn Devices, source: &Side) -> Vec<Span> {
    let (start, size) = (source.start, source.size);
    let parts = devices.partitions(&source.facts.pinned(), Span { start, size });
    // What cannot be read tells nothing.
    parts.unwrap_or_default()
}

/// Swap: the kernel may change a page while it is written, so that the legs have two states
/// of what nobody reads any more. Its first page is not written so.
fn swap(devices: &dyn Devices, source: &Side, parts: &[Span]) -> Vec<Span> {
    const HEADER: u64 = 4096;
    let all = Span {
        start: 0,
        size: source.size,
    };
    let places = [all].into_iter().chain(parts.iter().copied());
    let found = places.filter(|place| {
        let held = held(devices, source, place.start);
        held.is_some_and(|held| held.what.starts_with("swap"))
    });
    let found = found.map(|place| Span {
        start: place.start + HEADER,
        size: place.size.saturating_sub(HEADER),
    });
    found.collect()
}

/// The first byte of these where two legs differ. What cannot be read is left out: the
/// kernel meets it, and says so.
///
/// # Errors
/// What opening them answers.
fn differ(source: &Side, target: &Side, samples: &[Span]) -> Result<Option<u64>> {
    let (one, other) = (opened(&source.facts)?, opened(&target.facts)?);
    let mut bytes = [vec![0; PIECE], vec![0; PIECE]];
    for sample in samples {
        for start in (sample.start..sample.end()).step_by(PIECE) {
            let length = (sample.end() - start).min(PIECE as u64) as usize;
            let [mine, its] = bytes
                .each_mut()
                .map(|all| all.get_mut(..length).unwrap_or_default());
            let readable = one
                .read_exact_at(mine, source.start + start)
                .and_then(|()| other.read_exact_at(its, target.start + start));
            let pairs = mine.iter().zip(its.iter());
            let at = pairs.enumerate().find(|(_, (mine, its))| mine != its);
            if let (Ok(()), Some((at, _))) = (readable, at) {
                return Ok(Some(start + at as u64));
            }
        }
    }
    Ok(None)
}

/// Check that a target does not begin with what its source does not begin with, where the
/// log does not tell.
fn check_beginning(devices: &dyn Devices, source: &Side, target: &Side) -> Result<()> {
    let (one, other) = (held(devices, source, 0), held(devices, target, 0));
    let Some(new) = &other else {
        return Ok(());
    };
    let same = one.as_ref().is_some_and(|one| one.what == new.what);
    let later = same && new.mounted > one.and_then(|one| one.mounted);
    if same && !later {
        return Ok(());
    }
    let [one, other] = [source, target].map(|side| side.shown(devices, 0));
    Err(refused(&if same {
        format!("{other} was mounted alone later than {one}")
    } else {
        format!("{other} holds what {one} does not: it was used while the mirror was stopped")
    }))
}

fn unequal(devices: &dyn Devices, sides: [&Side; 2], at: u64, begins: &[u64]) -> Error {
    let before = begins.iter().filter(|begin| **begin <= at).max();
    let before = before.copied().unwrap_or(0);
    let [one, other] = sides.map(|side| side.shown(devices, before));
    refused(&format!(
        "{one} and {other} differ at byte {at}, where the log calls them equal: one was written while the mirror was stopped"
    ))
}

fn refused(what: &str) -> Error {
    Error::new(
        Errno::ENOTEMPTY,
        format!(
            "{what}. `resync` copies leg 0 over the others, `finish N` goes on with leg N alone, `remove` forgets the mirror"
        ),
    )
}

impl Side {
    /// Its name, and what it carries where something begins.
    fn shown(&self, devices: &dyn Devices, at: u64) -> String {
        let (number, node) = (self.number, self.facts.node.display());
        let place = if at == 0 {
            String::new()
        } else {
            format!(" at byte {at}")
        };
        let carries = held(devices, self, at);
        let carries =
            carries.map_or_else(String::new, |held| format!(" ({}{place})", words(&held)));
        format!("leg {number} {node}{carries}")
    }
}

/// What a leg carries where something begins.
fn held(devices: &dyn Devices, side: &Side, at: u64) -> Option<Held> {
    let span = Span {
        start: side.start.saturating_add(at),
        size: side.size.saturating_sub(at),
    };
    devices.carried(&side.facts.pinned(), span).ok()?
}

fn words(held: &Held) -> String {
    let mounted = held.mounted.map(|seconds| {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        format!(", last mounted {}", humantime::format_rfc3339_seconds(at))
    });
    format!("{}{}", held.what, mounted.unwrap_or_default())
}

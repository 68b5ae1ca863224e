//! A table that is loaded: its devices open and held, its mirrors ready to copy.
//! Three kinds of targets are known: mirror, linear and error. No I/O comes
//! through a device of this engine, so that the last two have nothing to do.

use std::sync::Arc;

use super::counter::Counter;
use super::exclusive::{Hold, Holds};
use super::leg::Leg;
use super::log::Log;
use super::logdisk::LogDisk;
use super::mirror::{Mirror, Parts};
use super::recovery::Recovery;
use super::store::Store;
use super::throttle::Throttle;
use crate::engine::Facts;
use crate::engine::host::Host;
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::log::Log as LogText;
use crate::text::mirror::Mirror as MirrorText;
use crate::text::size::SECTOR;
use crate::text::table::{Line, Linear, Mapping, Table, Target};

/// What a load needs beside the table.
pub(super) struct Means<'a> {
    pub(super) host: &'a Host,
    pub(super) holds: &'a Holds,
    pub(super) throttle: &'a Arc<Throttle>,
    pub(super) events: &'a Counter,
    pub(super) read_only: bool,
}

/// A table with all that it stands on.
#[derive(Debug)]
pub(super) struct Loaded {
    table: Table,
    /// Whether nobody but the copy is to write.
    pub(super) read_only: bool,
    targets: Vec<Running>,
}

/// What a target stands on.
#[derive(Debug)]
enum Running {
    Mirror {
        recovery: Recovery,
        log: Option<Arc<Hold>>,
    },
    Linear(Arc<Hold>),
    Error,
}

impl Loaded {
    /// Open everything that the lines name.
    ///
    /// # Errors
    /// EINVAL for what no kernel would take either, and for a kind of target or
    /// log that only a kernel has; ENOSPC where a device is too small; EBUSY where
    /// another program holds it; what open(2) answers.
    pub(super) fn open(lines: &[Line], means: &Means<'_>) -> Result<Loaded> {
        let table = Table::from_lines(lines);
        let targets = table.targets.iter().map(|target| open(target, means));
        Ok(Loaded {
            targets: targets.collect::<Result<_>>()?,
            read_only: means.read_only,
            table,
        })
    }

    /// The lines of its table.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.table.to_lines()
    }

    /// The lines of its status.
    pub(super) fn status(&self) -> Vec<Line> {
        let pairs = self.table.targets.iter().zip(&self.targets);
        let line = |(target, running): (&Target, &Running)| Line {
            params: match (&target.mapping, running) {
                (Mapping::Mirror(text), Running::Mirror { recovery, .. }) => {
                    let devices = text.legs.iter().map(|leg| leg.device.to_string());
                    let log = text.log_device().map(ToString::to_string);
                    recovery.mirror().status(devices.collect(), log).to_string()
                }
                _ => String::new(),
            },
            ..target.to_line()
        };
        pairs.map(line).collect()
    }

    /// The devices and files that it holds.
    pub(super) fn deps(&self) -> Vec<DeviceRef> {
        let mut table = self.table.clone();
        let mut deps: Vec<DeviceRef> = Vec::new();
        for device in table.devices() {
            if !deps.contains(device) {
                deps.push(device.clone());
            }
        }
        deps
    }

    /// Whether it uses the file or device with this key.
    pub(super) fn uses(&self, key: &str) -> bool {
        self.targets.iter().any(|target| match target {
            Running::Mirror { recovery, log } => {
                let legs = recovery.mirror().parts.legs.iter();
                let mut holds = legs.map(|leg| &leg.hold).chain(log);
                holds.any(|hold| hold.key == key)
            }
            Running::Linear(hold) => hold.key == key,
            Running::Error => false,
        })
    }

    /// Let its mirrors copy.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn start(&self) -> Result<()> {
        self.recoveries().try_for_each(Recovery::start)
    }

    /// Stop its mirrors, and wait until they have stopped.
    pub(super) fn stop(&self) {
        self.recoveries().for_each(Recovery::stop);
    }

    fn recoveries(&self) -> impl Iterator<Item = &Recovery> {
        self.targets.iter().filter_map(|target| match target {
            Running::Mirror { recovery, .. } => Some(recovery),
            Running::Linear(_) | Running::Error => None,
        })
    }
}

fn open(target: &Target, means: &Means<'_>) -> Result<Running> {
    let bytes = target.length.saturating_mul(SECTOR);
    match &target.mapping {
        Mapping::Mirror(text) => mirror(text, bytes, means),
        Mapping::Linear(text) => linear(text, bytes, means),
        Mapping::Other { kind, .. } if kind == "error" => Ok(Running::Error),
        Mapping::Other { kind, params } => {
            // Parsed again for the sentence of what is wrong with it.
            if kind == "mirror" {
                MirrorText::parse(params, target.length)?;
            }
            Err(Error::invalid(format!(
                "{kind}: unknown target type: the embedded engine knows mirror, linear and error"
            )))
        }
    }
}

fn linear(text: &Linear, bytes: u64, means: &Means<'_>) -> Result<Running> {
    let facts = means.host.facts(&text.device)?;
    check_size(&facts, text.offset.saturating_mul(SECTOR), bytes)?;
    means.holds.take(&facts).map(Running::Linear)
}

fn mirror(text: &MirrorText, length: u64, means: &Means<'_>) -> Result<Running> {
    let region = text.region().unwrap_or(0).saturating_mul(SECTOR);
    let regions = length.div_ceil(region.max(1));
    let (log, held) = log(text, regions, means)?;
    let legs = text.legs.iter().enumerate().map(|(number, leg)| {
        let offset = leg.offset.saturating_mul(SECTOR);
        // Nothing is ever written to the source: who may only read it can copy it.
        let write = number > 0;
        open_leg(&leg.device, offset, length, write, means)
    });
    let parts = Parts {
        legs: legs.collect::<Result<_>>()?,
        log,
        region,
        length,
        handle_errors: text.features.handle_errors,
    };
    let mirror = Mirror::new(parts, Arc::clone(means.throttle), means.events.clone());
    Ok(Running::Mirror {
        recovery: Recovery::new(&Arc::new(mirror))?,
        log: held,
    })
}

fn open_leg(
    device: &DeviceRef,
    offset: u64,
    length: u64,
    write: bool,
    means: &Means<'_>,
) -> Result<Leg> {
    let facts = means.host.facts(device)?;
    check_size(&facts, offset, length)?;
    let hold = means.holds.take(&facts)?;
    let block = facts.device.number().map(|_| facts.block_size);
    let store = Store::open(&facts.way(), block, write)
        .map_err(|error| Error::io(facts.node.display(), &error))?;
    Ok(Leg::new(store, offset, length, hold))
}

fn log(text: &MirrorText, regions: u64, means: &Means<'_>) -> Result<(Log, Option<Arc<Hold>>)> {
    match &text.log {
        LogText::Core { sync, .. } => Ok((Log::new(regions, *sync, None)?, None)),
        LogText::Disk { device, sync, .. } => {
            let facts = means.host.facts(device)?;
            let size = disklog::size_for(regions, SECTOR).unwrap_or(u64::MAX);
            check_size(&facts, 0, size)?;
            let hold = means.holds.take(&facts)?;
            let disk = LogDisk::open(&facts.way())
                .map_err(|error| Error::io(facts.node.display(), &error))?;
            Ok((Log::new(regions, *sync, Some(disk))?, Some(hold)))
        }
        LogText::Userspace { .. } => Err(Error::invalid(
            "Module for logging type \"userspace\" not found: the embedded engine has core and disk logs",
        )),
    }
}

fn check_size(facts: &Facts, start: u64, size: u64) -> Result<()> {
    if facts.size >= start.saturating_add(size) {
        return Ok(());
    }
    let (node, have) = (facts.node.display(), facts.size);
    let sentence = format!("{node} has {have} bytes, {size} from offset {start} are needed");
    Err(Error::new(Errno::ENOSPC, sentence))
}

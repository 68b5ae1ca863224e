//! What is written over only where somebody says `force=yes`: what a target or a log
//! holds already, and a source that could not be mounted from its copy.

use super::demand::{Care, Demand, Looked, is_file};
use super::earlier::Earlier;
use super::log_file;
use crate::engine::{Devices, Doomed, Facts, Held, Span};
use crate::error::{Errno, Error, Result};
use crate::text::mirror::Leg;

/// What asks whether something would be lost.
pub(super) struct Spare<'a> {
    pub devices: &'a dyn Devices,
    pub earlier: &'a Earlier,
}

impl Spare<'_> {
    /// Check that nothing is lost that somebody may still want; and that new targets
    /// can be written, where that is to be known before.
    ///
    /// # Errors
    /// EINVAL for blocks that are too large, ENOTEMPTY for what is held, EIO for a
    /// target that does not answer; and what reading them answers.
    pub(super) fn check(&self, demand: &Demand<'_>, looked: &[Looked<'_>]) -> Result<()> {
        let fresh = || looked.iter().filter(|looked| looked.fresh.is_some());
        if !demand.force && demand.care != Care::Restored {
            fresh().try_for_each(|looked| self.check_sizes_of_blocks(demand, looked))?;
            fresh().try_for_each(|looked| self.check_held(demand, looked))?;
        }
        if demand.care != Care::Proved {
            return Ok(());
        }
        let mut new = fresh().filter(|looked| looked.place.from.is_some());
        new.try_for_each(|looked| {
            let (place, node) = (looked.place, looked.facts.node.display());
            let proved = self.devices.prove(&looked.facts.pinned(), place.span());
            proved.map_err(|error| error.context(format!("{} {node} does not work", place.role)))
        })
    }

    /// A file system counts in the blocks of the disk that it was made on, and so
    /// does a partition table.
    fn check_sizes_of_blocks(&self, demand: &Demand<'_>, looked: &Looked<'_>) -> Result<()> {
        let facts = &looked.facts;
        let Some(from) = &looked.place.from else {
            return Ok(());
        };
        // One that it holds already was let in.
        if demand.own.devices.contains(&facts.device) {
            return Ok(());
        }
        let source = demand.looks.facts(&from.device)?;
        if facts.block_size <= source.block_size {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} {} has logical blocks of {} bytes, the source {} of {}: the copy could not be mounted there. Name another disk, or add force=yes",
            looked.place.role,
            facts.node.display(),
            facts.block_size,
            source.node.display(),
            source.block_size
        )))
    }

    fn check_held(&self, demand: &Demand<'_>, looked: &Looked<'_>) -> Result<()> {
        let place = looked.place;
        let had = || demand.own.held(self.devices, &looked.facts).is_some();
        match (place.log, &place.from) {
            (Some(_), _) if demand.own.grows && had() => Ok(()),
            (Some(regions), _) if is_file(&looked.facts) => check_log_file(looked, regions),
            (Some(_), _) => {
                let held = self.held(looked)?;
                held.map_or(Ok(()), |held| Err(not_empty(looked, &held.what, "the log")))
            }
            (None, Some(from)) if demand.care != Care::Logs => {
                let source = demand.looks.facts(&from.device)?;
                self.check_target(looked, from, &source)
            }
            _ => Ok(()),
        }
    }

    fn check_target(&self, looked: &Looked<'_>, from: &Leg, source: &Facts) -> Result<()> {
        let Some(held) = self.held(looked)? else {
            return Ok(());
        };
        // What cannot be compared is no copy.
        let copied =
            self.earlier
                .was_target((from, source), (looked.place, &looked.facts), held.at);
        if copied.unwrap_or(false) {
            Ok(())
        } else {
            Err(not_empty(looked, &held.what, "the copy"))
        }
    }

    /// What would be lost with the bytes that are new.
    fn held(&self, looked: &Looked<'_>) -> Result<Option<Held>> {
        let (place, fresh) = (looked.place, looked.fresh.as_ref());
        let had = fresh.map_or(0, |fresh| fresh.start.saturating_sub(looked.extent.start));
        let doomed = Doomed {
            span: Span {
                start: place.start.saturating_add(had),
                size: place.size.saturating_sub(had),
            },
            continued: had > 0,
        };
        let found = self.devices.signature(&looked.facts.pinned(), doomed);
        found.map_err(|error| error.context(place))
    }
}

/// A file that is neither blank nor a log is somebody's.
fn check_log_file(looked: &Looked<'_>, regions: u64) -> Result<()> {
    if log_file::holds_other(&looked.facts, regions)? {
        Err(not_empty(looked, "something other than a log", "the log"))
    } else {
        Ok(())
    }
}

fn not_empty(looked: &Looked<'_>, what: &str, by: &str) -> Error {
    let place = looked.place;
    let other = match place.log {
        Some(_) => "name another file or device",
        None => "name another device",
    };
    Error::new(
        Errno::ENOTEMPTY,
        format!("{place} holds {what}, {by} would overwrite it: {other}, or add force=yes"),
    )
}

//! What must be true of devices before the kernel sees a table, whichever request or
//! verb it comes from: each exists, is large enough, can be written, is nobody else's,
//! is named once, and holds nothing that somebody may still want. Files become devices
//! here.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::claims::{Claimed, Claims};
use super::demand::{Care, Demand, Looked, is_file};
use super::earlier::Earlier;
use super::extent::{TableRange, Taken, places};
use super::log_file::{self, Whose};
use super::looks::Looks;
use super::spare::Spare;
use crate::engine::{Attachment, Devices, Engine, Facts, Pin};
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// A table whose devices are there and free, with what was made for it.
pub struct Admitted<'a> {
    /// The table, every device by its number.
    pub table: Table,
    /// Loop devices: they go when this is dropped before a table holds them.
    attached: HashMap<PathBuf, Attachment>,
    /// Log files that did not exist.
    made: Vec<PathBuf>,
    /// Nobody else gets these devices meanwhile.
    claimed: Claimed<'a>,
}

impl Admitted<'_> {
    /// The log files that were made for it.
    pub fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Take back the log files that were made, after the mirror was not.
    pub fn undo(self) {
        drop(self.attached);
        for path in &self.made {
            if let Err(error) = std::fs::remove_file(path) {
                log::warn!("{} was made for nothing and stays: {error}", path.display());
            }
        }
    }
}

/// Lets devices into tables.
pub struct Admission {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) devices: Arc<dyn Devices>,
    claims: Claims,
    /// What was copied where before.
    pub earlier: Earlier,
}

impl Admission {
    /// That of a daemon.
    pub fn new(engine: &Arc<dyn Engine>, devices: &Arc<dyn Devices>) -> Admission {
        Admission {
            engine: Arc::clone(engine),
            devices: Arc::clone(devices),
            claims: Claims::default(),
            earlier: Earlier::of(devices),
        }
    }

    fn spare(&self) -> Spare<'_> {
        Spare {
            devices: self.devices.as_ref(),
            earlier: &self.earlier,
        }
    }

    /// Check every device of a table and make it usable. What is refused whatever is
    /// said comes first, what `force=yes` overrides last.
    ///
    /// # Errors
    /// ENOENT, ENODEV where a device is missing or none; ENOSPC where it is too
    /// small; EROFS where it cannot be written; EBUSY where somebody uses it; EINVAL
    /// where two ranges overlap, a log is another mirror's, or logical blocks do not
    /// go together; ENOTEMPTY where it holds what somebody may still want; EIO where a
    /// new target does not answer. Nothing is left behind.
    pub(crate) fn admit(&self, demand: &Demand<'_>) -> Result<Admitted<'_>> {
        let places = places(demand.table)?;
        let mut admitted = Admitted {
            table: demand.table.clone(),
            attached: HashMap::new(),
            made: Vec::new(),
            claimed: self.claims.none(),
        };
        let done = self
            .check(demand, &places, &mut admitted.claimed)
            .and_then(|looked| {
                self.prepare(demand, &places, &mut admitted)?;
                self.spare().check(demand, &looked)
            });
        match done {
            Ok(()) => Ok(admitted),
            Err(error) => {
                admitted.undo();
                Err(error)
            }
        }
    }

    /// Check the devices of the table that another one is to become.
    ///
    /// # Errors
    /// As those of [`Admission::admit`].
    pub(crate) fn check_whole(&self, demand: &Demand<'_>, whole: &Table) -> Result<()> {
        let places = places(whole)?;
        let looked = self.check(demand, &places, &mut self.claims.none())?;
        self.spare().check(demand, &looked)
    }

    /// The checks that change nothing and that nothing overrides.
    fn check<'p>(
        &self,
        demand: &Demand<'_>,
        places: &'p [TableRange],
        claimed: &mut Claimed<'_>,
    ) -> Result<Vec<Looked<'p>>> {
        let mut taken = Taken::default();
        let mut all = Vec::new();
        for place in places {
            let Some(facts) = existing(&demand.looks, place)? else {
                continue;
            };
            let extent = place.extent(&facts);
            taken.take(place, &extent)?;
            claimed.claim(&extent.base, || place.to_string())?;
            let looked = Looked {
                fresh: demand.own.fresh(&extent),
                place,
                facts,
                extent,
            };
            self.check_place(demand, &looked)?;
            all.push(looked);
        }
        Ok(all)
    }

    fn check_place(&self, demand: &Demand<'_>, looked: &Looked<'_>) -> Result<()> {
        let Looked { place, facts, .. } = looked;
        self.check_writable(demand, place, facts)?;
        // What it has already is not taken from anybody.
        if looked.fresh.is_some() {
            let user = self.devices.user(facts, &demand.own.devices)?;
            user.map_or(Ok(()), |user| {
                let (role, node) = (&place.role, facts.node.display());
                Err(Error::busy(format!("{role} {node} is {user}")))
            })?;
        }
        demand.own.check_blocks(place, facts)?;
        match place.log {
            Some(regions) => {
                let own = demand.own.held(self.devices.as_ref(), facts).is_some();
                // The time of change of one that comes back tells the next try something.
                let whose = match own || demand.care == Care::Restored {
                    false => Whose::Free,
                    true if demand.own.grows => Whose::Grown,
                    true => Whose::Own,
                };
                log_file::check(facts, regions, whose)
            }
            None => place.check_size(facts),
        }
    }

    /// The copy writes targets and logs, whoever may write to the mirror; what is
    /// written to the mirror is written to its source too, where there is a device to
    /// write to.
    fn check_writable(&self, demand: &Demand<'_>, place: &TableRange, facts: &Facts) -> Result<()> {
        let (role, node) = (&place.role, facts.node.display());
        let refused = |why: String| Err(Error::new(Errno::EROFS, format!("{role} {node} {why}")));
        let remedy = match facts.device {
            DeviceRef::Number(_) => format!("`blockdev --setrw {node}`"),
            DeviceRef::Path(_) => "make its file system writable".into(),
        };
        let passed_on = self.engine.carries_io() && !demand.read_only;
        match place.is_written() {
            true if facts.read_only => refused(format!("is read-only: {remedy}")),
            true => check_opens(role, facts),
            false if facts.read_only && passed_on => refused(format!(
                "is read-only, but writes to the mirror go to it too: {remedy}, or make the mirror read-only (NAME,,,ro,TABLE)"
            )),
            false => Ok(()),
        }
    }

    /// Make log files, attach files, and put numbers into the table.
    fn prepare(
        &self,
        demand: &Demand<'_>,
        places: &[TableRange],
        admitted: &mut Admitted<'_>,
    ) -> Result<()> {
        for place in places {
            if let (Some(_), None) = (place.log, existing(&demand.looks, place)?) {
                let path = path_of(&place.device)?;
                let made = Pin::new(log_file::make(path, place.room)?);
                admitted.made.push(path.into());
                let facts = self.devices.facts(&DeviceRef::Path(made.path()))?;
                demand.looks.note(&place.device, facts);
            }
        }
        log_file::keep_names(&admitted.made)?;
        // A file may be the source in one place and written in another.
        let written = places.iter().filter(|place| place.is_written());
        let written = written.filter_map(|place| demand.looks.facts(&place.device).ok()?.file);
        let written: HashSet<PathBuf> = written.collect();
        let mut numbers: HashMap<DeviceRef, DeviceRef> = HashMap::new();
        for place in places {
            if numbers.contains_key(&place.device) {
                continue;
            }
            let facts = demand.looks.facts(&place.device)?;
            let is_written = facts
                .file
                .as_ref()
                .is_some_and(|file| written.contains(file));
            let read_only = demand.read_only && !is_written;
            let number = self.usable(demand, &facts, read_only, admitted)?;
            numbers.insert(place.device.clone(), number);
        }
        for device in admitted.table.devices() {
            if let Some(number) = numbers.get(device) {
                device.clone_from(number);
            }
        }
        Ok(())
    }

    /// The device as a table names it: a file by the loop device that the device
    /// itself holds already, or by a new one.
    fn usable(
        &self,
        demand: &Demand<'_>,
        facts: &Facts,
        read_only: bool,
        admitted: &mut Admitted<'_>,
    ) -> Result<DeviceRef> {
        let devices = self.devices.as_ref();
        let Some(file) = facts.file.as_ref().filter(|_| is_file(facts)) else {
            return Ok(facts.device.clone());
        };
        if let Some(attachment) = admitted.attached.get(file) {
            return Ok(attachment.device.clone());
        }
        if let Some(device) = demand.own.held(devices, facts) {
            return Ok(device);
        }
        let attachment = devices.attach(facts, read_only)?;
        let device = attachment.device.clone();
        admitted.attached.insert(file.clone(), attachment);
        Ok(device)
    }
}

/// What is known of the place's device; none for a log file yet to be made.
fn existing(looks: &Looks<'_>, place: &TableRange) -> Result<Option<Facts>> {
    match looks.facts(&place.device) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.errno() == Errno::ENOENT && place.log.is_some() => Ok(None),
        Err(error) => Err(error.context(&place.role)),
    }
}

/// Check that a file opens for writing; devices say themselves whether they can be.
fn check_opens(role: &str, facts: &Facts) -> Result<()> {
    if !is_file(facts) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).custom_flags(libc::O_NONBLOCK);
    let opened = opened.open(facts.way()).map(drop);
    opened.map_err(|error| {
        let what = format!("{role} {} cannot be written", facts.node.display());
        Error::io(what, &error)
    })
}

fn path_of(device: &DeviceRef) -> Result<&Path> {
    match device {
        DeviceRef::Path(path) => Ok(path),
        DeviceRef::Number(number) => Err(Error::new(
            Errno::ENODEV,
            format!("there is no device {number}"),
        )),
    }
}

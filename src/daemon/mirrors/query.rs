//! Looking: which mirrors there are now, and what one is like. Changes nothing, and
//! waits for no device.

use std::sync::Arc;

use super::absent::snapshot_of_absent;
use super::beside::beside;
use super::lease::{Reserved, taken};
use super::registry::Registry;
use super::tables::Tables;
use crate::engine::{Id, Info, Listed, PromptDevices, PromptEngine, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::snapshot::{Found, Known, Part, SECTOR, Snapshot, is_shown};
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::table::Line;

/// How much a file has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The engine, and no mirror.
    Engine,
    /// What device-mapper answers: two ioctls.
    Kernel,
    /// What the disk logs say too, which are read for a moment at most.
    Logs,
    /// The names and sizes of devices too.
    Devices,
    /// Who else uses them too, for which all tables are looked through.
    Users,
    /// All of a mirror.
    Whole,
    /// As [`Detail::Devices`], and the engine, and how many events there were.
    All,
}

/// How often the devices are listed, where one is gone when it is looked at: it may
/// have another name now, and have been there all the time.
const LISTS: usize = 4;

/// The mirrors that there are.
pub struct Mirrors {
    pub(crate) engine: Arc<dyn PromptEngine>,
    pub(crate) devices: Arc<dyn PromptDevices>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tables: Tables,
}

impl Mirrors {
    /// Those of an engine; `registry` is what is remembered of each.
    pub fn new(
        (engine, devices): &(Arc<dyn PromptEngine>, Arc<dyn PromptDevices>),
        registry: &Arc<Registry>,
    ) -> Mirrors {
        Mirrors {
            engine: Arc::clone(engine),
            devices: Arc::clone(devices),
            registry: Arc::clone(registry),
            tables: Tables::default(),
        }
    }

    /// The mirror that has this name now.
    ///
    /// # Errors
    /// ENOENT where there is none.
    pub fn find(&self, name: &str) -> Result<MirrorId> {
        let gone = || Error::new(Errno::ENOENT, format!("there is no mirror {name}"));
        let running = self.running_under(name).ok().flatten();
        running
            // Also one whose name a device has that is no mirror.
            .or_else(|| {
                let mut absent = self.registry.absentees().into_iter();
                let found = absent.find(|(_, other)| other == name);
                found.map(|(mirror_id, _)| mirror_id)
            })
            .ok_or_else(gone)
    }

    /// The device of this name; none where it is no mirror.
    ///
    /// # Errors
    /// ENODEV where there is none.
    fn running_under(&self, name: &str) -> Result<Option<MirrorId>> {
        let (info, lines) = self.engine.table(&Id::Name(name.into()), Slot::Live)?;
        Ok(self.shows(&info, &lines).then(|| self.registry.note(&info)))
    }

    /// The mirror that a device is which was just listed; none where it is none. Asks the
    /// kernel only what may be otherwise than when it was last asked.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn running(&self, device: &Listed) -> Result<Option<MirrorId>> {
        let read = self.tables.of(self.engine.as_ref(), device)?;
        let shown = read.is_shown || self.registry.has_dropped(&read.info);
        Ok(shown.then(|| self.registry.note(&read.info)))
    }

    /// Whether a device is shown: also what lost its mirror target with a leg.
    pub fn shows(&self, info: &Info, lines: &[Line]) -> bool {
        is_shown(info, lines) || self.registry.has_dropped(info)
    }

    /// The ids and names of all mirrors, in the kernel's order; those that are
    /// only recorded come last.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn all(&self) -> Result<Vec<(MirrorId, String)>> {
        // First: one that is started meanwhile is then found as both, not as neither.
        let absent = self.registry.absentees().into_iter();
        let mut found = self.all_running()?;
        for _ in 1..LISTS {
            if found.1 {
                break;
            }
            found = self.all_running()?;
        }
        let found = found.0;
        let hidden = |(_, name): &(MirrorId, String)| found.iter().any(|(_, other)| other == name);
        let absent: Vec<_> = absent.filter(|one| !hidden(one)).collect();
        Ok([found, absent].concat())
    }

    /// The mirrors that run, and whether all that was listed was still there under its
    /// name.
    fn all_running(&self) -> Result<(Vec<(MirrorId, String)>, bool)> {
        let (mut found, mut all) = (Vec::new(), true);
        for device in self.engine.list()? {
            match self.running(&device) {
                Ok(mirror_id) => found.extend(mirror_id.map(|mirror_id| (mirror_id, device.name))),
                Err(_) => all = false,
            }
        }
        Ok((found, all))
    }

    /// The mirror as it is now.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn snapshot(&self, mirror_id: MirrorId, detail: Detail) -> Result<Snapshot> {
        if let Some(absent) = self.registry.absent(mirror_id) {
            return Ok(snapshot_of_absent(&absent, self.registry.known(mirror_id)));
        }
        let (id, dev) = self.registry.address(mirror_id)?;
        let (info, lines) = self.engine.table(&id, Slot::Live)?;
        let (_, status) = self.engine.status(&id)?;
        if info.dev != dev {
            return Err(Error::new(Errno::ENODEV, format!("{dev} is gone")));
        }
        // After the status: what it shows is not of a later life.
        let life = self.engine.life(dev).ok();
        let known = Known {
            holds_writes: self.engine.carries_io(),
            ..self.registry.known(mirror_id)
        };
        let look_up = |device: &DeviceRef| self.look_up(device, detail);
        let snapshot = Snapshot::new(info, status, lines, life, known, &look_up);
        let snapshot = match detail {
            Detail::Logs | Detail::Whole => self.with_bits(snapshot),
            _ => snapshot,
        };
        if !matches!(detail, Detail::Users | Detail::Whole) {
            return Ok(snapshot);
        }
        let beside = self.beside(&snapshot).unwrap_or_else(|error| {
            log::debug!("{error}: who else uses a leg is not known");
            Vec::new()
        });
        let mut snapshot = Snapshot { beside, ..snapshot };
        let slow = self.slow(mirror_id, &snapshot);
        let source = snapshot.legs.iter_mut().find(|leg| leg.source);
        source.into_iter().for_each(|leg| leg.slow = slow);
        Ok(snapshot)
    }

    /// The same with what the logs say of what is not in sync.
    fn with_bits(&self, snapshot: Snapshot) -> Snapshot {
        // Where one does not answer the others are not waited for as well.
        let mut answers = true;
        let bits = |part: &Part| {
            let mirror = part
                .mirror
                .as_ref()
                .filter(|_| answers && !part.is_in_sync())?;
            let (device, regions) = (mirror.log_device()?, mirror.regions(part.length)?);
            let size = disklog::size_for(regions, SECTOR)?;
            let head = self.devices.head(device, size);
            answers = head.is_some();
            disklog::bits(&head?, regions)
        };
        let bits = snapshot.parts.iter().map(bits).collect();
        Snapshot { bits, ..snapshot }
    }

    fn look_up(&self, device: &DeviceRef, detail: Detail) -> Found {
        if detail < Detail::Devices {
            return Found::Unknown;
        }
        self.devices.sight(device)
    }

    /// Whether a mirror is there, and is one.
    pub fn is_there(&self, mirror_id: MirrorId) -> bool {
        let there = self.snapshot(mirror_id, Detail::Kernel);
        there.is_ok_and(|there| self.shows(&there.info, &there.lines))
    }

    /// What a device is called, or what the table calls it.
    pub fn node_of(&self, device: &DeviceRef) -> String {
        match self.devices.sight(device) {
            Found::There(sight) => sight.node.display().to_string(),
            _ => device.to_string(),
        }
    }

    /// Keep a name that neither a device nor a request has.
    pub fn reserve(&self, name: &str) -> Result<Reserved<'_>> {
        let reserved = self.registry.reserve(name)?;
        let mut absent = self.registry.absentees().into_iter();
        if absent.any(|(_, other)| other == name) {
            return Err(taken(name));
        }
        match self.engine.info(&Id::Name(name.into())) {
            Ok(_) => Err(taken(name)),
            Err(error) if error.errno() == Errno::ENODEV => Ok(reserved),
            Err(error) => Err(error),
        }
    }

    /// Forget a device that is nothing to mirrorfs any more: another program's, and
    /// no mirror.
    pub fn let_alone(&self, mirror_id: MirrorId) {
        let address = self.registry.address(mirror_id);
        let there = address.and_then(|(id, _)| self.engine.table(&id, Slot::Live));
        if there.is_ok_and(|(info, lines)| !self.shows(&info, &lines)) {
            self.registry.forget(mirror_id);
        }
    }

    /// Check that nobody else holds its legs and logs.
    ///
    /// # Errors
    /// EBUSY names the first who does; what the list of devices answers.
    pub fn check_nobody_beside(&self, snapshot: &Snapshot) -> Result<()> {
        match self.beside(snapshot)?.first() {
            Some(other) => Err(Error::busy(format!(
                "{other}: its writes are not on the other legs; remove it first"
            ))),
            None => Ok(()),
        }
    }

    fn beside(&self, snapshot: &Snapshot) -> Result<Vec<String>> {
        let (engine, devices) = (self.engine.as_ref(), self.devices.as_ref());
        beside(&self.tables, engine, devices, snapshot)
    }
}

//! Looking: which mirrors there are now, and what one is like. Changes nothing, and
//! waits for no device.

use std::collections::HashSet;
use std::sync::Arc;

use super::absent::snapshot_of_absent;
use super::last::{Last, Singles};
use super::lease::{Reserved, taken};
use super::look::Look;
use super::registry::Registry;
use super::running::{self, At, Before, Running};
use super::sights::{Round, Sights};
use super::tables::Tables;
use crate::engine::{Id, Info, Listed, PromptDevices, PromptEngine, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::snapshot::{Found, Known, Lookup, Part, SECTOR, Snapshot, is_shown};
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::table::{Line, Table};

/// How much a file has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The engine, and no mirror.
    Engine,
    /// The tables.
    Table,
    /// What device-mapper answers: one ioctl, where the table is known.
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
    pub(crate) sights: Sights,
    pub(crate) last: Last,
    pub(crate) running: Running,
    pub(crate) singles: Singles,
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
            sights: Sights::default(),
            last: Last::default(),
            running: Running::default(),
            singles: Singles::default(),
        }
    }

    /// The mirror that has this name now.
    ///
    /// # Errors
    /// ENOENT where there is none.
    pub fn find(&self, name: &str) -> Result<MirrorId> {
        let gone = || Error::new(Errno::ENOENT, format!("there is no mirror {name}"));
        let (version, lives) = (self.registry.version(), self.engine.lives().ok());
        if let Some(mirror_id) = self.running.under(name, version, lives) {
            return Ok(mirror_id);
        }
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

    /// The table of a device that was just listed; none where it is gone.
    pub fn table_at(&self, device: &Listed) -> Option<Arc<Table>> {
        let read = self.tables.of(self.engine.as_ref(), device).ok()?;
        Some(Arc::clone(&read.printed.table))
    }

    /// What the list would say of one that runs; none where its device is not the same any
    /// more, or has another name.
    pub fn listed_as(&self, mirror_id: MirrorId) -> Option<Listed> {
        let (id, dev) = self.registry.address(mirror_id).ok()?;
        // Before the look, as in a list.
        let life = self.engine.life(dev).ok();
        let info = self.engine.info(&id).ok()?;
        let same = info.dev == dev && info.name == self.registry.name_of(mirror_id);
        same.then_some(Listed {
            name: info.name,
            dev,
            event_nr: info.event_nr,
            life,
        })
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
        let (running, absent) = self.listed()?;
        let named = |(mirror_id, device): (MirrorId, &Listed)| (mirror_id, device.name.clone());
        let running = running.iter().map(named);
        Ok(running.chain(absent).collect())
    }

    /// The mirrors that run, as they were listed, and those that are only recorded.
    pub(super) fn listed(&self) -> Result<(running::Mirrors, Vec<(MirrorId, String)>)> {
        // First: one that is started meanwhile is then found as both, not as neither.
        let mut absent = self.registry.absentees();
        let mut found = self.all_running()?;
        for _ in 1..LISTS {
            if found.1 {
                break;
            }
            found = self.all_running()?;
        }
        if !absent.is_empty() {
            let names: HashSet<&str> = found.0.iter().map(|(_, device)| &*device.name).collect();
            absent.retain(|(_, name)| !names.contains(name.as_str()));
        }
        Ok((found.0, absent))
    }

    /// The mirrors that run, as they were listed, and whether all that was listed was still
    /// there under its name. Asks the kernel only what may be otherwise than when it was
    /// last asked.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn all_running(&self) -> Result<(running::Mirrors, bool)> {
        let (version, lives) = (self.registry.version(), self.engine.lives().ok());
        let list = self.engine.list()?;
        if let Some(known) = self.running.of(&list, version) {
            return Ok((known, true));
        }
        let last = self.running.last();
        let mut before = Before::of(last.as_deref().filter(|last| last.lasting), version);
        let (mut ids, mut all, mut lasting) = (Vec::new(), true, lives.is_some());
        for (place, device) in list.iter().enumerate() {
            if let Some(at) = before.find(device) {
                ids.push(At { place, ..at });
                continue;
            }
            let Ok(read) = self.tables.of(self.engine.as_ref(), device) else {
                all = false;
                continue;
            };
            // What is shown for what is remembered of it may be shown no more, and not yet.
            lasting &= read.is_shown || !self.registry.has(&read.info);
            if read.is_shown || self.registry.has_dropped(&read.info) {
                ids.push(At {
                    mirror_id: self.registry.note(&read.info),
                    place,
                    live: read.info.live,
                });
            }
        }
        // Those that were entered here are in it, and none that was forgotten meanwhile.
        let version = self.registry.version();
        lasting &= self.registry.has_all(ids.iter().map(|at| at.mirror_id));
        let mirrors = running::Mirrors::new(&list, ids);
        let found = running::Found::new(version, lives, mirrors.clone(), all && lasting);
        self.running.keep(found);
        Ok((mirrors, all))
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
        let look = self.tables.look(self.engine.as_ref(), &id, dev)?;
        let sight = |device: &DeviceRef| self.devices.sight(device);
        let snapshot = self.seen(look, self.known(mirror_id), detail, &sight);
        let mut one = [(mirror_id, snapshot)];
        if matches!(detail, Detail::Users | Detail::Whole) {
            self.look_beside(&mut one, &self.fresh());
        }
        let [(_, snapshot)] = one;
        Ok(snapshot)
    }

    /// A look by which somebody decides.
    pub(super) fn fresh(&self) -> Round<'_> {
        self.sights.fresh(self.devices.as_ref())
    }

    pub(super) fn round(&self) -> Round<'_> {
        self.sights
            .round(self.engine.as_ref(), self.devices.as_ref())
    }

    /// Whether this is what is remembered of a mirror that runs.
    pub(super) fn is_known(&self, mirror_id: MirrorId, known: &Known) -> bool {
        known.holds_writes == self.engine.carries_io() && self.registry.is_known(mirror_id, known)
    }

    /// What is remembered of a mirror.
    pub(super) fn known(&self, mirror_id: MirrorId) -> Known {
        Known {
            holds_writes: self.engine.carries_io(),
            ..self.registry.known(mirror_id)
        }
    }

    /// What a look has found of a mirror of which so much is known.
    pub(super) fn seen(
        &self,
        look: Look,
        known: Known,
        detail: Detail,
        sight: Lookup<'_>,
    ) -> Snapshot {
        let Look {
            info,
            status,
            printed,
            life,
        } = look;
        let look_up = |device: &DeviceRef| {
            if detail < Detail::Devices {
                Found::Unknown
            } else {
                sight(device)
            }
        };
        let snapshot = Snapshot::new(info, status, printed, life, known, &look_up);
        match detail {
            Detail::Logs | Detail::Whole => self.with_bits(snapshot),
            _ => snapshot,
        }
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
}

//! Looking: which mirrors there are now, and what one is like. Changes nothing, and
//! waits for no device.

use std::collections::HashSet;
use std::sync::Arc;

use super::absent::snapshot_of_absent;
use super::beside::{beside, devices};
use super::last::{Depth, Last};
use super::lease::{Reserved, taken};
use super::look::Look;
use super::registry::Registry;
use super::sights::{Round, Sights};
use super::tables::Tables;
use crate::engine::{Id, Info, Listed, PromptDevices, PromptEngine, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::shared::Shared;
use crate::model::snapshot::{Found, Known, Lookup, Part, SECTOR, Snapshot, is_shown};
use crate::text::device::DeviceRef;
use crate::text::disklog;
use crate::text::table::Line;

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

/// For what the last look at all mirrors is kept.
fn depth(detail: Detail) -> Option<Depth> {
    match detail {
        Detail::Kernel => Some(Depth::Mapping),
        Detail::Devices | Detail::All => Some(Depth::Devices),
        Detail::Whole => Some(Depth::Whole),
        Detail::Engine | Detail::Table | Detail::Logs | Detail::Users => None,
    }
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
        let running = running
            .into_iter()
            .map(|(mirror_id, device)| (mirror_id, device.name));
        Ok(running.chain(absent).collect())
    }

    /// The mirrors that run, as they were listed, and those that are only recorded.
    fn listed(&self) -> Result<(Vec<(MirrorId, Listed)>, Vec<(MirrorId, String)>)> {
        // First: one that is started meanwhile is then found as both, not as neither.
        let mut absent = self.registry.absentees();
        let mut found = self.all_running()?;
        for _ in 1..LISTS {
            if found.1 {
                break;
            }
            found = self.all_running()?;
        }
        let names: HashSet<&str> = found.0.iter().map(|(_, device)| &*device.name).collect();
        absent.retain(|(_, name)| !names.contains(name.as_str()));
        Ok((found.0, absent))
    }

    /// The mirrors that run, and whether all that was listed was still there under its
    /// name.
    fn all_running(&self) -> Result<(Vec<(MirrorId, Listed)>, bool)> {
        let (mut found, mut all) = (Vec::new(), true);
        for device in self.engine.list()? {
            match self.running(&device) {
                Ok(mirror_id) => found.extend(mirror_id.map(|mirror_id| (mirror_id, device))),
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
        let look = self.tables.look(self.engine.as_ref(), &id, dev)?;
        let sight = |device: &DeviceRef| self.devices.sight(device);
        let snapshot = self.seen(look, self.known(mirror_id), detail, &sight);
        let mut one = [(mirror_id, snapshot)];
        if matches!(detail, Detail::Users | Detail::Whole) {
            self.look_beside(&mut one, &self.round());
        }
        let [(_, snapshot)] = one;
        Ok(snapshot)
    }

    /// All mirrors as they are now, in the order of [`Mirrors::all`]; those that are as they
    /// were at the last look are the same. What was seen of a device is kept, and asked for
    /// again once the kernel has said something of it.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn snapshots(&self, detail: Detail) -> Result<Vec<(MirrorId, Arc<Shared>)>> {
        let (round, lives) = (self.round(), self.engine.lives().ok());
        let (running, absent) = self.listed()?;
        let looks: Vec<_> = running
            .iter()
            .map(|(mirror_id, device)| (*mirror_id, self.look_at(device, detail)))
            .collect();
        // Where no table has a new life, all that was seen is of the one that was listed.
        let same = lives.is_some() && self.engine.lives().ok() == lives;
        let anew = |mirror_id| {
            let (id, dev) = self.registry.address(mirror_id).ok()?;
            self.tables.look(self.engine.as_ref(), &id, dev).ok()
        };
        // One that goes between the list and the look is not there.
        let looks = looks.into_iter().filter_map(|(mirror_id, look)| {
            let look = look.filter(|_| same).or_else(|| anew(mirror_id))?;
            Some((mirror_id, look))
        });
        let mut snapshots = self.seen_of_all(looks, detail, &round);
        let absent = absent.into_iter().filter_map(|(mirror_id, _)| {
            let snapshot = self.snapshot(mirror_id, detail).ok()?;
            Some((mirror_id, Arc::new(Shared::new(snapshot))))
        });
        snapshots.extend(absent);
        Ok(snapshots)
    }

    /// What is to be known of one that was just listed, as far as one call tells it.
    fn look_at(&self, device: &Listed, detail: Detail) -> Option<Look> {
        match detail {
            Detail::Table => self.tables.printed_at(device),
            _ => self.tables.glance_at(self.engine.as_ref(), device),
        }
    }

    /// What looks have found of mirrors.
    fn seen_of_all(
        &self,
        looks: impl Iterator<Item = (MirrorId, Look)>,
        detail: Detail,
        round: &Round<'_>,
    ) -> Vec<(MirrorId, Arc<Shared>)> {
        let depth = depth(detail);
        let mut all: Vec<(MirrorId, Option<Arc<Shared>>)> = Vec::new();
        let mut others = Vec::new();
        let sight = |device: &DeviceRef| round.sight(device);
        for (mirror_id, look) in looks {
            let known = self.known(mirror_id);
            let key = depth.map(|depth| (mirror_id, depth));
            let same = key.and_then(|key| self.last.same(key, round.then(), &look, &known));
            if same.is_none() {
                others.push((mirror_id, self.seen(look, known, detail, &sight)));
            }
            all.push((mirror_id, same));
        }
        if matches!(detail, Detail::Users | Detail::Whole) {
            self.look_beside(&mut others, round);
        }
        let mut others = others.into_iter().map(|(mirror_id, seen)| match depth {
            Some(depth) => self.last.enter((mirror_id, depth), round.then(), seen),
            None => Arc::new(Shared::new(seen)),
        });
        let seen = all.into_iter();
        let seen =
            seen.filter_map(|(mirror_id, same)| Some((mirror_id, same.or_else(|| others.next())?)));
        let seen: Vec<_> = seen.collect();
        if let Some(depth) = depth {
            let ids: Vec<MirrorId> = seen.iter().map(|(mirror_id, _)| *mirror_id).collect();
            self.last.keep(depth, &ids);
        }
        seen
    }

    fn round(&self) -> Round<'_> {
        self.sights
            .round(self.engine.as_ref(), self.devices.as_ref())
    }

    /// What is remembered of a mirror.
    fn known(&self, mirror_id: MirrorId) -> Known {
        Known {
            holds_writes: self.engine.carries_io(),
            ..self.registry.known(mirror_id)
        }
    }

    /// What a look has found of a mirror of which so much is known.
    fn seen(&self, look: Look, known: Known, detail: Detail, sight: Lookup<'_>) -> Snapshot {
        let Look {
            info,
            status,
            printed,
            life,
        } = look;
        let look_up = |device: &DeviceRef| match detail < Detail::Devices {
            true => Found::Unknown,
            false => sight(device),
        };
        let snapshot = Snapshot::new(info, status, printed, life, known, &look_up);
        match detail {
            Detail::Logs | Detail::Whole => self.with_bits(snapshot),
            _ => snapshot,
        }
    }

    /// See who else uses what these mirrors use, and whether their sources are slow.
    fn look_beside(&self, mirrors: &mut [(MirrorId, Snapshot)], round: &Round<'_>) {
        let beside = self.beside(mirrors.iter().map(|(_, snapshot)| snapshot), round);
        let beside = beside.unwrap_or_else(|error| {
            log::debug!("{error}: who else uses a leg is not known");
            Vec::new()
        });
        for ((_, snapshot), beside) in mirrors.iter_mut().zip(beside) {
            snapshot.beside = beside;
        }
        for (mirror_id, snapshot) in mirrors {
            let slow = self.slow(*mirror_id, snapshot);
            let source = snapshot.legs.iter_mut().find(|leg| leg.source);
            source.into_iter().for_each(|leg| leg.slow = slow);
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

    /// Check that nobody else holds its legs and logs.
    ///
    /// # Errors
    /// EBUSY names the first who does; what the list of devices answers.
    pub fn check_nobody_beside(&self, snapshot: &Snapshot) -> Result<()> {
        let beside = self.beside([snapshot].into_iter(), &self.round())?;
        match beside.first().and_then(|others| others.first()) {
            Some(other) => Err(Error::busy(format!(
                "{other}: its writes are not on the other legs; remove it first"
            ))),
            None => Ok(()),
        }
    }

    /// Who is beside each of these.
    fn beside<'a>(
        &self,
        snapshots: impl Iterator<Item = &'a Snapshot> + Clone,
        round: &Round<'_>,
    ) -> Result<Vec<Vec<String>>> {
        let mut used: Vec<&DeviceRef> = snapshots.clone().flat_map(devices).collect();
        let mut once = HashSet::new();
        used.retain(|device| once.insert(*device));
        let (uses, holders) = (
            self.tables.uses(self.engine.as_ref())?,
            round.holders(&used),
        );
        Ok(snapshots
            .map(|snapshot| beside(&uses, &holders, snapshot))
            .collect())
    }
}

//! Making mirrors: from a request to a running device, wholly or not at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::rooms::Rooms;
use crate::daemon::admission::admit::Admission;
use crate::daemon::admission::demand::{Care, Demand};
use crate::daemon::admission::log_carry::write_each;
use crate::daemon::admission::looks::Looks;
use crate::daemon::admission::own::Own;
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::managed_logs::new_uuid;
use crate::daemon::mirrors::lease::Reserved;
use crate::daemon::mirrors::query::Detail;
use crate::engine::Id;
use crate::engine::identity::Identity;
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::ownership::Ownership;
use crate::model::settings::Settings;
use crate::model::snapshot::SECTOR;
use crate::model::spots::sectors;
use crate::plan::execute::{Bookkeeper, execute};
use crate::plan::mapped::Mapped;
use crate::plan::pace::begin;
use crate::plan::simple_request::settings;
use crate::plan::step::Step;
use crate::plan::steps;
use crate::text::device::DeviceRef;
use crate::text::letter::Letter;
use crate::text::name;
use crate::text::request::Request;
use crate::text::simple_request::SimpleRequest;
use crate::text::table::Table;

/// Where device-mapper's devices have their names.
const MAPPER: &str = "/dev/mapper";

/// What a request asks for beside its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The line that the table comes from, where it was not written as one.
    pub short: Option<&'a SimpleRequest>,
    /// What of it is copied already, and the table of one target that all of it is.
    pub mapped: Option<(&'a Mapped, &'a Table)>,
    /// Whether what a target or log holds may be written over.
    pub force: bool,
}

/// Makes mirrors.
pub struct Maker {
    pub(super) below: Rooms,
}

impl Maker {
    /// That of a daemon.
    pub fn new(below: &Rooms) -> Maker {
        Maker {
            below: below.clone(),
        }
    }

    /// A device without a table, for `mkdir`; `looks` are owners and modes of its files
    /// that are not the usual ones.
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one.
    pub fn create_empty(&self, name: &str, looks: BTreeMap<String, Ownership>) -> Result<MirrorId> {
        let made = move || {
            name::check(name)?;
            let name = self.below.mirrors.reserve(name)?;
            let uuid = new_uuid()?;
            self.below.journal.keep_intent(
                &name.name,
                &uuid,
                &Table::default(),
                &Settings::default(),
            )?;
            let steps = steps::create_empty(&name.name, &uuid);
            let announcement = (Kind::Created, "without a table");
            let kept = |id: &Id| {
                let kept = self.below.journal.kept_for(id, &Settings::default())?;
                Ok(Settings {
                    ownership: looks,
                    ..kept
                })
            };
            let made = self.start(&name, &uuid, &steps, kept, announcement, Some(Vec::new()));
            if made.is_err() {
                self.below.journal.drop_record(&name.name, &uuid);
            }
            made
        };
        let result = made();
        self.below.bell.ring();
        self.below.events.report(name, result)
    }

    /// Make the mirror of a table.
    ///
    /// # Errors
    /// As those of [`Maker::create`].
    pub(crate) fn make(&self, request: &Request, wanted: &Wanted<'_>) -> Result<String> {
        let (short, force) = (wanted.short, wanted.force);
        let name = self.name_for(request)?;
        let uuid = request.uuid.clone().map_or_else(new_uuid, Ok)?;
        let mut wished = short.map(settings).unwrap_or_default();
        if let Some((mapped, _)) = wanted.mapped {
            (wished.ahead, wished.aside) = (mapped.ahead.clone(), mapped.last.clone());
            wished.aside_last = true;
        } else if short.is_some() && request.table.targets.len() > 1 {
            // Segments, which are to be one target again in the end.
            wished.apart = true;
        } else if let Some((_, ahead)) = begin(&request.table, wished.limit) {
            wished.ahead = ahead;
        }
        self.below
            .journal
            .keep_intent(&name.name, &uuid, &request.table, &wished)?;
        let demand = Demand {
            table: &request.table,
            looks: Looks::at(self.below.devices.as_ref()),
            own: Own::default(),
            read_only: request.read_only,
            care: short.map_or(Care::Logs, |_| Care::All),
            force,
        };
        let how = (request.minor, wanted.mapped);
        let made = self.make_kept(&demand, how, &wished, (&name, &uuid));
        if made.is_err() {
            self.below.journal.drop_record(&name.name, &uuid);
        }
        made.map(|()| name.name.clone())
    }

    fn make_kept(
        &self,
        demand: &Demand<'_>,
        (minor, mapped): (Option<u32>, Option<(&Mapped, &Table)>),
        wished: &Settings,
        (name, uuid): (&Reserved<'_>, &str),
    ) -> Result<()> {
        // All of it is let in; what is ahead comes later.
        mapped.map_or(Ok(()), |(_, whole)| {
            self.below.admission.check_whole(demand, whole)
        })?;
        let admitted = self.below.admission.admit(demand)?;
        let written = mapped.map_or(Ok(()), |(mapped, _)| {
            let devices = self.below.devices.as_ref();
            write_each(devices, &admitted.table.targets, |target| {
                mapped.bits(target)
            })
        });
        if let Err(error) = written {
            admitted.undo();
            return Err(error);
        }
        let begun = begin(&admitted.table, wished.limit).filter(|_| mapped.is_none());
        let whole = || (admitted.table.clone(), Vec::new());
        let (table, ahead) = begun.unwrap_or_else(whole);
        let all = || table.length().saturating_sub(sectors(&ahead));
        let first = mapped.map_or_else(all, |(mapped, _)| mapped.first);
        let text = table.joined();
        let steps = steps::create(&name.name, uuid, minor, table, demand.read_only);
        let kept = |id: &Id| self.below.journal.kept_for(id, wished);
        let files = Some(self.below.journal.identities_of(admitted.made()));
        let made = self.start(name, uuid, &steps, kept, (Kind::Created, &text), files);
        match &made {
            Ok(mirror_id) => {
                self.below.registry.update(*mirror_id, |entry| {
                    entry.front.allowance.note(wished.limit, 0, Instant::now());
                    entry.front.allowance.spend(first.saturating_mul(SECTOR));
                });
                self.tell_of_no_return(*mirror_id, &name.name, demand.table);
            }
            Err(_) => admitted.undo(),
        }
        made.map(drop)
    }

    /// Say that a mirror does not come back after a reboot, which one with a disk log does
    /// as a rule: nothing would tell its disks from others.
    fn tell_of_no_return(&self, mirror_id: MirrorId, name: &str, table: &Table) {
        let kept = self.below.registry.get(mirror_id).ok();
        let kept = kept.and_then(|entry| entry.settings);
        let logged = table.log_devices().next().is_some();
        if logged && kept.is_some_and(|kept| !kept.persist) {
            let why = self.below.journal.check_comes_back(table);
            if let Err(error) = why {
                let text = format!("persist no: {error}");
                self.below.events.add(name, Kind::Set, &text);
            }
        }
    }

    /// Run the steps that make a device, and enter it before the watch can
    /// take it for somebody else's. `kept` is what is recorded of it, `made` are the
    /// log files that were made for it, where that is known.
    pub(crate) fn start(
        &self,
        name: &Reserved<'_>,
        uuid: &str,
        steps: &[Step],
        kept: impl FnOnce(&Id) -> Result<Settings>,
        (kind, text): (Kind, &str),
        made: Option<Vec<Identity>>,
    ) -> Result<MirrorId> {
        let id = Id::Uuid(uuid.into());
        let loads = steps.iter().find_map(|step| match step {
            Step::Load { table, read_only } => Some((table, *read_only)),
            _ => None,
        });
        let books = Books {
            admission: &self.below.admission,
            id: &id,
            loads,
        };
        execute(self.below.engine.as_ref(), &id, steps, &books)?;
        let mirror_id = match self.below.engine.info(&id) {
            Ok(info) => self.below.registry.note(&info),
            Err(error) => return Err(self.unmade(&id, error)),
        };
        let entered = self.check_logs(mirror_id).and_then(|()| {
            let kept = kept(&id)?;
            self.below.registry.update(mirror_id, |entry| {
                (entry.settings, entry.made) = (Some(kept), made);
            });
            self.below.journal.keep(mirror_id)
        });
        if let Err(error) = entered {
            self.below.journal.keep_no_more(mirror_id);
            return Err(self.unmade(&id, error));
        }
        let announced = Some(name.name.clone());
        self.below
            .registry
            .update(mirror_id, |entry| entry.announced = announced);
        self.below.events.add(&name.name, kind, text);
        self.tell_of_no_node(mirror_id, &name.name);
        Ok(mirror_id)
    }

    /// Say that what everybody calls the device by is not there yet: udev makes it, and is
    /// not waited for for ever.
    fn tell_of_no_node(&self, mirror_id: MirrorId, name: &str) {
        let known = self
            .below
            .registry
            .address(mirror_id)
            .and_then(|(id, _)| self.below.engine.info(&id));
        let Some(info) = known
            .ok()
            .filter(|info| info.live && self.below.engine.carries_io())
        else {
            return;
        };
        let node = Path::new(MAPPER).join(name);
        let there = self.below.devices.facts(&DeviceRef::Path(node.clone()));
        if there.map(|facts| facts.device) != Ok(DeviceRef::Number(info.dev)) {
            let text = format!(
                "{} does not exist yet: udev has not answered",
                node.display()
            );
            self.below.events.add(name, Kind::Set, &text);
        }
    }

    /// Check that a device that was made works. The kernel makes a mirror whose log
    /// it cannot write, and then holds all writes to it.
    fn check_logs(&self, mirror_id: MirrorId) -> Result<()> {
        let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let broken = snapshot.logs.iter().find(|log| log.letter != Letter::Alive);
        broken.map_or(Ok(()), |log| {
            let (node, words) = (log.node(), log.letter.log_words());
            let sentence = format!("the log {node} does not work: {words}");
            Err(Error::new(Errno::EIO, sentence))
        })
    }

    /// Remove what was made and does not work; the watch forgets it.
    fn unmade(&self, id: &Id, cause: Error) -> Error {
        match self.below.engine.remove(id, false) {
            Ok(()) => cause,
            Err(error) => {
                let sentence = format!("{cause}; then removing it failed too: {error}");
                Error::new(cause.errno(), sentence)
            }
        }
    }

    fn name_for(&self, request: &Request) -> Result<Reserved<'_>> {
        match &request.name {
            Some(name) => {
                name::check(name)?;
                self.below.mirrors.reserve(name)
            }
            None => self.first_free(),
        }
    }

    fn first_free(&self) -> Result<Reserved<'_>> {
        let mut names =
            (0_u32..).map(|number| self.below.mirrors.reserve(&format!("mirror{number}")));
        let taken = |result: &Result<_>| {
            let error = result.as_ref().err();
            error.is_some_and(|error: &Error| error.errno() == Errno::EEXIST)
        };
        let free = names.find(|result| !taken(result));
        free.unwrap_or_else(|| Err(Error::busy("no name mirror0, mirror1, … is free")))
    }
}

/// What the steps of making need beside the engine.
struct Books<'a> {
    admission: &'a Admission,
    id: &'a Id,
    /// The table, and whether the device can only be read.
    loads: Option<(&'a Table, bool)>,
}

impl Bookkeeper for Books<'_> {
    fn check_held(&self) -> Result<()> {
        let (id, loads) = (self.id, self.loads);
        loads.map_or(Ok(()), |(table, read_only)| {
            self.admission.check_loaded(id, table, read_only)
        })
    }
}

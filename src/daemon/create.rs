//! Making mirrors: from a request to a running device, wholly or not at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Daemon;
use super::admit::{Care, Demand};
use super::caller::Caller;
use super::entry::Kept;
use super::events::Kind;
use super::look::Detail;
use super::looks::Looks;
use super::own::Own;
use super::running::{Reserved, taken};
use super::short::policy;
use crate::engine::Id;
use crate::engine::identity::Identity;
use crate::error::{Errno, Error, Result};
use crate::model::look::Look;
use crate::model::policy::OnFailure;
use crate::model::snapshot::UUID_PREFIX;
use crate::plan::build;
use crate::plan::execute::execute_noting;
use crate::plan::step::Step;
use crate::text::device::DeviceRef;
use crate::text::name;
use crate::text::request::Request;
use crate::text::short::Short;
use crate::text::status::log_words;
use crate::text::table::Table;
use crate::text::wish::Wish;

/// Where device-mapper's devices have their names.
const MAPPER: &str = "/dev/mapper";

/// The kernel's source of random UUIDs, random(4).
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

impl Daemon {
    /// Do what a line of `new` asks for, and answer the new mirror's name.
    ///
    /// # Errors
    /// Those of the interface; nothing of a refused request is left behind.
    pub fn create(self: &Arc<Self>, caller: &Caller, line: &str) -> Result<String> {
        let wish = Wish::parse(line);
        let name = wish.as_ref().ok().and_then(Wish::name).map(str::to_owned);
        let result = wish.and_then(|mut wish| {
            self.check_wish(caller, &mut wish)?;
            self.make_any(wish)
        });
        self.bell.ring();
        self.report(name.as_deref().unwrap_or("-"), result)
    }

    fn make_any(self: &Arc<Self>, wish: Wish) -> Result<String> {
        match wish {
            Wish::Table(request, force) => self.make(&request, None, force),
            Wish::Short(name, short) if short.live => self.slide_under(name.as_deref(), &short),
            Wish::Short(name, short) => self.make_short(name, &short),
        }
    }

    /// A device without a table, for `mkdir`; `looks` are owners and modes of its files
    /// that are not the usual ones.
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one.
    pub fn create_empty(&self, name: &str, looks: BTreeMap<String, Look>) -> Result<u64> {
        let made = move || {
            name::check(name)?;
            let name = self.reserve(name)?;
            let uuid = new_uuid()?;
            self.keep_intent(&name.name, &uuid, &Table::default())?;
            let steps = build::create_empty(&name.name, &uuid);
            let told = (Kind::Created, "without a table");
            let kept = |id: &Id| {
                let kept = self.kept_for(id, OnFailure::default())?;
                Ok(Kept { looks, ..kept })
            };
            let made = self.start(&name, &uuid, &steps, kept, told, Some(Vec::new()));
            if made.is_err() {
                self.drop_record(&name.name, &uuid);
            }
            made
        };
        let result = made();
        self.bell.ring();
        self.report(name, result)
    }

    /// Make the mirror of a table; `short` is the line that it comes from, where it
    /// was not written as a table.
    ///
    /// # Errors
    /// As those of [`Daemon::create`].
    pub(super) fn make(
        &self,
        request: &Request,
        short: Option<&Short>,
        force: bool,
    ) -> Result<String> {
        let name = self.name_for(request)?;
        let uuid = request.uuid.clone().map_or_else(new_uuid, Ok)?;
        self.keep_intent(&name.name, &uuid, &request.table)?;
        let demand = Demand {
            table: &request.table,
            looks: Looks::at(self.devices.as_ref()),
            own: Own::default(),
            read_only: request.read_only,
            care: short.map_or(Care::Logs, |_| Care::All),
            force,
        };
        let on_failure = short.map(policy).unwrap_or_default();
        let made = self.make_kept(&demand, request.minor, on_failure, (&name, &uuid));
        if made.is_err() {
            self.drop_record(&name.name, &uuid);
        }
        made.map(|()| name.name.clone())
    }

    fn make_kept(
        &self,
        demand: &Demand<'_>,
        minor: Option<u32>,
        on_failure: OnFailure,
        (name, uuid): (&Reserved<'_>, &str),
    ) -> Result<()> {
        let admitted = self.admit(demand)?;
        let table = admitted.table.clone();
        let text = table.joined();
        let steps = build::create(&name.name, uuid, minor, table, demand.read_only);
        let kept = |id: &Id| self.kept_for(id, on_failure);
        let files = Some(self.identities_of(admitted.made()));
        let made = self.start(name, uuid, &steps, kept, (Kind::Created, &text), files);
        if made.is_err() {
            admitted.undo();
        }
        made.map(drop)
    }

    /// Run the steps that make a device, and enter it before the watch can
    /// take it for somebody else's. `kept` is what is recorded of it, `made` are the
    /// log files that were made for it, where that is known.
    pub(super) fn start(
        &self,
        name: &Reserved<'_>,
        uuid: &str,
        steps: &[Step],
        kept: impl FnOnce(&Id) -> Result<Kept>,
        (kind, text): (Kind, &str),
        made: Option<Vec<Identity>>,
    ) -> Result<u64> {
        let id = Id::Uuid(uuid.into());
        let loads = steps.iter().find_map(|step| match step {
            Step::Load { table, read_only } => Some((table, *read_only)),
            _ => None,
        });
        let note = |step: &Step| match (step, loads) {
            (Step::CheckHeld, Some((table, read_only))) => self.check_loaded(&id, table, read_only),
            _ => Ok(()),
        };
        execute_noting(self.engine.as_ref(), &id, steps, &note)?;
        let serial = match self.engine.info(&id) {
            Ok(info) => self.registry.note(&info),
            Err(error) => return Err(self.unmade(&id, error)),
        };
        let entered = self.check_logs(serial).and_then(|()| {
            let kept = kept(&id)?;
            self.registry.update(serial, |entry| {
                (entry.kept, entry.made) = (Some(kept), made);
            });
            self.keep(serial)
        });
        if let Err(error) = entered {
            self.keep_no_more(serial);
            return Err(self.unmade(&id, error));
        }
        let told = Some(name.name.clone());
        self.registry.update(serial, |entry| entry.announced = told);
        self.events.add(&name.name, kind, text);
        self.tell_of_no_node(serial, &name.name);
        Ok(serial)
    }

    /// Say that what everybody calls the device by is not there yet: udev makes it, and is
    /// not waited for for ever.
    fn tell_of_no_node(&self, serial: u64, name: &str) {
        let known = self
            .registry
            .address(serial)
            .and_then(|(id, _)| self.engine.info(&id));
        let Some(info) = known.ok().filter(|info| info.live && !self.forgets()) else {
            return;
        };
        let node = Path::new(MAPPER).join(name);
        let there = self.devices.facts(&DeviceRef::Path(node.clone()));
        if there.map(|facts| facts.device) != Ok(DeviceRef::Number(info.dev)) {
            let text = format!("{} is not there yet: udev has not answered", node.display());
            self.events.add(name, Kind::Set, &text);
        }
    }

    /// Check that a device that was made works. The kernel makes a mirror whose log
    /// it cannot write, and then holds all writes to it.
    fn check_logs(&self, serial: u64) -> Result<()> {
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        let broken = snapshot.logs.iter().find(|log| log.letter != 'A');
        broken.map_or(Ok(()), |log| {
            let (node, words) = (log.node(), log_words(log.letter));
            let sentence = format!("the log {node} does not work: {words}");
            Err(Error::new(Errno::EIO, sentence))
        })
    }

    /// Remove what was made and does not work; the watch forgets it.
    fn unmade(&self, id: &Id, cause: Error) -> Error {
        match self.engine.remove(id, false) {
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
                self.reserve(name)
            }
            None => self.first_free(),
        }
    }

    /// Keep a name that neither a device nor a request has.
    pub(super) fn reserve(&self, name: &str) -> Result<Reserved<'_>> {
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

    fn first_free(&self) -> Result<Reserved<'_>> {
        let mut names = (0_u32..).map(|number| self.reserve(&format!("mirror{number}")));
        let taken = |result: &Result<_>| {
            let error = result.as_ref().err();
            error.is_some_and(|error: &Error| error.errno() == Errno::EEXIST)
        };
        let free = names.find(|result| !taken(result));
        free.unwrap_or_else(|| Err(Error::busy("no name mirror0, mirror1, … is free")))
    }

    /// Enter a failure among the events, where others find the reason too.
    ///
    /// # Errors
    /// The result's own.
    pub fn report<T>(&self, name: &str, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let text = format!("{:?}: {error}", error.errno());
            self.events.add(name, Kind::Error, &text);
        }
        result
    }
}

pub(super) fn new_uuid() -> Result<String> {
    let uuid = std::fs::read_to_string(RANDOM_UUID);
    let uuid = uuid.map_err(|error| Error::io(RANDOM_UUID, &error))?;
    Ok(format!("{UUID_PREFIX}{}", uuid.trim()))
}

//! Changing mirrors that exist: verbs, tables, names, settings.

use std::sync::Arc;

use super::legs::Legs;
use super::restore::Restorer;
use super::rooms::Rooms;
use crate::daemon::admission::log_file::remove_file;
use crate::daemon::admission::permission::Caller;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::entry::Absent;
use crate::daemon::mirrors::not_started;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Stage, Unfinished};
use crate::error::Result;
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::plan::execute::{EngineOnly, execute};
use crate::plan::step::Step;
use crate::plan::verb::{self, Command};
use crate::text::name;
use crate::text::words::trim;

/// Does verbs, and changes names.
pub struct Verbs {
    below: Rooms,
    legs: Legs,
    restorer: Arc<Restorer>,
}

impl Verbs {
    /// Those of a daemon; `restorer` starts what is only recorded.
    pub fn new(below: &Rooms, restorer: &Arc<Restorer>) -> Verbs {
        Verbs {
            below: below.clone(),
            legs: Legs::new(below),
            restorer: Arc::clone(restorer),
        }
    }

    /// Do what a line of `ctl` asks for.
    ///
    /// # Errors
    /// EINVAL for what is no verb, EBUSY while another runs or the device is in
    /// use, EPERM where LVM owns it, EACCES for a device that is not the caller's,
    /// and what device-mapper answers.
    pub fn verb(&self, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let result = verb::parse(line).and_then(|mut command| {
            caller.settle(command.brings())?;
            let new = command.brings().map(|place| &mut place.device);
            self.below.admission.check_named(caller, new.into_iter())?;
            self.command(caller, serial, command, trim(line))
        });
        self.below.ended(serial, result)
    }

    /// Give a mirror another name.
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one, EPERM where LVM owns it.
    pub fn rename(&self, serial: u64, to: &str) -> Result<()> {
        let result = self.move_to(serial, to);
        self.below.ended(serial, result)
    }

    fn command(&self, caller: &Caller, serial: u64, command: Command, line: &str) -> Result<()> {
        let _begun = self.below.registry.begin(serial, line)?;
        if let Some(absent) = self.below.registry.absent(serial) {
            return self.command_absent(serial, &absent, command);
        }
        self.below
            .switcher
            .planned(|| self.command_now(caller, serial, &command))
    }

    fn command_now(&self, caller: &Caller, serial: u64, command: &Command) -> Result<()> {
        let snapshot = self.below.mirrors.snapshot(serial, Detail::Devices)?;
        build::check_owner(&snapshot)?;
        let name = &snapshot.info.name;
        match command {
            Command::Suspend(how) => {
                self.below
                    .switcher
                    .act(serial, &snapshot, &build::suspend(&snapshot, *how))?;
                self.below.events.add(name, Kind::Suspended, "I/O is held");
                self.below.journal.keep_suspended(name, serial);
            }
            Command::Resume => {
                self.below
                    .switcher
                    .act(serial, &snapshot, &[Step::Resume])?;
                self.below.events.add(name, Kind::Resumed, "I/O goes on");
                self.below.journal.keep_suspended(name, serial);
            }
            Command::Retry => self.below.switcher.retry(serial, &snapshot)?,
            Command::Remove { deferred } => self.remove(serial, &snapshot, *deferred)?,
            _ => self.legs.change(caller, serial, &snapshot, command)?,
        }
        Ok(())
    }

    fn remove(&self, serial: u64, snapshot: &Snapshot, deferred: bool) -> Result<()> {
        let name = &snapshot.info.name;
        // Whose they are can only be told while the mirror is there.
        let files = self.below.journal.own_logs(serial, snapshot);
        let begun = Unfinished::of(Stage::Removing, files.clone());
        if let Err(error) = self.below.journal.keep_begun(serial, begun) {
            // A full disk must not keep anybody from removing a mirror.
            log::warn!("{error}");
        }
        self.below.admission.earlier.remember(snapshot);
        self.below
            .switcher
            .act(serial, snapshot, &[Step::Remove { deferred }])
            .inspect_err(|_| self.below.journal.keep_changed(name, serial))?;
        self.below.journal.keep_no_more(serial);
        let later = deferred && snapshot.info.open_count > 0;
        if !later {
            self.below.registry.forget(serial);
        }
        let text = match later {
            true => "at its last close",
            false => "by request",
        };
        self.below.events.add(name, Kind::Removed, text);
        if !later {
            self.below.mirrors.let_go_since(snapshot);
        }
        // The record goes last: it tells the next mount of what is left.
        files.iter().for_each(remove_file);
        self.below.journal.managed.tidy();
        self.below.journal.drop_record(name, &snapshot.info.uuid);
        Ok(())
    }

    fn move_to(&self, serial: u64, to: &str) -> Result<()> {
        name::check(to)?;
        let _begun = self.below.registry.begin(serial, "rename")?;
        self.below.check_started(serial)?;
        let snapshot = self.below.mirrors.snapshot(serial, Detail::Kernel)?;
        build::check_owner(&snapshot)?;
        let _reserved = self.below.mirrors.reserve(to)?;
        let steps = build::rename(to);
        let engine = self.below.engine.as_ref();
        execute(engine, &snapshot.info.id(), &steps, &EngineOnly)?;
        let mut info = snapshot.info.clone();
        info.name = to.into();
        self.below.registry.renamed(serial, &info);
        self.below.events.renamed(&snapshot.info.name, to, "");
        self.below.journal.keep_changed(to, serial);
        Ok(())
    }

    /// Do a verb on a mirror that is not there.
    ///
    /// # Errors
    /// Why it still cannot be made; EBUSY for what only a running mirror can do.
    pub fn command_absent(&self, serial: u64, absent: &Absent, command: Command) -> Result<()> {
        let record = &absent.record;
        match command {
            Command::Resume => match self.restorer.remake(record) {
                Ok(()) => {
                    self.below.registry.forget(serial);
                    Ok(())
                }
                Err(error) => {
                    let reason = error.sentence().to_string();
                    self.below.registry.update(serial, |entry| {
                        if let Some(absent) = &mut entry.absent {
                            absent.reason = reason;
                        }
                    });
                    Err(error)
                }
            },
            Command::Remove { .. } => {
                self.below.journal.forget_record(record)?;
                self.below.registry.forget(serial);
                let text = "by request; it was not started";
                self.below.events.add(&record.name, Kind::Removed, text);
                Ok(())
            }
            _ => Err(not_started(absent)),
        }
    }
}

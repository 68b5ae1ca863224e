//! Changing mirrors that exist: verbs, tables, names, settings.

use std::sync::Arc;

use super::legs::Legs;
use super::remake::{Manner, Remaker};
use super::rooms::Rooms;
use super::starting::Starter;
use crate::daemon::admission::permission::Caller;
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::keep::Journal;
use crate::daemon::mirrors::away::Absent;
use crate::daemon::mirrors::not_started;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::records::record::{Record, Stage, Unfinished};
use crate::error::{Error, Result};
use crate::model::check::Right;
use crate::model::id::MirrorId;
use crate::model::snapshot::Snapshot;
use crate::plan::execute::{EngineOnly, execute};
use crate::plan::leg_name::LegName;
use crate::plan::step::Step;
use crate::plan::steps;
use crate::plan::verb::{self, Command};
use crate::text::name;
use crate::text::words::trim;

/// Does verbs, and changes names.
pub struct Verbs {
    below: Rooms,
    legs: Legs,
    remaker: Arc<Remaker>,
    starter: Arc<Starter>,
}

impl Verbs {
    /// Those of a daemon; `remaker` makes what is only recorded, and `starter` listens for
    /// what that lacks.
    pub fn new(below: &Rooms, remaker: &Arc<Remaker>, starter: &Arc<Starter>) -> Verbs {
        Verbs {
            below: below.clone(),
            legs: Legs::new(below),
            remaker: Arc::clone(remaker),
            starter: Arc::clone(starter),
        }
    }

    /// Do what a line of `ctl` asks for.
    ///
    /// # Errors
    /// EINVAL for what is no verb, EBUSY while another runs or the device is in
    /// use, EPERM where LVM owns it, EACCES for a device that is not the caller's,
    /// and what device-mapper answers.
    pub fn verb(&self, caller: &Caller, mirror_id: MirrorId, line: &str) -> Result<()> {
        let result = verb::parse(line).and_then(|mut command| {
            caller.settle(command.brings())?;
            caller.follow_links(command.leg());
            let new = command.brings().map(|place| &mut place.device);
            self.below.admission.check_named(caller, new.into_iter())?;
            self.command(caller, mirror_id, command, trim(line))
        });
        self.below.ended(mirror_id, result)
    }

    /// Give a mirror another name.
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one, EPERM where LVM owns it.
    pub fn rename(&self, mirror_id: MirrorId, to: &str) -> Result<()> {
        let result = self.move_to(mirror_id, to);
        self.below.ended(mirror_id, result)
    }

    fn command(
        &self,
        caller: &Caller,
        mirror_id: MirrorId,
        command: Command,
        line: &str,
    ) -> Result<()> {
        let _begun = self.below.registry.begin(mirror_id, line)?;
        if let Some(absent) = self.below.registry.absent(mirror_id) {
            return self.command_absent(mirror_id, &absent, command);
        }
        self.below
            .switcher
            .planned(|| self.command_now(caller, mirror_id, &command))
    }

    fn command_now(&self, caller: &Caller, mirror_id: MirrorId, command: &Command) -> Result<()> {
        let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Devices)?;
        steps::check_owner(&snapshot)?;
        let command = &command.numbered(&snapshot)?;
        let name = &snapshot.info.name;
        match command {
            Command::Suspend(how) => {
                self.below
                    .switcher
                    .act(mirror_id, &snapshot, &steps::suspend(&snapshot, *how))?;
                self.below.events.add(name, Kind::Suspended, "I/O is held");
                self.below.journal.keep_suspended(mirror_id);
            }
            Command::Resume => {
                self.below
                    .switcher
                    .act(mirror_id, &snapshot, &[Step::Resume])?;
                self.below.events.add(name, Kind::Resumed, "I/O goes on");
                self.below.journal.keep_suspended(mirror_id);
            }
            Command::Retry => self.below.switcher.retry(mirror_id, &snapshot)?,
            Command::Check => self.below.checks.begin(mirror_id, &snapshot)?,
            Command::StopCheck => self.below.checks.stop(mirror_id, &snapshot)?,
            Command::Repair { from } => {
                let right = from
                    .as_ref()
                    .map_or(Right::Source, |leg| Right::Leg(leg.number()));
                self.below.checks.repair(mirror_id, &snapshot, right)?;
            }
            Command::Remove { deferred } => self.remove(mirror_id, &snapshot, *deferred)?,
            _ => self.legs.change(caller, mirror_id, &snapshot, command)?,
        }
        if *command == Command::Resync {
            self.below.checks.forget(mirror_id);
        }
        Ok(())
    }

    fn remove(&self, mirror_id: MirrorId, snapshot: &Snapshot, deferred: bool) -> Result<()> {
        let name = &snapshot.info.name;
        // Whose they are can only be told while the mirror is there.
        let files = self.below.journal.own_logs(mirror_id, snapshot);
        let begun = Unfinished::of(Stage::Removing, files.clone());
        if let Err(error) = self.below.journal.keep_begun(mirror_id, begun) {
            // A full disk must not keep anybody from removing a mirror.
            log::warn!("{error}");
        }
        self.below.admission.earlier.remember(snapshot);
        self.below
            .switcher
            .act(mirror_id, snapshot, &[Step::Remove { deferred }])
            .inspect_err(|_| self.below.journal.keep_changed(mirror_id))?;
        let turn = self.below.registry.get(mirror_id).map(|entry| entry.turn);
        let no_more = move |journal: &Arc<Journal>| journal.keep_no_more(mirror_id);
        let _ = self.below.journal.within(no_more);
        let later = deferred && snapshot.info.open_count > 0;
        if !later {
            self.below.registry.forget(mirror_id);
        }
        let text = if later {
            "at its last close"
        } else {
            "by request"
        };
        self.below.events.add(name, Kind::Removed, text);
        if !later {
            self.below.journal.release.since(snapshot);
        }
        let turn = turn.unwrap_or_default();
        self.below.journal.forget_removed(snapshot, turn, files);
        Ok(())
    }

    fn move_to(&self, mirror_id: MirrorId, to: &str) -> Result<()> {
        name::check(to)?;
        let _begun = self.below.registry.begin(mirror_id, "rename")?;
        self.below.check_started(mirror_id)?;
        let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        steps::check_owner(&snapshot)?;
        let _reserved = self.below.mirrors.reserve(to)?;
        let steps = steps::rename(to);
        let engine = self.below.engine.as_ref();
        execute(engine, &snapshot.info.id(), &steps, &EngineOnly)?;
        let mut info = snapshot.info.clone();
        info.name = to.into();
        self.below.registry.renamed(mirror_id, &info);
        self.below.events.renamed(&snapshot.info.name, to, "");
        self.below.journal.keep_changed(mirror_id);
        Ok(())
    }

    /// Do a verb on a mirror that is not there.
    ///
    /// # Errors
    /// Why it still cannot be made; EBUSY for what only a running mirror can do.
    pub fn command_absent(
        &self,
        mirror_id: MirrorId,
        absent: &Absent,
        command: Command,
    ) -> Result<()> {
        let record = &absent.record;
        let manner = match command {
            Command::Resume => Manner::AsLogged,
            Command::Resync => Manner::Resync,
            Command::Finish {
                leg,
                lossy,
                checked: false,
            } => {
                let leg = named(leg.as_ref(), record)?;
                Manner::Alone { leg, lossy }
            }
            Command::Remove { .. } => return self.forget(mirror_id, record),
            _ => return Err(not_started(absent)),
        };
        let started = self.remaker.start(mirror_id, absent, manner);
        // Of what was only asked for nothing follows.
        if let (Err(error), Manner::AsLogged) = (&started, manner) {
            let absent = Absent::after(record.clone(), error);
            self.below.registry.set_absent(mirror_id, absent);
            self.starter.listen();
        }
        started
    }

    fn forget(&self, mirror_id: MirrorId, record: &Record) -> Result<()> {
        self.below.journal.forget_record(record)?;
        self.below.registry.forget(mirror_id);
        let text = "by request; it was not started";
        self.below.events.add(&record.name, Kind::Removed, text);
        Ok(())
    }
}

/// The leg that `finish` names of a mirror that is not there.
fn named(leg: Option<&LegName>, record: &Record) -> Result<usize> {
    match leg {
        Some(LegName::Number(number)) => Ok(*number),
        _ => Err(Error::invalid(format!(
            "say by its number which leg {} is to go on with: `finish 0` or `finish 1`",
            record.name
        ))),
    }
}

//! Changing mirrors that exist: verbs, tables, names, settings.

use std::path::PathBuf;
use std::sync::Arc;

use super::Daemon;
use super::absent::not_started;
use super::caller::Caller;
use super::events::Kind;
use super::look::Detail;
use super::record::{Stage, Unfinished};
use crate::engine::Facts;
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::{Owner, Snapshot};
use crate::plan::build;
use crate::plan::execute::execute;
use crate::plan::step::Step;
use crate::plan::verb::{self, Command};
use crate::text::device::DeviceRef;
use crate::text::name;
use crate::text::request::parse_tables;

impl Daemon {
    /// Do what a line of `ctl` asks for.
    ///
    /// # Errors
    /// EINVAL for what is no verb, EBUSY while another runs or the device is in
    /// use, EPERM where LVM owns it, EACCES for a device that is not the caller's,
    /// and what device-mapper answers.
    pub fn verb(self: &Arc<Self>, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let result = verb::parse(line).and_then(|mut command| {
            let new = command.brings().map(|place| &mut place.device);
            self.check_caller(caller, new.into_iter(), || Ok(Vec::new()))?;
            self.command(serial, command, line.trim())
        });
        self.ended(serial, result)
    }

    /// Load the table of a line and switch to it.
    ///
    /// # Errors
    /// As those of `new`; the old table then goes on.
    pub fn reload(&self, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let result = self.switch(caller, serial, line);
        self.ended(serial, result)
    }

    /// Give a mirror another name.
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one, EPERM where LVM owns it.
    pub fn rename(&self, serial: u64, to: &str) -> Result<()> {
        let result = self.move_to(serial, to);
        self.ended(serial, result)
    }

    /// Set the share of time that copying may take.
    ///
    /// # Errors
    /// EINVAL for what is no number from 1 to 100.
    pub fn throttle(&self, line: &str) -> Result<()> {
        let word = line.trim();
        let percent = word.strip_suffix('%').unwrap_or(word).parse::<u32>();
        let result = percent
            .map_err(|_| Error::invalid("throttle takes one number from 1 to 100, percent of time"))
            .and_then(|percent| self.engine.set_throttle(percent));
        if result.is_ok() {
            self.events
                .add("-", Kind::Set, &format!("throttle {}", line.trim()));
        }
        self.report("-", result)
    }

    /// The watch looks once the verb no longer runs.
    fn ended(&self, serial: u64, result: Result<()>) -> Result<()> {
        self.bell.ring();
        self.report(&self.name_of(serial), result)
    }

    pub(super) fn name_of(&self, serial: u64) -> String {
        self.registry
            .get(serial)
            .map_or_else(|_| "-".into(), |entry| entry.name)
    }

    fn command(self: &Arc<Self>, serial: u64, command: Command, line: &str) -> Result<()> {
        let _begun = self.registry.begin(serial, line)?;
        if let Some(absent) = self.registry.absent(serial) {
            return self.command_absent(serial, &absent, command);
        }
        self.planned(|| self.command_now(serial, &command))
    }

    fn command_now(self: &Arc<Self>, serial: u64, command: &Command) -> Result<()> {
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        build::check_owner(&snapshot)?;
        let name = &snapshot.info.name;
        match command {
            Command::Suspend(how) => {
                self.act(serial, &snapshot, &build::suspend(&snapshot, *how))?;
                self.events.add(name, Kind::Suspended, "I/O is held");
                self.keep_suspended(name, serial);
            }
            Command::Resume => {
                self.act(serial, &snapshot, &[Step::Resume])?;
                self.events.add(name, Kind::Resumed, "I/O goes on");
                self.keep_suspended(name, serial);
            }
            Command::Retry => self.retry(serial, &snapshot)?,
            Command::Remove { deferred } => self.remove(serial, &snapshot, *deferred)?,
            _ => self.change_legs(serial, &snapshot, command)?,
        }
        Ok(())
    }

    /// EBUSY for a mirror that is only recorded.
    fn check_started(&self, serial: u64) -> Result<()> {
        let absent = self.registry.absent(serial);
        absent.map_or(Ok(()), |absent| Err(not_started(&absent)))
    }

    fn remove(&self, serial: u64, snapshot: &Snapshot, deferred: bool) -> Result<()> {
        let name = &snapshot.info.name;
        // Whose they are can only be told while the mirror is there.
        let files = self.own_logs(snapshot);
        let begun = Unfinished::of(Stage::Removing, files.clone());
        if let Err(error) = self.keep_begun(serial, begun) {
            // A full disk must not keep anybody from removing a mirror.
            log::warn!("{error}");
        }
        self.remember(snapshot);
        self.act(serial, snapshot, &[Step::Remove { deferred }])
            .inspect_err(|_| self.keep_changed(name, serial))?;
        self.keep_no_more(serial);
        let later = deferred && snapshot.info.open_count > 0;
        if !later {
            self.registry.forget(serial);
        }
        let text = match later {
            true => "at its last close",
            false => "by request",
        };
        self.events.add(name, Kind::Removed, text);
        // The record goes last: it tells the next mount of what is left.
        files.iter().for_each(remove_file);
        self.own_logs.tidy();
        self.drop_record(name, &snapshot.info.uuid);
        Ok(())
    }

    fn switch(&self, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let mut table = parse_tables(line)?;
        let _begun = self.registry.begin(serial, "table")?;
        self.check_started(serial)?;
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        build::check_owner(&snapshot)?;
        let own = || self.engine.deps(&snapshot.info.id());
        self.check_caller(caller, table.devices(), own)?;
        let logs = self.own_logs(&snapshot);
        let files = [self.files_to_make(&table)?, logs.clone()].concat();
        let begun = Unfinished::of(Stage::Reloading, files);
        self.keep_begun(serial, begun.clone())?;
        let admitted = self.admit_successor(&snapshot, &table);
        let switched = admitted.and_then(|admitted| {
            let steps = build::reload(&snapshot, admitted.table.clone());
            let done = self.act(serial, &snapshot, &steps);
            if done.is_err() {
                admitted.undo();
            }
            done
        });
        if let Err(error) = switched {
            self.keep_changed(&snapshot.info.name, serial);
            return Err(error);
        }
        self.registry.update(serial, |entry| {
            entry.event_nr = None;
            entry.pace.clear();
            // Whoever writes a table says which legs are good.
            if let Some(kept) = &mut entry.kept {
                kept.dropped.clear();
                kept.forged = false;
            }
        });
        let name = &snapshot.info.name;
        self.events.add(name, Kind::Reloaded, line.trim());
        self.keep_new_table(name, serial, logs, begun);
        Ok(())
    }

    /// The regular files that mirrorfs attached as logs: they go with the mirror.
    /// A loop device that somebody else set up is theirs, and its file too; and
    /// where the file was replaced, the path is another's.
    pub(super) fn own_logs(&self, snapshot: &Snapshot) -> Vec<PathBuf> {
        let ours = snapshot.owner() == Owner::Mirrorfs || snapshot.known.adopted;
        let facts = snapshot.logs.iter().filter_map(|log| log.facts.as_ref());
        let own = |facts: &&Facts| {
            let file = facts.file.as_ref();
            ours || file.is_some_and(|file| self.own_logs.has(file))
        };
        let looped = facts.filter(|facts| facts.autoclear).filter(own);
        let file = |facts: &Facts| {
            let path = facts.file.clone()?;
            let there = self.devices.facts(&DeviceRef::Path(path.clone()));
            let same = there.is_ok_and(|there| there.extent.base == facts.extent.base);
            same.then_some(path)
        };
        looped.filter_map(file).collect()
    }

    /// Remove the log files that only the table before used.
    pub(super) fn drop_logs(&self, serial: u64, before: Vec<PathBuf>) {
        // What is not known to be unused stays.
        let Ok(now) = self.snapshot(serial, Detail::Devices) else {
            return;
        };
        let kept = self.own_logs(&now);
        let old = before.into_iter();
        old.filter(|path| !kept.contains(path))
            .for_each(|path| remove_file(&path));
        self.own_logs.tidy();
    }

    fn move_to(&self, serial: u64, to: &str) -> Result<()> {
        name::check(to)?;
        let _begun = self.registry.begin(serial, "rename")?;
        self.check_started(serial)?;
        let snapshot = self.snapshot(serial, Detail::Kernel)?;
        build::check_owner(&snapshot)?;
        let _reserved = self.reserve(to)?;
        execute(
            self.engine.as_ref(),
            &snapshot.info.id(),
            &build::rename(to),
        )?;
        let mut info = snapshot.info.clone();
        info.name = to.into();
        self.registry.renamed(serial, &info);
        self.events.renamed(&snapshot.info.name, to, "");
        self.keep_changed(to, serial);
        Ok(())
    }
}

pub(super) fn remove_file(path: &PathBuf) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {}
        Err(error) => log::warn!("the log file {} stays: {error}", path.display()),
    }
}

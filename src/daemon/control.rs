//! Changing mirrors that exist: verbs, tables, names, settings.

use std::sync::Arc;

use super::Daemon;
use super::absent::not_started;
use super::admit::Care;
use super::caller::{Caller, check_kinds};
use super::entry::Edit;
use super::events::Kind;
use super::look::Detail;
use super::made::remove_file;
use super::own::Own;
use super::record::{Stage, Unfinished};
use super::successor::Successor;
use super::switch::Switching;
use crate::engine::Slot;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::plan::afresh::misleads;
use crate::plan::build;
use crate::plan::execute::execute;
use crate::plan::step::Step;
use crate::plan::verb::{self, Command};
use crate::text::name;
use crate::text::request::{parse_tables, take_force};
use crate::text::words::trim;

impl Daemon {
    /// Do what a line of `ctl` asks for.
    ///
    /// # Errors
    /// EINVAL for what is no verb, EBUSY while another runs or the device is in
    /// use, EPERM where LVM owns it, EACCES for a device that is not the caller's,
    /// and what device-mapper answers.
    pub fn verb(self: &Arc<Self>, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let result = verb::parse(line).and_then(|mut command| {
            caller.settle(command.brings())?;
            let new = command.brings().map(|place| &mut place.device);
            self.check_named(caller, new.into_iter())?;
            self.command(caller, serial, command, trim(line))
        });
        self.ended(serial, result)
    }

    /// Load the table of a line and switch to it.
    ///
    /// # Errors
    /// As those of `new`; the old table then goes on.
    pub fn reload(self: &Arc<Self>, caller: &Caller, serial: u64, line: &str) -> Result<()> {
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
        let word = trim(line);
        let percent = word.strip_suffix('%').unwrap_or(word).parse::<u32>();
        let result = percent
            .map_err(|_| Error::invalid("throttle takes one number from 1 to 100, percent of time"))
            .and_then(|percent| self.engine.set_throttle(percent));
        if result.is_ok() {
            self.events
                .add("-", Kind::Set, &format!("throttle {}", trim(line)));
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

    fn command(
        self: &Arc<Self>,
        caller: &Caller,
        serial: u64,
        command: Command,
        line: &str,
    ) -> Result<()> {
        let _begun = self.registry.begin(serial, line)?;
        if let Some(absent) = self.registry.absent(serial) {
            return self.command_absent(serial, &absent, command);
        }
        self.planned(|| self.command_now(caller, serial, &command))
    }

    fn command_now(
        self: &Arc<Self>,
        caller: &Caller,
        serial: u64,
        command: &Command,
    ) -> Result<()> {
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
            _ => self.change_legs(caller, serial, &snapshot, command)?,
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
        let files = self.own_logs(serial, snapshot);
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
        if !later {
            self.let_go_since(snapshot);
        }
        // The record goes last: it tells the next mount of what is left.
        files.iter().for_each(remove_file);
        self.own_logs.tidy();
        self.drop_record(name, &snapshot.info.uuid);
        Ok(())
    }

    fn switch(self: &Arc<Self>, caller: &Caller, serial: u64, line: &str) -> Result<()> {
        let (text, force) = take_force(line);
        let mut table = parse_tables(text)?;
        let forced = if force { " force=yes" } else { "" };
        let told = table.joined() + forced;
        let _begun = self.registry.begin(serial, "table")?;
        self.check_started(serial)?;
        let snapshot = self.snapshot(serial, Detail::Devices)?;
        build::check_owner(&snapshot)?;
        let held = self.engine.deps(&snapshot.info.id(), Slot::Live)?;
        let own = Own::of(self.devices.as_ref(), &snapshot.table, held);
        check_kinds(caller, &table)?;
        self.check_table(caller, &mut table, &own)?;
        let logs = self.own_logs(serial, &snapshot);
        let files = [self.files_to_make(&table)?, logs.clone()].concat();
        let mut begun = Unfinished::of(Stage::Reloading, files);
        self.keep_begun(serial, begun.clone())?;
        let admitted = self.admit_successor(
            &snapshot,
            &Successor {
                table: &table,
                care: Care::Logs,
                force,
                grows: false,
            },
        );
        let switched = admitted.and_then(|admitted| {
            begun.afresh = misleads(&snapshot.table, &admitted.table);
            let switch = Switching {
                snapshot: &snapshot,
                steps: build::reload(&snapshot, admitted.table.clone(), begun.afresh),
                // Whoever writes a table says which legs are good.
                edit: Edit {
                    dropped: Some(Vec::new()),
                    forged: Some(false),
                    ..Edit::default()
                },
                begun: begun.clone(),
                equal: false,
            };
            let done = self.switch_to(serial, &switch);
            match done.is_ok() {
                true => self.note_made(serial, admitted.made()),
                false => admitted.undo(),
            }
            done
        });
        if let Err(error) = switched {
            self.keep_changed(&snapshot.info.name, serial);
            return Err(error);
        }
        let name = &snapshot.info.name;
        self.events.add(name, Kind::Reloaded, &told);
        self.keep_new_table(name, serial, logs, begun);
        self.let_go_since(&snapshot);
        Ok(())
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

//! Making one mirror again from its record: on the devices that it had, wherever they are
//! now, and only where nothing contradicts its log.

use std::sync::Arc;

use super::make::Maker;
use super::rooms::Rooms;
use crate::daemon::admission::admit::Admitted;
use crate::daemon::admission::contradiction;
use crate::daemon::admission::demand::{Care, Demand};
use crate::daemon::admission::log_file::remove_file;
use crate::daemon::admission::log_trust;
use crate::daemon::admission::looks::Looks;
use crate::daemon::admission::own::Own;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::away::Absent;
use crate::daemon::mirrors::lease::Reserved;
use crate::daemon::records::record::{Record, Stage};
use crate::engine::identity::Identity;
use crate::engine::{Brought, Id, Suspend};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::plan::legs::alone_in;
use crate::plan::step::Step;
use crate::plan::steps;
use crate::text::table::{Mapping, Table};

/// How a mirror is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it was: its log says what is left to copy.
    AsLogged,
    /// Everything is copied again from leg 0, whatever is on the others.
    Resync,
    /// One leg alone, as after `finish`.
    Alone {
        /// Its number in each mirror target.
        leg: usize,
        /// Also where the log does not call everything copied.
        lossy: bool,
    },
}

/// Makes mirrors again.
pub struct Remaker {
    below: Rooms,
    maker: Arc<Maker>,
}

impl Remaker {
    /// One that makes with `maker`.
    pub fn new(maker: &Arc<Maker>) -> Remaker {
        Remaker {
            below: maker.below.clone(),
            maker: Arc::clone(maker),
        }
    }

    /// Start a mirror that is not there; where that fails it is as it was.
    ///
    /// # Errors
    /// Why it cannot be made: ENODEV where a device is missing, ENOTEMPTY where a leg
    /// contradicts the log; it is not the same, or somebody uses it, or its log is not
    /// its own.
    pub(crate) fn start(&self, mirror_id: MirrorId, absent: &Absent, manner: Manner) -> Result<()> {
        let made = self.remake(&absent.record, manner);
        let registry = &self.below.registry;
        match &made {
            Ok(()) => {
                // Nobody else has made it.
                registry.take_returned(mirror_id);
                if manner == Manner::Resync {
                    self.below.checks.forget(mirror_id);
                }
                self.below.checks.go_on(mirror_id, true);
            }
            // Its device may have been there for a moment.
            Err(_) => registry.set_absent(mirror_id, absent.clone()),
        }
        made
    }

    /// Make a mirror again from its record: its devices where they are now, and no
    /// sync word, so that the log decides what is left to copy.
    fn remake(&self, record: &Record, manner: Manner) -> Result<()> {
        let name = self.below.registry.reserve(&record.name)?;
        self.check_own(record)?;
        if record.table.is_empty() {
            let steps = steps::create_empty(&record.name, &record.uuid);
            return self.restart(record, &name, &steps, manner).map(drop);
        }
        let wanted = self.table_for(record, manner)?;
        let (table, brought) = self.located(record, wanted)?;
        // A word that calls the legs equal is not believed by who copies them again.
        let core = !self.below.engine.carries_io() && manner != Manner::Resync;
        let table = steps::without_sync_words(table, core);
        let afresh = is_afresh(record) || manner == Manner::Resync;
        if manner == Manner::AsLogged {
            contradiction::check(self.below.devices.as_ref(), &table, !afresh)?;
        }
        if !matches!(manner, Manner::Alone { .. }) {
            self.below.journal.tidy(record, &table);
        }
        // Whatever was let in once is let in again.
        let admitted = self.below.admission.admit(&Demand {
            table: &table,
            looks: Looks::at(self.below.devices.as_ref()),
            // A switch that a crash has cut short may not have come to the log.
            own: Own::of_nothing(is_half_switched(record)),
            read_only: record.read_only,
            care: Care::Restored,
            force: false,
        })?;
        let made = self.remake_table(record, &name, &admitted, manner, afresh);
        // What was brought is held by the mirror from now on, or by nobody.
        drop(brought);
        if made.is_err() {
            admitted.undo();
        }
        made
    }

    fn check_own(&self, record: &Record) -> Result<()> {
        let kind = self.below.engine.kind();
        if let Some(other) = record.engine.filter(|other| *other != kind) {
            return Err(Error::invalid(format!(
                "it is a mirror of the {other} engine: mount with `--engine {other}`"
            )));
        }
        let named = Id::Name(record.name.clone());
        if self.below.engine.info(&named).is_ok() {
            let sentence = format!("another device is called {} now", record.name);
            return Err(Error::new(Errno::EEXIST, sentence));
        }
        Ok(())
    }

    /// The table that it is to get, with the names of when it was recorded.
    fn table_for(&self, record: &Record, manner: Manner) -> Result<Table> {
        let table = record.table()?;
        let Manner::Alone { leg, lossy } = manner else {
            return Ok(table);
        };
        let alone = alone_in(&table, leg);
        let alone =
            alone.ok_or_else(|| Error::invalid(format!("{} has no leg {leg}", record.name)))?;
        if leg != 0 && !lossy {
            self.check_whole(record, table, leg)?;
        }
        Ok(alone)
    }

    /// Check that a leg has everything, as far as the log tells.
    fn check_whole(&self, record: &Record, table: Table, leg: usize) -> Result<()> {
        let mut logs = table;
        for target in &mut logs.targets {
            if let Mapping::Mirror(mirror) = &mut target.mapping {
                mirror.legs.clear();
            }
        }
        // Of logs that were to begin afresh nobody knows what they have seen.
        let known = (!is_afresh(record)).then(|| self.located(record, logs).ok());
        let counted = known.flatten().and_then(|(table, brought)| {
            let counted = contradiction::counted(self.below.devices.as_ref(), &table);
            drop(brought);
            counted
        });
        let what = match counted {
            Some((clean, all)) if clean == all => return Ok(()),
            Some((clean, all)) => format!("{clean} of {all} regions were in sync"),
            None => "its log does not tell what was in sync".into(),
        };
        Err(Error::busy(format!(
            "leg {leg} may lack something: {what}; `finish {leg} lossy` takes it as it is"
        )))
    }

    fn remake_table(
        &self,
        record: &Record,
        name: &Reserved<'_>,
        admitted: &Admitted<'_>,
        manner: Manner,
        afresh: bool,
    ) -> Result<()> {
        let (devices, table) = (self.below.devices.as_ref(), &admitted.table);
        let mut notes = Vec::new();
        if afresh {
            log_trust::clear_all(devices, table)?;
        } else {
            for log in contradiction::lost(devices, table)? {
                log_trust::clear(devices, &log)?;
                notes.push(format!(
                    "the header of the log {log} is lost: copying everything again from leg 0"
                ));
            }
        }
        let (uuid, read_only) = (&record.uuid, record.read_only);
        let mut steps = steps::create(&record.name, uuid, None, table.clone(), read_only);
        if record.suspended && !self.below.engine.survives_daemon() {
            steps.push(Step::Suspend(Suspend::default()));
        }
        let mirror_id = self.restart(record, name, &steps, manner)?;
        for note in &notes {
            self.below.events.add(&record.name, Kind::Distrusted, note);
        }
        self.below
            .registry
            .update(mirror_id, |entry| entry.notes = notes);
        Ok(())
    }

    fn restart(
        &self,
        record: &Record,
        name: &Reserved<'_>,
        steps: &[Step],
        manner: Manner,
    ) -> Result<MirrorId> {
        let text = match (manner, record.table.as_slice()) {
            (Manner::Alone { leg, .. }, _) => {
                format!("on leg {leg} alone, by request; it was not started")
            }
            (_, []) => "without a table".into(),
            (Manner::Resync, lines) => {
                format!(
                    "copying everything again from leg 0, by request: {}",
                    lines.join(",")
                )
            }
            (Manner::AsLogged, lines) => lines.join(","),
        };
        let journal = &self.below.journal;
        let (kind, made, logs) = match manner {
            Manner::Alone { .. } => (Kind::Finished, Some(Vec::new()), journal.made_for(record)),
            Manner::AsLogged | Manner::Resync => {
                (Kind::Restored, journal.made_of(record), Vec::new())
            }
        };
        let mirror_id = self.maker.start(
            name,
            &record.uuid,
            steps,
            |_| Ok(record.settings.clone()),
            (kind, &text),
            made,
        )?;
        logs.iter().for_each(remove_file);
        journal.managed.tidy();
        Ok(mirror_id)
    }

    /// A table with every device by what it is called now, and what was made for that.
    fn located(&self, record: &Record, mut table: Table) -> Result<(Table, Vec<Brought>)> {
        let mut places = Vec::new();
        for device in table.devices() {
            let unknown = || format!("the record does not say what {device} is");
            let place = record.place(device);
            let place = place.ok_or_else(|| Error::invalid(unknown()))?;
            // Nothing is made for a mirror that lacks something else.
            match &place.identity {
                Identity::Loop(id) => self.below.devices.find(&Identity::File(id.file.clone()))?,
                other => self.below.devices.find(other)?,
            };
            places.push((device, &place.identity));
        }
        let mut brought = Vec::new();
        for (device, identity) in places {
            let found = self.below.devices.bring(identity)?;
            device.clone_from(found.device());
            brought.push(found);
        }
        Ok((table, brought))
    }
}

/// Whether it was being switched to the table of its record; or to another one that is not
/// there, since the record lies on the mirror itself: the front of a copy moves often.
fn is_half_switched(record: &Record) -> bool {
    let begun = record.unfinished.as_ref();
    let ahead = !record.settings.ahead.is_empty();
    ahead || begun.is_some_and(|begun| begun.stage == Stage::Reloading)
}

/// Whether its logs are to begin afresh, and may not have.
fn is_afresh(record: &Record) -> bool {
    let begun = record.unfinished.as_ref();
    begun.is_some_and(|begun| begun.afresh)
}

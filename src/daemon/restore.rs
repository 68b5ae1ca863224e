//! Keeping records, and making mirrors again from them. Only an engine that ends
//! with the process needs that: the kernel's mirrors go on without a daemon.

use super::Daemon;
use super::admit::admit;
use super::events::Kind;
use super::records::{Record, Records};
use crate::engine::{Id, Slot, Suspend};
use crate::error::{Error, Result};
use crate::plan::build;
use crate::plan::step::Step;
use crate::text::table::Table;

impl Daemon {
    /// Make every mirror again that there is a record of. One that cannot be made
    /// is told of and keeps its record; the others are made.
    ///
    /// # Errors
    /// What the folder of the records answers.
    pub fn restore(&self) -> Result<()> {
        let Some(records) = &self.records else {
            return Ok(());
        };
        for (path, record) in records.all()? {
            let name = record.as_ref().map(|record| record.name.clone());
            let name = name.unwrap_or_else(|_| "-".into());
            let made = record.and_then(|record| self.remake(&record));
            let made = made.map_err(|error| {
                error.context(format!("not restored from {}, which stays", path.display()))
            });
            // It stands in `events`, and the mount comes up without it.
            let _ = self.report(&name, made);
        }
        Ok(())
    }

    fn remake(&self, record: &Record) -> Result<()> {
        let name = self.reserve(&record.name)?;
        if record.table.is_empty() {
            let steps = build::create_empty(&record.name, &record.uuid);
            return self
                .start(&name, &record.uuid, &steps, restored("without a table"))
                .map(drop);
        }
        let lines: Vec<&str> = record.table.iter().map(String::as_str).collect();
        let table = build::without_sync_words(Table::parse(&lines)?);
        let devices = self.devices.as_ref();
        let admitted = admit(devices, &self.claims, &table, &[], record.read_only)?;
        let mut steps = build::create(
            &record.name,
            &record.uuid,
            Some(record.minor),
            admitted.table.clone(),
            record.read_only,
        );
        if record.suspended {
            steps.push(Step::Suspend(Suspend::default()));
        }
        let text = record.table.join(",");
        match self.start(&name, &record.uuid, &steps, restored(&text)) {
            Ok(_) => Ok(()),
            Err(error) => {
                admitted.undo();
                Err(error)
            }
        }
    }

    /// Record the device as it is now, where records are kept.
    ///
    /// # Errors
    /// What [`Records::write`] answers.
    pub(super) fn keep(&self, id: &Id) -> Result<()> {
        let Some(records) = &self.records else {
            return Ok(());
        };
        let (info, table) = self.engine.table(id, Slot::Live)?;
        records.write(&Record::of(&info, &table))
    }

    /// Record a change that has been made; where that fails the change stands, and
    /// the next mount will not know of it.
    pub(super) fn keep_changed(&self, name: &str, id: &Id) {
        let kept = self.keep(id).map_err(not_kept);
        let _ = self.report(name, kept);
    }

    /// Remove the record of a mirror that was removed.
    pub(super) fn drop_record(&self, name: &str, uuid: &str) {
        let removed = self.records.as_ref().map(|records| records.remove(uuid));
        let _ = self.report(name, removed.unwrap_or(Ok(())).map_err(not_kept));
    }

    /// What only this process runs stops; what is left of the state is tidied.
    pub fn close(&self) {
        self.engine.close();
        self.records
            .as_ref()
            .inspect(|records| Records::close(records));
    }
}

fn restored(text: &str) -> (Kind, &str) {
    (Kind::Restored, text)
}

fn not_kept(error: Error) -> Error {
    error.context("done, but the next mount will not know it")
}

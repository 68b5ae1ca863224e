//! At the mount: what runs is adopted with what its record says, what does not run and is
//! to be there is entered as one that is being started, what a crash left half made is
//! taken away. No disk is read before the tree is there.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::rooms::Rooms;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::entry::{Absent, Next};
use crate::daemon::records::record::{Record, Stage};
use crate::engine::{Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::text::table::Table;

/// Brings back what is recorded.
pub struct Restorer {
    below: Rooms,
}

impl Restorer {
    /// That of a daemon.
    pub fn new(below: &Rooms) -> Restorer {
        Restorer {
            below: below.clone(),
        }
    }

    /// Enter what is recorded; answers what does not run and is to be started, where
    /// `restart` says so.
    ///
    /// # Errors
    /// What the folder of the records answers.
    pub fn restore(&self, restart: bool) -> Result<Vec<MirrorId>> {
        self.below.journal.records.sweep();
        let mut missing = Vec::new();
        let mut names = HashSet::new();
        for (path, record) in self.below.journal.records.all()? {
            match record {
                Ok(record) => {
                    let missed = self.adopt(record);
                    missing
                        .extend(missed.filter(|record| self.is_first(record, &path, &mut names)));
                }
                Err(unread) if unread.garbage => self.put_aside(&path, unread.error),
                // What stands there may be wanted; the mount comes up without it.
                Err(unread) => {
                    let error = unread.error.context("not started and left unchanged");
                    let _ = self.below.events.report("-", Err::<(), _>(error));
                }
            }
        }
        let entered = missing.into_iter();
        let to_start = entered.filter_map(|record| self.absent(record, restart));
        let to_start = to_start.collect();
        self.below.journal.sweep_logs();
        Ok(to_start)
    }

    /// Whether no other mirror that is not there has its name: a second one could not be
    /// reached.
    fn is_first(&self, record: &Record, path: &Path, names: &mut HashSet<String>) -> bool {
        let first = names.insert(record.name.clone());
        if !first {
            let sentence = format!(
                "another record has the name {} too: {} is left unchanged and not started",
                record.name,
                path.display()
            );
            let error = Error::new(Errno::EEXIST, sentence);
            let _ = self.below.events.report("-", Err::<(), _>(error));
        }
        first
    }

    fn put_aside(&self, path: &Path, error: Error) {
        let kept = match self.below.journal.records.put_aside(path) {
            Ok(aside) => format!("kept aside as {}", aside.display()),
            Err(error) => format!("and it cannot be kept aside: {error}"),
        };
        let error = Error::new(error.errno(), format!("{error}; {kept}"));
        // It stands in `events`; the mount comes up without it.
        let _ = self.below.events.report("-", Err::<(), _>(error));
    }

    /// Adopt the mirror of a record where it runs; answers the record of one that
    /// is to be made again.
    fn adopt(&self, record: Record) -> Option<Record> {
        let info = self.below.engine.info(&Id::Uuid(record.uuid.clone()));
        let stage = record.unfinished.as_ref().map(|begun| begun.stage);
        match (info, stage) {
            (Ok(info), Some(Stage::Making)) if !info.live => self.unmake(&record, Some(&info)),
            (Ok(info), _) => self.adopt_running(&record, &info),
            (Err(_), Some(Stage::Making | Stage::Removing)) => self.unmake(&record, None),
            (Err(_), _) if self.is_wanted(&record) => return Some(record),
            (Err(_), _) => self.let_go(&record),
        }
        None
    }

    /// The kernel's mirrors go with a reboot, unless they are to persist.
    fn is_wanted(&self, record: &Record) -> bool {
        record.settings.persist || !self.below.engine.survives_daemon()
    }

    fn adopt_running(&self, record: &Record, info: &Info) {
        let mirror_id = self.below.registry.note(info);
        let begun = record.unfinished.as_ref();
        let kept = match begun.map(|begun| begun.stage) {
            // Killed before it was recorded: as if it had just been made.
            Some(Stage::Making) => self
                .below
                .journal
                .kept_for(&info.id(), record.settings.on_failure)
                .unwrap_or_default(),
            _ => record.settings.clone(),
        };
        let switching = begun.is_some_and(|begun| begun.stage == Stage::Reloading);
        if info.inactive || switching && info.suspended {
            self.end_switch(info);
        }
        let live = self.below.engine.table(&info.id(), Slot::Live);
        if let Ok((_, lines)) = &live {
            self.below.journal.tidy(record, &Table::from_lines(lines));
        }
        let made = self.below.journal.made_of(record);
        self.below.registry.update(mirror_id, |entry| {
            (entry.settings, entry.made) = (Some(kept), made);
        });
        match live {
            Ok((info, lines)) if !self.below.mirrors.shows(&info, &lines) => {
                self.disown(mirror_id, record)
            }
            _ => self.below.journal.keep_changed(mirror_id),
        }
    }

    /// Another program's device, under which a mirror was, and is no more: that
    /// program has made it again, or the mirror was taken out.
    fn disown(&self, mirror_id: MirrorId, record: &Record) {
        self.below.registry.forget(mirror_id);
        let forgotten = self.below.journal.forget_record(record);
        if self.below.events.report(&record.name, forgotten).is_ok() {
            let text = "its device runs without a mirror";
            self.below.events.add(&record.name, Kind::Removed, text);
        }
    }

    /// Undo what a daemon that was killed in the middle of a switch has left: a loaded
    /// table, to which the next resume would switch unasked, and held I/O.
    fn end_switch(&self, info: &Info) {
        let undone = if info.suspended {
            self.below.switcher.back_to_old_table(info)
        } else {
            self.below.engine.clear(&info.id())
        };
        let text = "the daemon was killed while it switched tables";
        match self.below.events.report(&info.name, undone) {
            Ok(()) if info.suspended => self.below.events.add(&info.name, Kind::Resumed, text),
            Ok(()) => log::warn!("{}: its loaded table is cleared: {text}", info.name),
            Err(_) => {}
        }
    }

    /// Take away what a crash left half made.
    fn unmake(&self, record: &Record, device: Option<&Info>) {
        let removed = device.map(|info| self.below.engine.remove(&info.id(), false));
        let stage = record.unfinished.as_ref().map(|begun| begun.stage);
        if stage == Some(Stage::Removing) {
            let places = record.places.iter();
            self.below
                .journal
                .release
                .of_all(places.filter_map(|p| self.below.devices.find(&p.identity).ok()));
        }
        let undone = removed
            .unwrap_or(Ok(()))
            .and_then(|()| self.below.journal.forget_record(record));
        let undone = undone.map_err(|error| error.context("removing what was half made"));
        if self.below.events.report(&record.name, undone).is_ok() {
            let text = "the daemon was killed while making or removing it";
            self.below.events.add(&record.name, Kind::Removed, text);
        }
    }

    /// A mirror that was not to persist, and is gone.
    fn let_go(&self, record: &Record) {
        let forgotten = self.below.journal.forget_record(record);
        if self.below.events.report(&record.name, forgotten).is_ok() {
            let text = "it ended with the machine (persist no)";
            self.below.events.add(&record.name, Kind::Removed, text);
        }
    }

    /// Enter a mirror that is not there; answers the number of one that is to be started.
    fn absent(&self, record: Record, restart: bool) -> Option<MirrorId> {
        self.below.events.enter(&record.name);
        let absent = if record.withdrawn {
            Absent::withdrawn(record)
        } else if restart {
            let reason = "its devices are being looked at".into();
            let next = Next::Started(Instant::now());
            Absent {
                record,
                reason,
                next,
            }
        } else {
            let reason = "--no-restore was given".into();
            let next = Next::Word;
            Absent {
                record,
                reason,
                next,
            }
        };
        let starts = matches!(absent.next, Next::Started(_));
        let mirror_id = self.below.registry.enter_absent(absent);
        starts.then_some(mirror_id)
    }
}

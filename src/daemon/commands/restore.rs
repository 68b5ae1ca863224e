//! At the mount: what runs is adopted with what its record says, what does not run and is
//! to be there is entered as one that is being started. What may wait for a disk or a file
//! system is a [`Task`], for when the tree is there: bringing a switch to its end, taking
//! away what a crash left half made.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::rooms::Rooms;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::away::{Absent, Next};
use crate::daemon::records::record::{Record, Stage};
use crate::engine::{Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::Settings;
use crate::text::table::Table;

/// What is left to do of a record once the tree is there.
pub enum Task {
    /// Start a mirror that is not there.
    Start(MirrorId),
    /// Settle one that runs.
    Adopt(MirrorId, Record),
    /// Take away what a crash left half made.
    Unmake(Record, Option<Info>),
    /// Forget one that was not to persist.
    LetGo(Record),
}

/// What there is of a record's mirror.
enum Found {
    /// Nothing, and it is to be there.
    Missing(Record),
    /// Something, with what is left to do of it.
    There(Task),
}

/// What was left of a switch.
enum Undone {
    /// Nothing.
    Nothing,
    /// A loaded table.
    Load,
    /// Held I/O.
    Suspend,
}

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

    /// Enter what is recorded; answers what is left to do, the starts where `restart` says
    /// so.
    ///
    /// # Errors
    /// What the folder of the records answers.
    pub fn restore(&self, restart: bool) -> Result<Vec<Task>> {
        self.below.journal.records.sweep();
        let (mut missing, mut tasks) = (Vec::new(), Vec::new());
        let mut names = HashSet::new();
        for (path, record) in self.below.journal.records.all()? {
            match record {
                Ok(record) => match self.judge(record) {
                    Found::Missing(record) if self.is_first(&record, &path, &mut names) => {
                        missing.push(record);
                    }
                    Found::Missing(_) => {}
                    Found::There(task) => tasks.push(task),
                },
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
        tasks.extend(to_start.map(Task::Start));
        Ok(tasks)
    }

    /// Do what is left of a record whose mirror is not started.
    pub(super) fn settle(&self, task: Task) {
        match task {
            Task::Start(_) => {}
            Task::Adopt(mirror_id, record) => {
                self.settle_adopted(mirror_id, &record);
                self.below.bell.ring();
            }
            Task::Unmake(record, device) => self.unmake(&record, device.as_ref()),
            Task::LetGo(record) => self.let_go(&record),
        }
    }

    /// Remove the log files that nobody uses, once nothing is left to do.
    pub(super) fn sweep(&self) {
        self.below.journal.sweep_logs();
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

    /// What is to be done about a record. One whose mirror runs is adopted at once.
    fn judge(&self, record: Record) -> Found {
        let info = self.below.engine.info(&Id::Uuid(record.uuid.clone()));
        let stage = record.unfinished.as_ref().map(|begun| begun.stage);
        Found::There(match (info, stage) {
            (Ok(info), Some(Stage::Making)) if !info.live => Task::Unmake(record, Some(info)),
            (Ok(info), _) => Task::Adopt(self.adopt(&record, &info), record),
            (Err(_), Some(Stage::Making | Stage::Removing)) => Task::Unmake(record, None),
            (Err(_), _) if self.is_wanted(&record) => return Found::Missing(record),
            (Err(_), _) => Task::LetGo(record),
        })
    }

    /// The kernel's mirrors go with a reboot, unless they are to persist.
    fn is_wanted(&self, record: &Record) -> bool {
        record.settings.persist || !self.below.engine.survives_daemon()
    }

    /// Enter a mirror that runs. Until it is settled no verb is done on it.
    fn adopt(&self, record: &Record, info: &Info) -> MirrorId {
        let mirror_id = self.below.registry.note(info);
        let settings = self.settings_of(record, info);
        self.below.registry.update(mirror_id, |entry| {
            (entry.settings, entry.made) = (settings, record.made.clone());
        });
        if let Ok(begun) = self.below.registry.begin_own(mirror_id, "start") {
            begun.hand_over();
        }
        mirror_id
    }

    /// What is set for a mirror that runs. A daemon that was killed before it switched had
    /// recorded the settings of the next table: they are not those of this one.
    fn settings_of(&self, record: &Record, info: &Info) -> Option<Settings> {
        let mut settings = Some(record.settings.clone());
        let begun = record.unfinished.as_ref();
        let undo = begun.and_then(|begun| begun.undo.as_deref());
        let live = self.below.engine.table(&info.id(), Slot::Live);
        if let (Some(undo), Ok((info, lines))) = (undo, live)
            && Record::of(&info, &lines).table != record.table
        {
            undo.apply(&mut settings);
        }
        settings
    }

    /// Bring to its end what a daemon that was killed had begun with a mirror that runs.
    fn settle_adopted(&self, mirror_id: MirrorId, record: &Record) {
        let _begun = self.below.registry.take_over(mirror_id);
        let Ok(info) = self.below.engine.info(&Id::Uuid(record.uuid.clone())) else {
            return;
        };
        let stage = record.unfinished.as_ref().map(|begun| begun.stage);
        // Killed before it was recorded: as if it had just been made.
        if stage == Some(Stage::Making) {
            let kept = &self.below.journal;
            let kept = kept.kept_for(&info.id(), &record.settings);
            let kept = Some(kept.unwrap_or_default());
            let registry = &self.below.registry;
            registry.update(mirror_id, |entry| entry.settings = kept);
        }
        let check = record.settings.check.as_ref();
        let held = check.is_some_and(|check| check.held);
        let switching = stage == Some(Stage::Reloading) || held;
        self.end_switch((mirror_id, &info), switching);
        let live = self.below.engine.table(&info.id(), Slot::Live);
        if let Ok((_, lines)) = &live {
            self.below.journal.tidy(record, &Table::from_lines(lines));
        }
        let made = self.below.journal.made_of(record);
        self.below
            .registry
            .update(mirror_id, |entry| entry.made = made);
        match live {
            Ok((info, lines)) if !self.below.mirrors.shows(&info, &lines) => {
                self.disown(mirror_id, record)
            }
            _ => {
                self.below.journal.keep_changed(mirror_id);
                self.below.checks.go_on(mirror_id, false);
            }
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
    /// table, to which the next resume would switch unasked, and held I/O, where it was
    /// `switching`.
    fn end_switch(&self, (mirror_id, info): (MirrorId, &Info), switching: bool) {
        let name = &info.name;
        let held = "the daemon was killed while it held I/O";
        let loaded = "the daemon was killed while it switched tables";
        let undone = self.undo_switch(mirror_id, &info.id(), switching);
        match self.below.events.report(name, undone) {
            Ok(Undone::Suspend) => self.below.events.add(name, Kind::Resumed, held),
            Ok(Undone::Load) => log::warn!("{name}: its loaded table is cleared: {loaded}"),
            Ok(Undone::Nothing) | Err(_) => {}
        }
    }

    /// Looked at with the mark alone: this daemon may have taken a leg out already.
    fn undo_switch(&self, mirror_id: MirrorId, id: &Id, switching: bool) -> Result<Undone> {
        let _alone = self.below.registry.exclude(mirror_id, Some("resume"))?;
        let info = self.below.engine.info(id)?;
        if info.suspended && (info.inactive || switching) {
            self.below.switcher.back_to_old_table(&info)?;
            Ok(Undone::Suspend)
        } else if info.inactive {
            self.below.engine.clear(id)?;
            Ok(Undone::Load)
        } else {
            Ok(Undone::Nothing)
        }
    }

    /// Take away what a crash left half made.
    fn unmake(&self, record: &Record, device: Option<&Info>) {
        let live = |info: &Info| self.below.engine.info(&info.id()).is_ok_and(|now| now.live);
        // Somebody has given it a table since.
        if device.is_some_and(live) {
            return;
        }
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

//! What the daemon remembers of one mirror.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::failure::Trouble;
use super::record::Record;
use crate::engine::Id;
use crate::engine::identity::Identity;
use crate::model::health::State;
use crate::model::look::Look;
use crate::model::pace::Pace;
use crate::model::policy::{Dropped, OnFailure};
use crate::model::snapshot::{Known, Running, Silent};
use crate::text::device::DevNo;

/// What the daemon remembers of one mirror.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in this daemon's life.
    pub serial: u64,
    /// How to address it.
    pub id: Id,
    /// Its device number.
    pub dev: DevNo,
    /// The name under which it was last seen.
    pub name: String,
    /// The name under which events told of it; none until they do.
    pub announced: Option<String>,
    /// Its event counter when it was last watched.
    pub event_nr: Option<u32>,
    /// Samples of its progress.
    pub pace: Pace,
    /// When it last got further, while it is not in sync.
    pub moved: Option<(Instant, u64)>,
    /// What its state was when it was last watched.
    pub seen: Seen,
    /// Errors seen on each leg.
    pub errors: Vec<u64>,
    /// The life of its table in which all regions were seen in sync and no leg with an
    /// error.
    pub whole_in: Option<u64>,
    /// What its record says beside its table; none where it has none.
    pub kept: Option<Kept>,
    /// The log files that were made for it, which go with it; none where that is not
    /// known.
    pub made: Option<Vec<Identity>>,
    /// Held from looking at the mirror until what was seen is in its record: of two
    /// who write it the later one must not have looked first.
    pub(super) turn: Arc<Mutex<()>>,
    /// What its health warns of until all is in sync.
    pub notes: Vec<String>,
    /// A failure that lasts, and what is being done about it.
    pub trouble: Option<Trouble>,
    /// The legs that nothing could be read from, and the letters of all when that
    /// was tried.
    pub(super) silent: (Silent, Vec<char>),
    /// Whether a failed step has left it suspended.
    pub(super) left_suspended: bool,
    /// Since when what is under way comes to no end, and how much had by then.
    pub(super) stuck: Option<(Instant, u64)>,
    /// When the watch is to look at it again, whether something happens or not.
    pub due: Option<Instant>,
    /// Its record and why it is not there, where it is not.
    pub absent: Option<Absent>,
    /// What runs on it.
    pub(super) running: Option<Work>,
}

impl Entry {
    /// A mirror that was not known before.
    pub(super) fn new(serial: u64, (id, dev): (Id, DevNo), name: &str) -> Entry {
        Entry {
            serial,
            id,
            dev,
            name: name.into(),
            announced: None,
            event_nr: None,
            pace: Pace::default(),
            moved: None,
            seen: Seen::default(),
            errors: Vec::new(),
            whole_in: None,
            kept: None,
            made: None,
            turn: Arc::default(),
            notes: Vec::new(),
            trouble: None,
            silent: Default::default(),
            left_suspended: false,
            stuck: None,
            due: None,
            absent: None,
            running: None,
        }
    }

    /// Whether there is nothing to be done about it before its next event, in this life
    /// of its table. A leg may have failed while a verb ran, and before the kernel took
    /// its region out of the count.
    pub(super) fn is_settled(&self, life: Option<u64>) -> bool {
        let Seen {
            letters,
            log,
            in_sync,
            ..
        } = &self.seen;
        if life != self.seen.life {
            return false;
        }
        let mut all = letters.iter().chain(log);
        let quiet = self.trouble.is_none() && self.due.is_none() && !self.left_suspended;
        *in_sync && all.all(|letter| *letter == 'A') && quiet
    }

    /// What a snapshot shows of it.
    pub(super) fn known(&self) -> Known {
        let kept = self.kept.as_ref();
        let running = self.running.as_ref().map(|work| Running {
            verb: work.verb.clone(),
            since: work.start.elapsed(),
        });
        Known {
            rate: self.pace.rate(),
            running,
            errors: self.errors.clone(),
            silent: self.silent.0.clone(),
            whole_in: self.whole_in,
            persist: kept.is_some_and(|kept| kept.persist),
            holds_writes: true,
            on_failure: kept.map(|kept| kept.on_failure).unwrap_or_default(),
            dropped: kept.map(|kept| kept.dropped.clone()).unwrap_or_default(),
            forged: kept.is_some_and(|kept| kept.forged),
            adopted: kept.is_some_and(|kept| kept.adopted),
            notes: self.notes.clone(),
            trouble: self.trouble.as_ref().map(|trouble| trouble.reason.clone()),
            absent: self.absent.as_ref().map(|absent| absent.reason.clone()),
        }
    }
}

/// Something that runs on a mirror.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// The verb.
    pub verb: String,
    /// Who wants it.
    pub by: By,
    /// Since when.
    pub start: Instant,
}

/// Who wants something done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Whoever wrote it into a file.
    Request,
    /// The daemon, because something failed.
    Daemon,
}

/// What a record says beside the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whether the mirror is to be brought back.
    pub persist: bool,
    /// Owners and modes that were changed, by path.
    pub looks: BTreeMap<String, Look>,
    /// What is done when a leg or the log fails.
    pub on_failure: OnFailure,
    /// The legs that were taken out because they had failed.
    pub dropped: Vec<Dropped>,
    /// Whether the sync word of its disk log was not written by anybody, and is to go.
    pub forged: bool,
    /// Whether the mirror was slid under another program's device: its log is its own.
    pub adopted: bool,
}

/// What a switch of tables changes of what is kept, and nothing else: settings that
/// somebody makes meanwhile stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Of a mirror that is new: all of it.
    pub fresh: Option<Kept>,
    /// The legs that are out because they had failed.
    pub dropped: Option<Vec<Dropped>>,
    /// Whether the sync word of the disk log is to go.
    pub forged: Option<bool>,
}

impl Edit {
    /// Change what is kept; answers what takes it back.
    pub(super) fn apply(&self, kept: &mut Option<Kept>) -> Edit {
        let before = kept.clone().unwrap_or_default();
        let now = kept.get_or_insert_default();
        if let Some(fresh) = &self.fresh {
            now.clone_from(fresh);
        }
        if let Some(dropped) = &self.dropped {
            now.dropped.clone_from(dropped);
        }
        now.forged = self.forged.unwrap_or(now.forged);
        Edit {
            fresh: self.fresh.as_ref().map(|_| before.clone()),
            dropped: Some(before.dropped),
            forged: Some(before.forged),
        }
    }
}

impl Kept {
    /// What this record says.
    pub(super) fn of(record: &Record) -> Kept {
        Kept {
            persist: record.persist,
            looks: record.looks.clone(),
            on_failure: record.on_failure,
            dropped: record.dropped.clone(),
            forged: record.forged,
            adopted: record.adopted,
        }
    }
}

/// A mirror that is recorded and could not be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Its record.
    pub record: Record,
    /// Why it is not there.
    pub reason: String,
}

/// The part of a mirror's state whose changes are events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The table, to tell a new one's letters from changed ones.
    pub table: Vec<String>,
    /// The life that it was in.
    pub life: Option<u64>,
    /// Health letters of the legs.
    pub letters: Vec<char>,
    /// The log's.
    pub log: Option<char>,
    /// Whether all regions were in sync.
    pub in_sync: bool,
    /// Its health.
    pub state: Option<State>,
}

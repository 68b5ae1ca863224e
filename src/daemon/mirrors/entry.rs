//! What the daemon remembers of one mirror.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::away::Absent;
use super::checking::Checking;
use super::front::Front;
use super::refused::Refused;
use super::stalled::Slow;
use crate::engine::identity::Identity;
use crate::engine::{Id, Listed};
use crate::model::health::State;
use crate::model::id::MirrorId;
use crate::model::rate::RateMeter;
use crate::model::settings::Settings;
use crate::model::snapshot::{Snapshot, Unresponsive};
use crate::model::spots::{Spot, common, union};
use crate::text::device::DevNo;
use crate::text::letter::Letter;

/// What the daemon remembers of one mirror.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in this daemon's life.
    pub mirror_id: MirrorId,
    /// How to address it.
    pub id: Id,
    /// Its device number; 0:0 where it is only recorded.
    pub dev: DevNo,
    /// The name under which it was last seen.
    pub name: String,
    /// The name under which events told of it; none until they do.
    pub announced: Option<String>,
    /// Its event counter when it was last watched.
    pub event_nr: Option<u32>,
    /// Samples of its progress.
    pub meter: RateMeter,
    /// When it last got further, while it is not in sync.
    pub moved: Option<(Instant, u64)>,
    /// What its state was when it was last watched.
    pub seen: Seen,
    /// Errors seen on each leg.
    pub errors: Vec<u64>,
    /// The life of its table in which all regions were seen in sync and no leg with an
    /// error.
    pub in_sync_life: Option<u64>,
    /// What its record says beside its table; none where it has none.
    pub settings: Option<Settings>,
    /// The log files that were made for it, which go with it; none where that is not
    /// known.
    pub made: Option<Vec<Identity>>,
    /// Held from looking at the mirror until what was seen is in its record: of two
    /// who write it the later one must not have looked first.
    pub(crate) turn: Arc<Mutex<()>>,
    /// What its health warns of until all is in sync.
    pub notes: Vec<String>,
    /// A failure that lasts, and what is being done about it.
    pub pending_failure: Option<PendingFailure>,
    /// The legs that nothing could be read from, and the letters of all when that
    /// was tried.
    pub(crate) unresponsive: (Unresponsive, Vec<Letter>),
    /// How often an error of the source had no bad spot for its cause, one after the
    /// other.
    pub(crate) spotless: u32,
    /// Whether somebody finds out what is bad of what is set aside.
    pub(crate) narrowing: bool,
    /// How often finding that out has failed for another reason than what was read, one
    /// after the other, and when it may be tried again.
    pub(crate) narrow_failed: (u32, Option<Instant>),
    /// What was tried of what is set aside, and stays so.
    pub(crate) aside_tried: Vec<Spot>,
    /// What a target did not take.
    pub(crate) refused: Refused,
    /// How its copy goes on.
    pub(crate) front: Front,
    /// How its check goes on.
    pub(crate) checking: Checking,
    /// Whether its source is slow.
    pub(crate) slow: Slow,
    /// Whether a failed step has left it suspended.
    pub(crate) left_suspended: bool,
    /// Since when what is under way comes to no end, and how much had by then.
    pub(crate) stuck: Option<(Instant, u64)>,
    /// When the watch is to look at it again, whether something happens or not.
    pub due: Option<Instant>,
    /// Its record and why it is not there, where it is not.
    pub absent: Option<Absent>,
    /// Whether its device has come while it was not there.
    pub(crate) returned: bool,
    /// The verb that runs on it.
    pub(crate) running: Option<Lease>,
    /// Who changes its tables at this moment.
    pub(crate) switching: Option<Lease>,
    /// Whether somebody sees at this moment which of its legs answer.
    pub(crate) listening: bool,
    /// Whether it is gone, and it is being found out whether it is to stay in the tree.
    pub(crate) leaving: bool,
}

/// A copy that has not got further for this long is not sampled until somebody
/// looks or something happens.
pub(crate) const SAMPLED_FOR: Duration = Duration::from_secs(60);

/// The number of what is no device.
pub(crate) const NOWHERE: DevNo = DevNo { major: 0, minor: 0 };

impl Entry {
    /// A mirror that was not known before.
    pub(crate) fn new(mirror_id: MirrorId, (id, dev): (Id, DevNo), name: &str) -> Entry {
        Entry {
            mirror_id,
            id,
            dev,
            name: name.into(),
            announced: None,
            event_nr: None,
            meter: RateMeter::default(),
            moved: None,
            seen: Seen::default(),
            errors: Vec::new(),
            in_sync_life: None,
            settings: None,
            made: None,
            turn: Arc::default(),
            notes: Vec::new(),
            pending_failure: None,
            unresponsive: Default::default(),
            spotless: 0,
            narrowing: false,
            narrow_failed: (0, None),
            aside_tried: Vec::new(),
            refused: Default::default(),
            front: Front::default(),
            checking: Checking::default(),
            slow: Slow::default(),
            left_suspended: false,
            stuck: None,
            due: None,
            absent: None,
            returned: false,
            running: None,
            switching: None,
            listening: false,
            leaving: false,
        }
    }

    /// What is set aside of these spots was tried, and waits for somebody's word.
    pub(crate) fn note_aside_tried(&mut self, spots: &[Spot]) {
        let settings = self.settings.as_ref();
        let aside = settings.map_or(Vec::new(), |kept| kept.aside.clone());
        self.aside_tried = common(&aside, &union(&self.aside_tried, spots));
    }

    /// What of what is set aside is not to be tried again by itself.
    pub(crate) fn tried(&self, snapshot: &Snapshot) -> Vec<Spot> {
        let refused = self.refused.twice(snapshot.leg_devices());
        union(&self.aside_tried, refused)
    }

    /// It is not there, or no more: of what was seen of a device nothing stays.
    pub(super) fn leave(&mut self, absent: Absent) {
        let id = Id::Uuid(absent.record.uuid.clone());
        let name = absent.record.name.clone();
        *self = Entry {
            announced: Some(name.clone()),
            settings: Some(absent.record.settings.clone()),
            turn: Arc::clone(&self.turn),
            checking: self.checking.after(),
            absent: Some(absent),
            running: self.running.take(),
            switching: self.switching.take(),
            ..Entry::new(self.mirror_id, (id, NOWHERE), &name)
        };
    }

    /// Its device is there.
    pub(super) fn come(&mut self, (id, dev): (Id, DevNo), name: &str) {
        (self.id, self.dev, self.name) = (id, dev, name.into());
        (self.absent, self.returned) = (None, true);
    }

    /// Whether there is nothing to be done about it before its next event, in this life
    /// of its table. A leg may have failed while a verb ran, and before the kernel took
    /// its region out of the count.
    pub(super) fn is_quiet(&self, device: &Listed) -> bool {
        let known = self.announced.as_ref() == Some(&device.name) && !self.returned;
        known && self.event_nr == Some(device.event_nr) && self.is_settled(device.life)
    }

    fn is_settled(&self, life: Option<u64>) -> bool {
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
        let quiet = self.pending_failure.is_none() && self.due.is_none() && !self.left_suspended;
        *in_sync && all.all(|letter| *letter == Letter::Alive) && quiet
    }

    /// Whether it was tried which legs answer, with these letters in this life of the table.
    pub(crate) fn has_listened(&self, snapshot: &Snapshot) -> bool {
        let (unresponsive, then) = &self.unresponsive;
        unresponsive.life == snapshot.life && *then == snapshot.letters()
    }
}

/// Something that runs on a mirror.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// The line as it was written, for `health` and for EBUSY.
    pub verb: String,
    /// Whether a verb waits for it.
    pub by: By,
    /// Since when.
    pub start: Instant,
}

/// Who wants something done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Whoever wrote it into a file.
    Request,
    /// The daemon, because something failed.
    Daemon,
}

/// What the daemon remembers of a failure that lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingFailure {
    /// Why it lasts, as it was told.
    pub reason: String,
    /// Whether a thread is at work on it.
    pub working: bool,
}

/// The part of a mirror's state whose changes are events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The table, to tell a new one's letters from changed ones.
    pub table: Vec<String>,
    /// The life that it was in.
    pub life: Option<u64>,
    /// Health letters of the legs.
    pub letters: Vec<Letter>,
    /// The log's.
    pub log: Option<Letter>,
    /// Whether all regions were in sync.
    pub in_sync: bool,
    /// The first word of `health`; none before the first look.
    pub state: Option<State>,
}

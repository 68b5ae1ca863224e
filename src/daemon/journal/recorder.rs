//! Writing records without keeping anybody: each on a thread of its own, waited for in
//! reason. What does not answer is told of, and written when it does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use parking_lot::Mutex;

use super::begun::{Asked, Begun, not_kept};
use super::keep::Journal;
use crate::daemon::admission::log_file::remove_file;
use crate::daemon::records::record::Unfinished;
use crate::engine::{Id, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::Snapshot;

impl Journal {
    /// Do something with the records that may take as long as their file system does.
    /// None where it takes too long: it goes on, unless it had not begun.
    pub(crate) fn within<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Arc<Journal>) -> T + Send + 'static,
    ) -> Option<T> {
        let (send, receive) = channel();
        let journal = Arc::clone(self);
        self.hands.at_once("record", move || {
            // Nobody may wait any more.
            let _ = send.send(job(&journal));
        });
        self.wait(&receive)
    }

    /// Do something with a mirror's record, whose turn this is, or not at all where that
    /// would be too late. What has begun by then goes on.
    fn in_time(
        self: &Arc<Self>,
        turn: Arc<Mutex<()>>,
        job: impl FnOnce(&Journal) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let late = Arc::new(AtomicBool::new(false));
        let is_late = Arc::clone(&late);
        let written = self.within(move |journal| {
            let _turn = turn.lock();
            if is_late.load(Ordering::SeqCst) {
                return Ok(());
            }
            job(journal)
        });
        late.store(written.is_none(), Ordering::SeqCst);
        written.unwrap_or(Ok(()))
    }

    /// None where there was no answer in time; that is told of once.
    fn wait<T>(&self, receive: &Receiver<T>) -> Option<T> {
        let answer = receive.recv_timeout(self.patience.now()).ok();
        if answer.is_none() && self.patience.ran_out() {
            let folder = self.records.folder().display();
            let sentence =
                format!("{folder} does not answer: what is recorded there is written when it does");
            let error = Error::new(Errno::ETIMEDOUT, sentence);
            let _ = self.events.report("-", Err::<(), _>(error));
        }
        answer
    }

    /// Record that something is begun with a mirror, and which log files are its
    /// own only if it does not come to its end or only if it does.
    ///
    /// # Errors
    /// Those of [`crate::daemon::records::store::Records::write`]. Where the records do
    /// not answer it is as if there were none.
    pub(crate) fn keep_begun(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        begun: Unfinished,
    ) -> Result<()> {
        let (Id::Uuid(uuid), _) = self.registry.address(mirror_id)? else {
            return Ok(());
        };
        let turn = self.registry.get(mirror_id)?.turn;
        self.in_time(turn, move |journal| {
            journal.records.get(&uuid).map_or(Ok(()), |mut record| {
                record.unfinished = Some(begun);
                journal.write(&record)
            })
        })
    }

    /// Record a mirror with the table that it is about to switch to, or that it goes
    /// on with. Where that is not written in time it is not written later either: by
    /// then it may have switched.
    ///
    /// # Errors
    /// Those of [`crate::daemon::records::store::Records::write`].
    pub(crate) fn keep_inactive(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        edit: SettingsEdit,
        begun: Unfinished,
    ) -> Result<()> {
        let turn = self.registry.get(mirror_id)?.turn;
        self.in_time(turn, move |journal| {
            journal.keep_table(mirror_id, Slot::Inactive, Some(edit), Begun::Is(begun))
        })
    }

    /// Record that I/O is held or goes on, where that outlives the daemon by a
    /// record alone. The kernel's mirrors remember it themselves, and the state
    /// directory may be on the very one that was suspended.
    pub(crate) fn keep_suspended(self: &Arc<Self>, mirror_id: MirrorId) {
        if !self.engine.survives_daemon() {
            self.keep_changed(mirror_id);
        }
    }

    /// Record a change that a verb has made, at its end; where that fails the
    /// change stands, and the next mount will not know of it.
    pub(crate) fn keep_changed(self: &Arc<Self>, mirror_id: MirrorId) {
        self.keep_soon(mirror_id, Begun::Ended);
    }

    /// Record a change that no verb has made: what one has begun stays begun. Nothing is
    /// waited for.
    pub(crate) fn keep_seen(self: &Arc<Self>, mirror_id: MirrorId) {
        drop(self.ask(mirror_id, Begun::Still));
    }

    /// Record a mirror as it is, and wait for that in reason; answers whether it is
    /// written.
    pub(crate) fn keep_soon(self: &Arc<Self>, mirror_id: MirrorId, begun: Begun) -> bool {
        let written = self.ask(mirror_id, begun);
        self.wait(&written).is_some()
    }

    /// Ask for a mirror's record to be written. Whoever is about to do so looks at the
    /// mirror first, so that one of them does it for all.
    fn ask(self: &Arc<Self>, mirror_id: MirrorId, begun: Begun) -> Receiver<()> {
        let (send, receive) = channel();
        let mut asked = self.asked.lock();
        if let Some(before) = asked.get_mut(&mirror_id) {
            before.waiting.push(send);
            if begun != Begun::Still {
                before.begun = begun;
            }
            return receive;
        }
        let waiting = vec![send];
        asked.insert(mirror_id, Asked { begun, waiting });
        drop(asked);
        let journal = Arc::clone(self);
        self.hands
            .apart("record", move || journal.keep_asked(mirror_id));
        receive
    }

    /// Write the record that was asked for, and tell those who wait.
    fn keep_asked(&self, mirror_id: MirrorId) {
        let turn = self.registry.get(mirror_id).map(|entry| entry.turn);
        let turn = turn.unwrap_or_default();
        let _turn = turn.lock();
        // Whoever asks from now on asks for what this look does not see.
        let Some(asked) = self.asked.lock().remove(&mirror_id) else {
            return;
        };
        let name = self.registry.name_of(mirror_id);
        match self.keep_table(mirror_id, Slot::Live, None, asked.begun) {
            // Gone meanwhile: there is nothing to know any more.
            Err(error) if error.errno() == Errno::ENODEV => {}
            kept => drop(self.events.report(&name, kept.map_err(not_kept))),
        }
        for waiting in asked.waiting {
            let _ = waiting.send(());
        }
    }

    /// Record the table that was switched to; `logs` are the mirror's own of before.
    /// The new table first, so that it is the one that comes back; then the old log,
    /// which is nobody's any more.
    pub(crate) fn keep_new_table(
        self: &Arc<Self>,
        mirror_id: MirrorId,
        logs: Vec<PathBuf>,
        begun: Unfinished,
    ) {
        // Where it is not written the log of before stays: the record may name it.
        if !logs.is_empty() && self.keep_soon(mirror_id, Begun::Is(begun)) {
            let _ = self.within(move |journal| journal.drop_logs(mirror_id, logs));
        }
        self.keep_changed(mirror_id);
    }

    /// Remove the log files of a mirror that was removed, and its record: last, since it
    /// tells the next mount of what is left. `turn` is the mirror's.
    pub(crate) fn forget_removed(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        turn: Arc<Mutex<()>>,
        logs: Vec<PathBuf>,
    ) {
        let (name, uuid) = (snapshot.info.name.clone(), snapshot.info.uuid.clone());
        let forgotten = self.within(move |journal| {
            let _turn = turn.lock();
            logs.iter().for_each(remove_file);
            journal.managed.tidy();
            journal.drop_record(&name, &uuid);
        });
        if forgotten.is_none() {
            log::warn!("a record is removed as soon as its file system answers");
        }
    }

    /// Remove the record of a mirror that was removed.
    pub(crate) fn drop_record(&self, name: &str, uuid: &str) {
        // What has no UUID has no record.
        if !uuid.is_empty() {
            let removed = self.records.remove(uuid);
            self.patience.answered();
            let _ = self.events.report(name, removed.map_err(not_kept));
        }
    }
}

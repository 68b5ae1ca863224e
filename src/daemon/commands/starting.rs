//! Starting what is only recorded: each mirror by itself, so that one whose disk hangs
//! holds up no other; one that lacks a device once that is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::remake::{Manner, Remaker};
use super::restore::{Restorer, Task};
use super::rooms::Rooms;
use crate::daemon::mirrors::away::{Absent, STARTS_WITHIN};
use crate::daemon::tasks::thread::spawn;
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;

/// How many are started at once; one that takes longer than [`PATIENCE`] no longer
/// counts.
const CROWD: usize = 16;
const PATIENCE: Duration = Duration::from_millis(100);

/// One device comes with many messages: they are waited for before it is looked.
const FLOCK: Duration = Duration::from_millis(300);

/// Starts what is only recorded.
pub struct Starter {
    below: Rooms,
    remaker: Arc<Remaker>,
    restorer: Arc<Restorer>,
    board: Mutex<Board>,
    changed: Condvar,
    /// Whether somebody listens for devices.
    listens: AtomicBool,
}

/// Who is at it.
#[derive(Debug, Default)]
struct Board {
    /// Those whose turn is still to come.
    left: usize,
    /// Those that are being started.
    trying: usize,
    /// Those that wait for what another one may bring, beside.
    waiting: usize,
    /// Those that were started so far.
    started: usize,
}

impl Starter {
    /// One that makes with `remaker`, and settles with `restorer`.
    pub fn new(below: &Rooms, remaker: &Arc<Remaker>, restorer: &Arc<Restorer>) -> Starter {
        Starter {
            restorer: Arc::clone(restorer),
            below: below.clone(),
            remaker: Arc::clone(remaker),
            board: Mutex::default(),
            changed: Condvar::new(),
            listens: AtomicBool::new(false),
        }
    }

    /// Do what is left of the records, each by itself; answers when all is done, has
    /// failed, or took too long. The others go on.
    pub fn start_all(self: &Arc<Self>, tasks: Vec<Task>) {
        let end = Instant::now() + STARTS_WITHIN;
        self.board.lock().left += tasks.len();
        for task in tasks {
            self.apart(move |starter| match task {
                Task::Start(mirror_id) => starter.start_patiently(mirror_id),
                task => starter.restorer.settle(task),
            });
            self.board.lock().left -= 1;
            self.changed.notify_all();
        }
        self.wait_until(end);
        self.apart(|starter| starter.restorer.sweep());
        self.wait_until(end);
    }

    fn wait_until(&self, end: Instant) {
        let mut board = self.board.lock();
        self.changed
            .wait_while_until(&mut board, |board| board.trying + board.waiting > 0, end);
    }

    /// Do something on a thread of its own, once not too many are at it.
    fn apart(self: &Arc<Self>, job: impl FnOnce(&Arc<Starter>) + Send + 'static) {
        self.take_turn();
        let starter = Arc::clone(self);
        self.below.journal.hands.apart("start", move || {
            job(&starter);
            starter.leave();
        });
    }

    fn take_turn(&self) {
        let mut board = self.board.lock();
        self.changed
            .wait_while_for(&mut board, |board| board.trying >= CROWD, PATIENCE);
        board.trying += 1;
    }

    fn leave(&self) {
        self.board.lock().trying -= 1;
        self.changed.notify_all();
    }

    /// Start a mirror, and again whenever another one was started that may be what it
    /// stands on.
    fn start_patiently(self: &Arc<Self>, mirror_id: MirrorId) {
        let end = Instant::now() + STARTS_WITHIN;
        loop {
            let before = self.board.lock().started;
            match self.try_start(mirror_id) {
                Some(Err(error)) => {
                    if error.errno() != Errno::ENODEV || !self.another_came(before, end) {
                        return self.failed(mirror_id, &error);
                    }
                }
                Some(Ok(())) => {
                    self.board.lock().started += 1;
                    // The kernel tells those that had given up of the new device.
                    self.changed.notify_all();
                    return;
                }
                None => return,
            }
        }
    }

    /// Wait until another mirror is started; whether one was.
    fn another_came(&self, before: usize, end: Instant) -> bool {
        let mut board = self.board.lock();
        board.trying -= 1;
        board.waiting += 1;
        self.changed.notify_all();
        let none_came =
            |board: &mut Board| board.started == before && board.trying + board.left > 0;
        self.changed.wait_while_until(&mut board, none_came, end);
        board.waiting -= 1;
        board.trying += 1;
        board.started != before
    }

    /// Start a mirror once; none where somebody else does so, or it is there.
    fn try_start(&self, mirror_id: MirrorId) -> Option<Result<()>> {
        let _begun = self.below.registry.begin_own(mirror_id, "start").ok()?;
        let absent = self.below.registry.absent(mirror_id)?;
        let done = self.remaker.start(mirror_id, &absent, Manner::AsLogged);
        if done.is_ok() {
            self.below.bell.ring();
        }
        Some(done)
    }

    fn failed(self: &Arc<Self>, mirror_id: MirrorId, error: &Error) {
        let Some(absent) = self.below.registry.absent(mirror_id) else {
            return;
        };
        let name = absent.record.name.clone();
        let now = Absent::after(absent.record, error);
        // What lasts is told of once.
        let told = absent.next.waits() && absent.reason == now.reason;
        self.below.registry.set_absent(mirror_id, now);
        if !told {
            let error = error.clone().context("not started");
            let _ = self.below.events.report(&name, Err::<(), _>(error));
        }
        self.below.bell.ring();
        self.listen();
    }

    /// Try those again that lack a device, each by itself.
    fn try_waiting(self: &Arc<Self>) {
        for mirror_id in self.below.registry.waiting() {
            self.apart(move |starter| {
                if let Some(Err(error)) = starter.try_start(mirror_id) {
                    starter.failed(mirror_id, &error);
                }
            });
        }
    }

    /// Listen for devices as long as a mirror lacks one.
    pub(crate) fn listen(self: &Arc<Self>) {
        if self.below.registry.waiting().is_empty() || self.listens.swap(true, Ordering::SeqCst) {
            return;
        }
        let starter = Arc::clone(self);
        let begun = spawn("arrivals", move || {
            if let Err(error) = starter.listen_now() {
                log::warn!("{error}: what lacks a device is started by `resume` alone");
            }
            starter.listens.store(false, Ordering::SeqCst);
        });
        if let Err(error) = begun {
            self.listens.store(false, Ordering::SeqCst);
            log::warn!("{error}");
        }
    }

    fn listen_now(self: &Arc<Self>) -> Result<()> {
        let mut arrivals = self.below.devices.arrivals()?;
        // What came before is looked for once.
        loop {
            self.try_waiting();
            arrivals.wait()?;
            sleep(FLOCK);
            if self.below.registry.waiting().is_empty() {
                return Ok(());
            }
        }
    }
}

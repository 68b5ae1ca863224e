//! Recovery: the thread that brings a mirror's targets in sync, as the kernel's
//! kmirrord does. It copies in turns of about a second; at the end of each, what
//! was copied is flushed to the targets' disks and only then counted and noted in
//! the log: a bit never tells of bytes that a power cut could still take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::copy::{PIECE, copy, is_zero, last_try};
use super::holes::Span;
use super::leg::{Failure, Leg};
use super::mirror::Mirror;
use super::resync_queue::{Harvest, Job, ResyncQueue};
use crate::engine::buffer::Buffer;
use crate::error::{Error, Result};

/// How long a turn lasts: each ends with a flush, which costs.
const TURN: Duration = Duration::from_secs(1);

/// How many pieces are in flight. Two keep source and target busy; more hide the
/// latency of each.
const IN_FLIGHT: usize = 4;

/// The recovery of one mirror target; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Recovery {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    mirror: Arc<Mirror>,
    stop: AtomicBool,
    control: Mutex<Control>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Control {
    /// Whether it may copy.
    run: bool,
    /// Whether it is to look for work, and whether that is the first time since
    /// it may run.
    look: bool,
    fresh: bool,
    /// Whether a turn is under way.
    busy: bool,
    /// Whether the thread is to end.
    quit: bool,
}

impl Recovery {
    /// Recovery that waits to be started.
    ///
    /// # Errors
    /// EAGAIN where no thread can be had.
    pub(super) fn new(mirror: &Arc<Mirror>) -> Result<Recovery> {
        let shared = Arc::new(Shared {
            mirror: Arc::clone(mirror),
            stop: AtomicBool::new(true),
            control: Mutex::default(),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let builder = thread::Builder::new().name("recovery".into());
        let thread = builder
            .spawn(move || own.serve())
            .map_err(|error| Error::io("starting the thread `recovery`", &error))?;
        Ok(Recovery {
            shared,
            thread: Some(thread),
        })
    }

    /// The mirror that it brings in sync.
    pub(super) fn mirror(&self) -> &Mirror {
        &self.shared.mirror
    }

    /// Begin, or go on: the log is read, and all that is missing is tried.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn start(&self) -> Result<()> {
        self.mirror().resume()?;
        self.shared.stop.store(false, Ordering::Relaxed);
        let mut control = self.shared.control.lock();
        (control.run, control.look, control.fresh) = (true, true, true);
        drop(control);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Whether nothing is copied, and nothing will be before the next start.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let control = self.shared.control.lock();
        !control.busy && !control.look
    }

    /// Stop as soon as what is in flight has ended, and wait for that.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut control = self.shared.control.lock();
        control.run = false;
        let changed = &self.shared.changed;
        changed.wait_while(&mut control, |control| control.busy);
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        self.stop();
        self.shared.control.lock().quit = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self) {
        let work = Mutex::new(ResyncQueue::default());
        while let Some(fresh) = self.wait() {
            if fresh {
                work.lock().drop_part(&self.mirror);
            }
            self.turn(&work);
            let more = self.mirror.parts.log.has_work() || work.lock().is_open();
            let mut control = self.control.lock();
            control.busy = false;
            control.look &= more;
            drop(control);
            self.changed.notify_all();
        }
    }

    /// Wait for a turn; none when there will be no more.
    fn wait(&self) -> Option<bool> {
        let ready = |control: &mut Control| !(control.quit || control.run && control.look);
        let mut control = self.control.lock();
        self.changed.wait_while(&mut control, ready);
        if control.quit {
            return None;
        }
        control.busy = true;
        Some(std::mem::take(&mut control.fresh))
    }

    fn turn(&self, work: &Mutex<ResyncQueue>) {
        let end = Instant::now() + TURN;
        thread::scope(|scope| {
            for _ in 1..IN_FLIGHT {
                let helper = thread::Builder::new().name("copy".into());
                // Without helpers it is only slower.
                let _ = helper.spawn_scoped(scope, || self.copy_until(end, work));
            }
            self.copy_until(end, work);
        });
        let harvest = work.lock().harvest();
        if !self.bring_in(&harvest) {
            // What it has of the turn may be lost as well.
            work.lock().fail_part();
        }
        self.mirror.check_end();
    }

    fn copy_until(&self, end: Instant, work: &Mutex<ResyncQueue>) {
        let mut buffer = None;
        // A turn does not wait for the throttle either: what was copied counts.
        let stopped = || self.stop.load(Ordering::Relaxed) || Instant::now() >= end;
        while Instant::now() < end {
            let Some(_turn) = self.mirror.throttle.begin(stopped) else {
                return;
            };
            let Some(job) = work.lock().next(&self.mirror) else {
                return;
            };
            let buffer = buffer.get_or_insert_with(|| Buffer::new(PIECE as usize));
            for region in self.try_job(&job, buffer) {
                work.lock().fail(region);
            }
        }
    }

    /// Copy a piece; answers the regions that failed.
    fn try_job(&self, job: &Job, buffer: &mut Buffer) -> Vec<u64> {
        let regions = job.regions.clone();
        if regions.end - regions.start == 1 {
            let copied = last_try(&self.mirror, job.start, job.size, buffer);
            return regions.filter(|_| !copied).collect();
        }
        if copy(&self.mirror, job.start, job.size, buffer) == 0 {
            return Vec::new();
        }
        let failed = regions.filter(|region| {
            let (start, size) = self.mirror.place(*region);
            !last_try(&self.mirror, start, size, buffer)
        });
        failed.collect()
    }

    /// Flush the targets, then count the regions that have come to their end.
    /// Answers whether all that was written is safe. What was written of a region
    /// that is partly out is flushed too: an error belongs to the turn that it is of.
    fn bring_in(&self, harvest: &Harvest) -> bool {
        if harvest.ended.is_empty() && !harvest.open {
            return true;
        }
        let safe = self.flush();
        for region in harvest.ended.iter().cloned().flatten() {
            let copied = safe && !harvest.failed.contains(&region);
            self.mirror.complete(region, copied);
        }
        if self.find_cut() {
            self.mirror.lose_all();
        }
        // A power cut costs no more than the turn under way.
        self.mirror.flush_log();
        safe
    }

    /// Whether all that was written is on the targets' disks. Nobody writes
    /// meanwhile.
    fn flush(&self) -> bool {
        let is_kept = |leg: &Leg, hole: &Span| is_zero(&self.mirror, leg, hole);
        let flushed = |leg: &Leg| {
            let holes = leg.store.flush();
            let done = holes.is_ok_and(|holes| holes.iter().all(|hole| is_kept(leg, hole)));
            if !done {
                self.mirror.fail(leg, Failure::Flush);
            }
            done
        };
        let targets = self.mirror.targets().iter();
        targets.filter(|leg| !flushed(leg)).count() == 0
    }

    /// Whether a target was cut while it was copied to: it has lost what it had.
    fn find_cut(&self) -> bool {
        let cut = self.mirror.targets().iter().filter(|leg| leg.is_cut());
        cut.map(|leg| self.mirror.fail(leg, Failure::Sync)).count() > 0
    }
}

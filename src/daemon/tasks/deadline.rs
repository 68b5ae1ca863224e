//! Work that may take long, off the threads that answer FUSE: each piece has a
//! thread of its own and an answer that is owed within a bounded time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::thread::spawn;
use crate::error::{Errno, Error, Result};

type Overdue = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Due {
    next: u64,
    waiting: BTreeMap<(Instant, u64), Overdue>,
}

/// Runs work and answers for it in time.
pub struct Deadlines {
    due: Mutex<Due>,
    changed: Condvar,
}

impl Deadlines {
    /// A desk that keeps time.
    ///
    /// # Errors
    /// EAGAIN where no thread can be started.
    pub fn open() -> Result<Arc<Deadlines>> {
        let desk = Arc::new(Deadlines {
            due: Mutex::default(),
            changed: Condvar::new(),
        });
        let clock = Arc::clone(&desk);
        spawn("deadlines", move || clock.keep_time())?;
        Ok(desk)
    }

    /// Do `work` on a thread of its own and give its result to `answer`; if it
    /// takes longer than `patience`, `answer` gets EINPROGRESS and the work goes
    /// on.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        patience: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let slot = Arc::new(Mutex::new(Some(answer)));
        let late = Arc::clone(&slot);
        let overdue = Box::new(move || give(&late, Err(still_running())));
        let ticket = self.promise(patience, overdue);
        let (desk, owed) = (Arc::clone(self), Arc::clone(&slot));
        let started = spawn("verb", move || {
            let result = work();
            desk.settle(ticket);
            give(&owed, result);
        });
        if let Err(error) = started {
            self.settle(ticket);
            give(&slot, Err(error));
        }
    }

    /// Do something short after a while, on the thread that keeps time.
    pub fn after(&self, pause: Duration, what: impl FnOnce() + Send + 'static) {
        self.promise(pause, Box::new(what));
    }

    fn promise(&self, patience: Duration, overdue: Overdue) -> (Instant, u64) {
        let mut due = self.due.lock();
        due.next += 1;
        let ticket = (Instant::now() + patience, due.next);
        due.waiting.insert(ticket, overdue);
        // Only an earlier end than any before changes what the clock waits for.
        if due.waiting.keys().next() == Some(&ticket) {
            self.changed.notify_one();
        }
        ticket
    }

    fn settle(&self, ticket: (Instant, u64)) {
        self.due.lock().waiting.remove(&ticket);
    }

    fn keep_time(&self) {
        let mut due = self.due.lock();
        loop {
            let now = Instant::now();
            let later = due.waiting.split_off(&(now, u64::MAX));
            let overdue = std::mem::replace(&mut due.waiting, later);
            if !overdue.is_empty() {
                drop(due);
                overdue.into_values().for_each(|tell| tell());
                due = self.due.lock();
                continue;
            }
            match due.waiting.keys().next().copied() {
                Some((end, _)) => drop(self.changed.wait_until(&mut due, end)),
                None => self.changed.wait(&mut due),
            }
        }
    }
}

fn give<T, A: FnOnce(Result<T>)>(slot: &Mutex<Option<A>>, result: Result<T>) {
    let answer = slot.lock().take();
    if let Some(answer) = answer {
        answer(result);
    }
}

fn still_running() -> Error {
    Error::new(
        Errno::EINPROGRESS,
        "still running; the result will appear in `events`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn quick_work_gets_its_own_answer() {
        let desk = Deadlines::open().expect("desk");
        let (send, receive) = mpsc::channel();
        desk.run(
            PATIENCE,
            || Ok(7),
            move |result| send.send(result).expect("sent"),
        );
        assert_eq!(receive.recv(), Ok(Ok(7)));
    }

    #[test]
    fn slow_work_goes_on_after_its_caller_was_told() {
        let desk = Deadlines::open().expect("desk");
        let (send, answers) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let work = move || {
            wait.recv().ok();
            end.send(()).expect("end");
            Ok(())
        };
        desk.run(Duration::from_millis(30), work, move |result| {
            send.send(result).expect("sent")
        });
        let answer = answers.recv().expect("an answer");
        assert_eq!(answer.map_err(|e| e.errno()), Err(Errno::EINPROGRESS));
        go.send(()).expect("go");
        assert_eq!(ended.recv_timeout(Duration::from_secs(5)), Ok(()));
        assert!(answers.recv().is_err(), "one answer and no more");
    }

    #[test]
    fn a_slow_one_does_not_hold_up_a_quick_one() {
        let desk = Deadlines::open().expect("desk");
        let (_never, wait) = mpsc::channel::<()>();
        desk.run(PATIENCE, move || Ok(wait.recv().is_ok()), |_| ());
        let (send, receive) = mpsc::channel();
        desk.run(
            PATIENCE,
            || Ok(1),
            move |result| send.send(result).expect("sent"),
        );
        assert_eq!(receive.recv_timeout(Duration::from_secs(5)), Ok(Ok(1)));
    }
}

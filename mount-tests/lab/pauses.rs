//! For how long the machine let nobody run: under emulation, and on a host with other
//! work, it stands still for a while now and then, which is not the program's doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How often it looks.
const STEP: Duration = Duration::from_millis(5);

/// A thread that sleeps, and looks by how much too long that took.
pub struct Pauses {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Pauses {
    /// From now on.
    pub fn start() -> Pauses {
        let over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                sleep(STEP);
                longest = longest.max(began.elapsed() - STEP);
            }
            longest
        });
        Pauses { over, thread }
    }

    /// The longest since then.
    pub fn end(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

//! One case with its time. A case that fails tells what there was; one that does not end
//! is let go of what it waits for, and the next one runs whatever became of it.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed};
use mirrorfs::engine::Kind;

use super::case::Case;
use super::state;
use super::{Lab, long};

/// What a case may need to clear up once it has failed, and once more after it was let
/// go of everything.
fn afterwards() -> Duration {
    let given = std::env::var(AFTERWARDS).ok();
    Duration::from_secs(given.and_then(|word| word.parse().ok()).unwrap_or(20))
}

/// The variable that sets it, in seconds, for the test of this.
pub const AFTERWARDS: &str = "MIRRORFS_AFTERWARDS";

/// How much longer a case may take that is done at its full length.
const LONG: u32 = 40;

/// What is heard of a case.
enum Said {
    /// Something panicked in it; what there was.
    Panicked(String),
    /// It is over; why, where it failed.
    Ended(Result<(), String>),
}

/// The case that runs, for what panics in any of its threads.
static RUNNING: Mutex<Option<(Arc<Lab>, Sender<Said>)>> = Mutex::new(None);

/// Have panics heard, of whichever thread. The first of a case tells what there was,
/// before anything is cleared up.
pub fn hear_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let running = RUNNING.lock().ok().and_then(|mut running| running.take());
        if let Some((lab, say)) = running {
            let _ = say.send(Said::Panicked(state::of(&lab)));
        }
    }));
}

/// Run a case on this engine; `name` is what it is called.
///
/// # Errors
/// Why it failed, with what there was.
pub fn perform(engine: Kind, name: &str, case: &'static Case) -> Result<Completion, Failed> {
    let (began, lab) = (Instant::now(), Arc::new(Lab::new(engine)));
    lab.nothing_on_disks();
    let said = start(&lab, case)?;
    let ended = wait(&lab, &said, limit(case));
    if let Ok(mut running) = RUNNING.lock() {
        *running = None;
    }
    // What a failed case leaves must not fail the next one too.
    let left = lab.nothing_left(name);
    print!("{:.1} s ", began.elapsed().as_secs_f32());
    ended.map_err(Failed::from)?;
    left.map(|()| Completion::Completed)
}

fn limit(case: &Case) -> Duration {
    let factor = if long() { LONG } else { 1 };
    Duration::from_secs(case.seconds) * factor
}

fn start(lab: &Arc<Lab>, case: &'static Case) -> Result<Receiver<Said>, Failed> {
    let (say, said) = channel();
    if let Ok(mut running) = RUNNING.lock() {
        *running = Some((Arc::clone(lab), say.clone()));
    }
    let lab = Arc::clone(lab);
    let body = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| (case.body)(&lab)));
        drop(lab);
        let _ = say.send(Said::Ended(ended.map_err(|panic| words(&*panic))));
    };
    let thread = thread::Builder::new().name("case".into()).spawn(body);
    thread.map(|_| said).map_err(Failed::from)
}

/// Wait for the end of a case, and see to it that there is one.
fn wait(lab: &Lab, said: &Receiver<Said>, limit: Duration) -> Result<(), String> {
    let mut told = String::new();
    let end = Instant::now() + limit;
    let mut left = limit;
    loop {
        match said.recv_timeout(left) {
            Ok(Said::Ended(ended)) => return ended.map_err(|why| format!("{why}\n{told}")),
            Ok(Said::Panicked(state)) => {
                told = state;
                left =
                    afterwards().min(end.saturating_duration_since(Instant::now()) + afterwards());
            }
            Err(_) => break,
        }
    }
    let why = if told.is_empty() {
        told = state::of(lab);
        format!("not through after {limit:?}")
    } else {
        "it failed, and something still waits".to_string()
    };
    eprintln!("{why}: everything is let go\n{told}");
    state::release(lab);
    match said.recv_timeout(afterwards()) {
        Ok(_) => Err(format!("{why}\n{told}")),
        Err(_) => Err(format!("{why}, and hangs for good\n{told}")),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a panic without words".into())
}

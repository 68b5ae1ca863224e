//! The log server as a process: it hears the kernel, and does what is to be done.

mod cure;
mod keep;
mod link;
mod look;
pub mod options;
mod write;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::Duration;

use parking_lot::Mutex;

use self::keep::Keeper;
use self::link::Link;
use self::options::Options;
use self::write::Writers;
use super::serve::Server;
use super::serve::act::{Act, Done, Look};
use super::state::cure::Cure;
use super::state::order::NodeId;
use crate::command::{hardening, logging};
use crate::daemon::tasks::realtime::{in_real_time, ordinary};
use crate::daemon::tasks::thread::spawn;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::devices::Looped;
use crate::error::Result;

/// What this machine is called where no other one has the log.
const ALONE: NodeId = 1;

/// How often what is due is done.
const TICK: Duration = Duration::from_secs(1);

/// All that a request may change.
struct Core {
    server: Server,
    keeper: Keeper,
    writers: Writers,
    /// What no thread could be had for, and the jobs that nobody has written.
    later: Vec<Act>,
    failed: Vec<(String, u64)>,
    shared: Weak<Shared>,
}

/// What the threads share.
struct Shared {
    link: Link,
    engine: Kernel,
    core: Mutex<Core>,
}

/// Serve until the process ends, and answer the exit status.
pub fn run(options: &Options) -> i32 {
    hardening::give_back();
    logging::start(options.verbosity);
    let result = match &options.cure {
        Some((log, what)) => cure::cure(log, *what),
        None => serve(options),
    };
    logging::finish();
    result.map_or_else(
        |error| {
            eprintln!("mirrorfs-logd: {error}");
            1
        },
        |()| 0,
    )
}

fn serve(options: &Options) -> Result<()> {
    hardening::ensure();
    let keeper = Keeper::open(&options.state_dir)?;
    let shared = open(keeper)?;
    take_over(&shared)?;
    // Without systemd nobody listens.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    log::info!("serves the logs of this machine alone");
    let ticking = Arc::clone(&shared);
    spawn("tick", move || tick(&ticking))?;
    let mut result = Ok(());
    in_real_time(|| result = hear(&shared));
    result
}

fn open(keeper: Keeper) -> Result<Arc<Shared>> {
    let (link, engine) = (Link::open()?, Kernel::open()?);
    let name = RandomState::new().build_hasher().finish();
    Ok(Arc::new_cyclic(|weak: &Weak<Shared>| {
        let shared = weak.clone();
        let told = move |log: &str, number, done: Done| {
            if let Some(shared) = shared.upgrade() {
                shared.does(|server| server.written(log, number, done));
            }
        };
        let core = Core {
            server: Server::alone(ALONE, keeper.boot(), name),
            keeper,
            writers: Writers::new(Arc::new(told)),
            later: Vec::new(),
            failed: Vec::new(),
            shared: weak.clone(),
        };
        Shared {
            link,
            engine,
            core: Mutex::new(core),
        }
    }))
}

/// Go on from what a server before has kept. A log that no table has is none any more:
/// the kernel may not have had anybody to tell so.
fn take_over(shared: &Shared) -> Result<()> {
    let there = look::all_logs(&shared.engine);
    let there = there.inspect_err(|error| log::warn!("which logs there are: {error}"));
    let mut core = shared.core.lock();
    for (log, records) in core.keeper.load()? {
        if there.as_ref().is_ok_and(|there| !there.contains(&log)) {
            core.keeper.forget(&log);
            continue;
        }
        let acts = core.server.take_over(&log, records);
        core.keep_all(&log);
        core.perform(&shared.link, acts);
    }
    Ok(())
}

/// One request after the other.
fn hear(shared: &Shared) -> Result<()> {
    loop {
        if let Some(packet) = shared.link.receive()? {
            log::trace!("asked: {packet:?}");
            shared.does(|server| server.asked(packet));
        }
    }
}

fn tick(shared: &Shared) {
    loop {
        sleep(TICK);
        shared.core.lock().tick(&shared.link);
    }
}

impl Shared {
    fn does(&self, what: impl FnOnce(&mut Server) -> Vec<Act>) {
        let mut core = self.core.lock();
        let acts = what(&mut core.server);
        core.perform(&self.link, acts);
    }
}

impl Core {
    /// Do all this in its order. Where nobody else has the log, what is said to the group
    /// is heard at once.
    fn perform(&mut self, link: &Link, acts: Vec<Act>) {
        let mut acts = VecDeque::from(acts);
        while let Some(act) = acts.pop_front() {
            match act {
                Act::Join(log) => {
                    acts.extend(self.server.joined(&log, BTreeSet::from([ALONE])));
                }
                Act::Send(log, wire) => acts.extend(self.server.heard(&log, ALONE, *wire)),
                Act::Keep(log, record) => {
                    if self.keeper.add(&log, &record) {
                        self.keep_all(&log);
                    }
                }
                Act::Answer(message) => {
                    let sent = link.send(&message);
                    sent.unwrap_or_else(|error| log::warn!("{error}"));
                }
                act => self.start(act),
            }
        }
    }
}

impl Core {
    /// Do what may take its time: on another thread.
    fn start(&mut self, act: Act) {
        match act {
            Act::Look(..) | Act::Cure(..) => {
                let again = act.clone();
                if !self.apart("look", move |shared| shared.does_apart(act)) {
                    self.later.push(again);
                }
            }
            Act::Write(log, job) => {
                let (number, sent) = (job.number, self.writers.write(&log, job));
                if !sent {
                    self.failed.push((log, number));
                }
            }
            Act::Leave(log) => {
                self.keeper.forget(&log);
                self.writers.forget(&log);
            }
            Act::Warn(sentence) => log::warn!("{sentence}"),
            Act::Join(_) | Act::Send(..) | Act::Keep(..) | Act::Answer(_) => {}
        }
    }

    /// False where no thread can be had.
    fn apart(&self, name: &str, what: impl FnOnce(&Shared) + Send + 'static) -> bool {
        let shared = self.shared.clone();
        let body = move || {
            ordinary();
            if let Some(shared) = shared.upgrade() {
                what(&shared);
            }
        };
        let started = spawn(name, body).inspect_err(|error| log::warn!("{error}"));
        started.is_ok()
    }

    /// A second has gone by: what could not be begun is tried again.
    fn tick(&mut self, link: &Link) {
        let mut acts = std::mem::take(&mut self.later);
        for (log, number) in std::mem::take(&mut self.failed) {
            acts.extend(self.server.written(&log, number, Done::Failed));
        }
        acts.extend(self.server.tick());
        self.perform(link, acts);
    }

    /// Keep all that is known of a log, and nothing else of it.
    fn keep_all(&mut self, log: &str) {
        if let Some(all) = self.server.kept(log) {
            self.keeper.replace(log, &all);
        }
    }
}

impl Shared {
    fn does_apart(&self, act: Act) {
        match act {
            Act::Look(log, what) => self.look(&log, &what),
            Act::Cure(log, what) => self.cure(&log, what),
            _ => {}
        }
    }

    fn look(&self, log: &str, what: &Look) {
        let looked = look::look(&self.engine, &Looped::default(), log, what);
        log::debug!("the log {log}: {looked:?}");
        self.does(|server| server.looked(log, what.luid, &looked));
    }

    fn cure(&self, log: &str, what: Cure) {
        log::info!("the log {log}: what is not in sync is not asked for, {what:?}");
        cure::start(log, what);
        self.does(|server| server.cured(log));
    }
}

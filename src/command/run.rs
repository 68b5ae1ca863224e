//! From options to a mounted file system, and to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fuser::Session;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getegid, geteuid};

use super::background::{self, Waiting};
use super::config::Options;
use super::mounting::{self, detach};
use super::{engines, hardening, logging, mountpoint, state};
use crate::daemon::Daemon;
use crate::daemon::commands::restore::Task;
use crate::daemon::tasks::thread::spawn;
use crate::error::{Error, Result};
use crate::fuse::Fs;
use crate::tree::Tree;

/// How long the end waits for verbs that are half done.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// What is done once the mirrors that were recorded are there.
type Ready = Box<dyn FnOnce() -> Result<()> + Send>;

/// A mounted file system that waits to be served.
struct Mounted {
    /// What is left to do of what is recorded.
    recorded: Vec<Task>,
    session: Session<Fs>,
    daemon: Arc<Daemon>,
    folder: PathBuf,
    lock: Arc<state::Lock>,
}

/// Mount, serve until unmounted, and answer the exit status.
pub fn run(options: Options) -> i32 {
    hardening::give_back();
    let result = if options.foreground {
        foreground(&options)
    } else {
        in_background(&options)
    };
    logging::finish();
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("mirrorfs: {error}");
            1
        }
    }
}

fn foreground(options: &Options) -> Result<()> {
    block_signals()?;
    logging::start(options.verbosity);
    let ready = || {
        // Without systemd nobody listens.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        Ok(())
    };
    serve(mount(options)?, Box::new(ready))
}

fn in_background(options: &Options) -> Result<()> {
    // The new process works in `/`: a relative path is of the old one's folder.
    let mut options = options.clone();
    let paths = std::iter::once(&mut options.mountpoint).chain(&mut options.state_dir);
    for path in paths {
        *path = std::path::absolute(&*path).map_err(|error| Error::io(path.display(), &error))?;
    }
    let waiting = background::enter()?;
    block_signals()?;
    logging::start(options.verbosity);
    // Until then one line is printed: the reason why it will not be ready.
    let level = log::max_level();
    log::set_max_level(level.min(log::LevelFilter::Error));
    match mount(&options) {
        Ok(mounted) => {
            let ready = move || {
                log::set_max_level(level);
                waiting.ready()
            };
            serve(mounted, Box::new(ready))
        }
        Err(error) => leave(waiting, &error),
    }
}

/// The command that waits prints the reason.
fn leave(waiting: Waiting, error: &Error) -> Result<()> {
    waiting.failed(error);
    logging::finish();
    std::process::exit(1)
}

fn mount(options: &Options) -> Result<Mounted> {
    let folder = mountpoint::prepare(&options.mountpoint)?;
    let engine = engines::open(options)?;
    if matches!(engine, engines::Opened::Kernel(_)) {
        hardening::ensure();
    }
    let lock = Arc::new(state::take(&state::folder(options)?)?);
    let made = engines::daemon(engine, lock.folder());
    let daemon = made.inspect_err(|_| lock.leave())?;
    let recorded = daemon.restore(options.restore)?;
    daemon.start()?;
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let fs = Fs::new(Tree::new(Arc::clone(&daemon), owner));
    Ok(Mounted {
        recorded,
        session: mounting::attach(fs, &folder, options)?,
        daemon,
        folder,
        lock,
    })
}

/// Every thread inherits this: a signal that reached a thread in the middle of
/// a suspend would wedge the device.
fn block_signals() -> Result<()> {
    let all = SigSet::all();
    all.thread_block()
        .map_err(|errno| Error::sys("blocking signals", errno))
}

/// Serve the mount; `ready` is told when the mirrors are there, or it takes too long.
fn serve(mounted: Mounted, ready: Ready) -> Result<()> {
    let (recorded, daemon) = (mounted.recorded, Arc::clone(&mounted.daemon));
    spawn("ready", move || {
        daemon.start_all(recorded);
        if let Err(error) = ready() {
            log::error!("{error}");
        }
    })?;
    let (folder, daemon) = (mounted.folder, Arc::clone(&mounted.daemon));
    let lock = Arc::clone(&mounted.lock);
    spawn("signals", move || end_on_signal(&folder, &daemon, &lock))?;
    let served = mounted.session.run();
    end(&mounted.daemon, &mounted.lock);
    served.map_err(|error| Error::io("serving the mount", &error))
}

/// Wait for SIGTERM, SIGINT or SIGHUP, and unmount.
fn end_on_signal(folder: &Path, daemon: &Daemon, lock: &state::Lock) {
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        ends.add(signal);
    }
    let signal = ends.wait();
    log::info!("ended by {signal:?}");
    if let Err(error) = detach(folder, false) {
        log::warn!("{error}: unmounting anyway");
        if let Err(error) = detach(folder, true) {
            log::error!("{error}");
        }
        // Whoever still has a file open would keep the daemon for ever.
        end(daemon, lock);
        logging::finish();
        std::process::exit(0);
    }
}

/// The end, once nobody can ask any more.
fn end(daemon: &Daemon, lock: &state::Lock) {
    settle(daemon);
    daemon.close();
    lock.leave();
}

/// Let verbs that are half done come to their end, within reason.
fn settle(daemon: &Daemon) {
    let end = Instant::now() + SETTLE_WITHIN;
    while daemon.view.registry.is_busy() && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
}

//! From options to a mounted file system, and to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fuser::{Config, Session, SessionACL};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Uid, getegid, geteuid};

use super::background::{self, Waiting};
use super::mounting::{attach, detach};
use super::options::{EngineName, Options};
use super::{logging, mountpoint, state};
use crate::daemon::desk::spawn;
use crate::daemon::{Daemon, watch};
use crate::engine::kernel::Kernel;
use crate::engine::kernel::devices::Looped;
use crate::error::{Errno, Error, Result};
use crate::fuse::Fs;
use crate::tree::Tree;

/// Threads that answer FUSE. None of them ever waits for a device, so a few are
/// enough for many readers.
const THREADS: usize = 4;

/// How long the end waits for verbs that are half done.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted file system that waits to be served.
struct Mounted {
    session: Session<Fs>,
    daemon: Arc<Daemon>,
    folder: PathBuf,
    _lock: state::Lock,
}

/// Mount, serve until unmounted, and answer the exit status.
pub fn run(options: Options) -> i32 {
    let result = match options.foreground {
        true => foreground(&options),
        false => in_background(&options),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("mirrorfs: {error}");
            1
        }
    }
}

fn foreground(options: &Options) -> Result<()> {
    logging::start(options.verbosity);
    let mounted = mount(options)?;
    // Without systemd nobody listens.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    serve(mounted)
}

fn in_background(options: &Options) -> Result<()> {
    // The new process works in `/`: a relative path is of the old one's folder.
    let mut options = options.clone();
    for path in [&mut options.mountpoint, &mut options.state_dir] {
        *path = std::path::absolute(&*path).map_err(|error| Error::io(path.display(), &error))?;
    }
    let waiting = background::enter()?;
    logging::start(options.verbosity);
    // Until then one line is printed: the reason why it will not be ready.
    let level = log::max_level();
    log::set_max_level(level.min(log::LevelFilter::Error));
    match mount(&options) {
        Ok(mounted) => {
            log::set_max_level(level);
            waiting.ready()?;
            serve(mounted)
        }
        Err(error) => leave(waiting, &error),
    }
}

/// The command that waits prints the reason.
fn leave(waiting: Waiting, error: &Error) -> Result<()> {
    waiting.failed(error);
    std::process::exit(1)
}

fn mount(options: &Options) -> Result<Mounted> {
    block_signals()?;
    let folder = mountpoint::prepare(&options.mountpoint)?;
    if options.engine == EngineName::Embedded {
        let sentence = "this version has no embedded engine yet: use --engine kernel";
        return Err(Error::new(Errno::ENOTSUP, sentence));
    }
    let engine = Arc::new(Kernel::open()?);
    let lock = state::take(&options.state_dir)?;
    let daemon = Daemon::new(engine, Arc::new(Looped::default()))?;
    watch::start(&daemon)?;
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let fs = Fs::new(Tree::new(Arc::clone(&daemon), owner));
    let allow_other = options.allow_other.unwrap_or(Uid::effective().is_root());
    let device = attach(&folder, &options.source, options.flags, allow_other)?;
    let config = config(allow_other);
    let session = Session::from_fd(fs, device, config.acl, config).map_err(|error| {
        // Nobody would answer for the mount: the reason is what matters.
        let _ = detach(&folder, true);
        Error::io(format!("mounting on {}", folder.display()), &error)
    })?;
    Ok(Mounted {
        session,
        daemon,
        folder,
        _lock: lock,
    })
}

/// Every thread inherits this: a signal that reached a thread in the middle of
/// a suspend would wedge the device.
fn block_signals() -> Result<()> {
    let all = SigSet::all();
    all.thread_block()
        .map_err(|errno| Error::sys("blocking signals", errno))
}

fn config(allow_other: bool) -> Config {
    let mut config = Config::default();
    // Root's mirrors can be looked at by all, as `default_permissions` allows.
    config.acl = match allow_other {
        true => SessionACL::All,
        false => SessionACL::Owner,
    };
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    config
}

fn serve(mounted: Mounted) -> Result<()> {
    let (folder, daemon) = (mounted.folder, Arc::clone(&mounted.daemon));
    spawn("signals", move || end_on_signal(&folder, &daemon))?;
    let served = mounted.session.run();
    settle(&mounted.daemon);
    served.map_err(|error| Error::io("serving the mount", &error))
}

/// Wait for SIGTERM, SIGINT or SIGHUP, and unmount.
fn end_on_signal(folder: &Path, daemon: &Daemon) {
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        ends.add(signal);
    }
    let signal = ends.wait();
    log::info!("ended by {signal:?}");
    if let Err(error) = detach(folder, false) {
        log::warn!("{error}: it is taken away all the same");
        if let Err(error) = detach(folder, true) {
            log::error!("{error}");
        }
        // Whoever still has a file open would keep the daemon for ever.
        settle(daemon);
        std::process::exit(0);
    }
}

/// Let verbs that are half done come to their end, within reason.
fn settle(daemon: &Daemon) {
    let end = Instant::now() + PATIENCE;
    while daemon.registry.is_busy() && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
}

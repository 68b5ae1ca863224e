//! What the tests stand on: an engine, disks, a mounted mirrorfs, a shell.

pub mod bounded;
pub mod case;
pub mod disklog;
pub mod disks;
pub mod dm;
pub mod engine;
pub mod expect;
pub mod fragile;
pub mod guest;
pub mod kernlog;
pub mod left;
pub mod logd;
pub mod mount;
pub mod perform;
pub mod served;
pub mod shared;
pub mod shell;
pub mod slow;
pub mod state;
pub mod threads;
pub mod traces;
pub mod writeback;
pub mod writer;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mirrorfs::engine::Kind;
use tempfile::TempDir;

use mount::Mount;

/// What one test stands on: an engine, and a folder that goes with the test.
pub struct Lab {
    /// The engine that its mounts run on.
    pub engine: Kind,
    folder: TempDir,
    /// What a mount has noticed at its end.
    notes: Notes,
}

/// What is wrong and was noticed where nothing can panic.
pub type Notes = Arc<Mutex<Vec<String>>>;

impl Lab {
    /// A new one, in which nothing is.
    pub fn new(engine: Kind) -> Lab {
        // Legs in memory would be quicker than any disk and may not fit.
        let parent = match engine {
            Kind::Kernel => std::env::temp_dir(),
            Kind::Embedded => "/var/tmp".into(),
        };
        let parent = parent.canonicalize().expect("a folder for temporary files");
        let folder = tempfile::tempdir_in(parent).expect("a folder");
        // Others may pass; what they may see is each mount's own matter.
        set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("open to all");
        Lab {
            engine,
            folder,
            notes: Notes::default(),
        }
    }

    /// Whether device-mapper is below: what there can be compared with it.
    pub fn is_kernel(&self) -> bool {
        self.engine == Kind::Kernel
    }

    /// The kind of event that tells of a mirror which a new mount finds.
    pub fn found_again(&self) -> &'static str {
        match self.engine {
            Kind::Kernel => "adopted",
            Kind::Embedded => "restored",
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Mount in the background, as a user does.
    pub fn mount(&self) -> Mount {
        self.mount_on(self.engine)
    }

    /// Mount on an engine of the test's choice.
    pub fn mount_on(&self, engine: Kind) -> Mount {
        let mount = Mount::new(self, engine);
        mount.mount("");
        mount
    }
}

/// Wait until `condition` holds; panics with `what` after ten seconds.
pub fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    wait_longer(10, what, condition);
}

/// The same with a time of its own, in seconds.
pub fn wait_longer(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the run is to take its time.
pub fn long() -> bool {
    std::env::var_os("MIRRORFS_LONG").is_some()
}

/// How many there are of what there are many of: a hundred where the run takes its time,
/// and enough to show the same where it does not.
pub fn many() -> usize {
    if long() { 100 } else { 30 }
}

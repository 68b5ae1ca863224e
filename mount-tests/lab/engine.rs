//! Which engines the tests run on here, and what a test may need of the machine.

use std::env;
use std::fs::OpenOptions;

use mirrorfs::engine::Kind;
use nix::unistd::Uid;

use super::guest::no_guest;
use super::shell::attempt;

/// What `MIRRORFS_ENGINES` asks for.
pub enum Asked {
    /// It is not set: a few tests on the embedded engine, for who runs `cargo test`.
    Smoke,
    /// All tests of these engines.
    All(Vec<Kind>),
}

impl Asked {
    /// The engines of the tests.
    pub fn engines(&self) -> &[Kind] {
        match self {
            Asked::Smoke => &[Kind::Embedded],
            Asked::All(engines) => engines,
        }
    }

    /// Whether the tests of a file are asked for.
    pub fn has(&self, file: &str) -> bool {
        match self {
            Asked::Smoke => SMOKE.contains(&file),
            Asked::All(_) => true,
        }
    }
}

/// Files of tests that are quick and show most of what there is.
const SMOKE: &[&str] = &[
    "worked",
    "readme",
    "shapes",
    "short",
    "wrong",
    "files",
    "values",
    "refusals",
    "records_back",
];

/// What is to be tested.
pub fn asked() -> Asked {
    let Ok(words) = env::var("MIRRORFS_ENGINES") else {
        return Asked::Smoke;
    };
    let engine = |word: &str| match word {
        "kernel" => Kind::Kernel,
        "embedded" => Kind::Embedded,
        _ => panic!("MIRRORFS_ENGINES names {word:?}: kernel and embedded are known"),
    };
    Asked::All(words.split(',').map(engine).collect())
}

/// Why the tests of this engine cannot run here, if so.
pub fn missing(engine: Kind) -> Option<String> {
    match engine {
        Kind::Kernel => no_device_mapper(),
        Kind::Embedded => no_fuse(),
    }
    .map(Into::into)
}

fn no_device_mapper() -> Option<&'static str> {
    if let Some(reason) = no_guest() {
        return Some(reason);
    }
    (!has_device_mapper()).then_some("this kernel has no device-mapper")
}

/// Whether this kernel has it: dmsetup makes the node also where nothing answers there.
fn has_device_mapper() -> bool {
    opens("/dev/mapper/control")
}

fn no_fuse() -> Option<&'static str> {
    if !opens("/dev/fuse") {
        return Some("/dev/fuse is missing or closed to this user");
    }
    (attempt("command -v fusermount3").0 != 0).then_some("there is no fusermount3: install fuse3")
}

fn opens(node: &str) -> bool {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(node).is_ok()
}

/// For tests of file systems and users of their own.
pub fn no_root() -> Option<&'static str> {
    (!Uid::effective().is_root()).then_some("it needs root")
}

/// For tests on loop devices.
pub fn no_loops() -> Option<&'static str> {
    no_root().or_else(|| {
        let free = attempt("losetup --find").0 == 0;
        (!free).then_some("this machine gives no loop device")
    })
}

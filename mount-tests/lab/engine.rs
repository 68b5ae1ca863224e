//! Which engines the tests run on here, and what a test may need of the machine.

use std::env;
use std::fs::OpenOptions;

use mirrorfs::engine::Kind;
use nix::unistd::Uid;

use super::guest::no_guest;
use super::shell::attempt;

/// The engines that `MIRRORFS_ENGINES` names; both where it is not set.
pub fn asked() -> Vec<Kind> {
    let words = env::var("MIRRORFS_ENGINES").unwrap_or_else(|_| "kernel,embedded".into());
    let engine = |word: &str| match word {
        "kernel" => Kind::Kernel,
        "embedded" => Kind::Embedded,
        _ => panic!("MIRRORFS_ENGINES names {word:?}: kernel and embedded are known"),
    };
    words.split(',').map(engine).collect()
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

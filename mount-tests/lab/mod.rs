//! What the tests stand on: disks in memory, a mounted mirrorfs, a shell.

pub mod disks;
pub mod dm;
pub mod mount;
pub mod shell;
pub mod traces;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use shell::output;

/// Why the tests cannot run here, if so.
pub fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("the kernel's device-mapper needs root".into());
    }
    if !Path::new("/dev/mapper/control").exists() {
        return Some(
            "this kernel has no device-mapper: `mount-tests/run` brings up one that has".into(),
        );
    }
    None
}

/// Wait until `condition` holds; panics with `what` after ten seconds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// After each test: no device, no loop device, no daemon is left behind.
pub fn nothing_left(name: &str) -> Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let left = [
            found("/sys/block", "dm/name", |_| true),
            found("/sys/block", "loop/backing_file", |_| true),
            found("/proc", "comm", |comm| comm == "mirrorfs\n"),
        ]
        .concat();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            output(
                "dmsetup remove_all -f; umount -l -t fuse.mirrorfs -a; pkill -9 mirrorfs; losetup -D; true",
            );
            return Err(format!("{name} left behind:\n{left}").into());
        }
        // udev may still hold what has just gone.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A line for each entry of `folder` whose file holds what is wanted. Read
/// without starting programs: this is asked after every test.
fn found(folder: &str, file: &str, wanted: fn(&str) -> bool) -> String {
    let entries = fs::read_dir(folder).expect(folder).flatten();
    let line = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join(file)).ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        wanted(&text).then(|| format!("{name} {text}"))
    };
    entries.filter_map(line).collect()
}

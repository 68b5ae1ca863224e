//! Records: what is there after the daemon, the mirror or the machine was away.

pub mod back;
pub mod broken;
pub mod coming;
pub mod deciding;
pub mod lives;
pub mod matrix;
pub mod refused;
pub mod state;

use std::fs;
use std::path::PathBuf;

use mirrorfs::engine::Kind;
use nix::errno::Errno;

use crate::lab::Lab;
use crate::lab::dm::dm;
use crate::lab::mount::Mount;

/// A mount whose state directory outlives a reboot, as far as can be seen.
pub fn lasting(lab: &Lab) -> Mount {
    lasting_on(lab, lab.engine)
}

/// The same, mounted.
pub fn lasting_mount(lab: &Lab) -> Mount {
    let mount = lasting(lab);
    mount.mount("");
    mount
}

/// The same on an engine of the test's choice.
pub fn lasting_on(lab: &Lab, engine: Kind) -> Mount {
    Mount::new_in(lab, engine, "/var/tmp")
}

/// As after a reboot: no daemon, and the mirrors are not there.
pub fn away(mount: &Mount, mirrors: &[&str]) {
    mount.stop();
    if mount.engine == Kind::Kernel {
        for mirror in mirrors {
            dm(&format!("remove --retry {mirror}"));
        }
    }
}

/// A mount, and two files of so many bytes for legs.
pub fn with_files(lab: &Lab, size: u64) -> (Mount, [String; 2]) {
    let mount = lasting(lab);
    mount.mount("");
    let legs = ["source", "target"].map(|name| mount.scratch(name));
    for path in &legs {
        let made = fs::File::create(path).and_then(|file| file.set_len(size));
        made.expect("a leg");
    }
    (mount, legs)
}

/// A mirror `m` of two files that is in sync and away, and its source.
pub fn of_files(lab: &Lab) -> (Mount, String) {
    let (mount, [source, target]) = with_files(lab, 4 << 20);
    mount.write("new", &format!("m: {source} {target}"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    (mount, source)
}

/// The records of a mount, by name.
pub fn records(mount: &Mount) -> Vec<PathBuf> {
    let entries = fs::read_dir(mount.state().join("mirrors"));
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    paths
}

/// The events of a mount that have this word.
pub fn events(mount: &Mount, word: &str) -> Vec<String> {
    let text = mount.read("events");
    let lines = text
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(word));
    lines.map(Into::into).collect()
}

/// Panics where a line was not refused with this errno and a reason that has these
/// words in it.
pub fn refused(answer: Result<String, (Errno, String)>, errno: Errno, words: &str) {
    let (found, reason) = answer.expect_err("it is refused");
    assert!(
        found == errno && reason.contains(words),
        "{found}: {reason}"
    );
}

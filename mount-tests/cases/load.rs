//! File systems in use on a mirror while everything that can be done to it is done:
//! no error reaches them, nobody waits longer than for a suspend, and afterwards all
//! that was written is there, on every leg.

mod fio;
pub mod fs;
pub mod loaded;
mod random;

use std::time::Duration;

use self::fs::Fs;
use self::loaded::LoadedMirror;
use super::failover::rig::NO_IO;
use crate::lab::case::{Case, kernel_only};
use crate::lab::shell::attempt;
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[
    kernel_only("ext4", NO_IO, |lab| verbs(lab, Fs::Ext4)).needing(programs),
    kernel_only("xfs", NO_IO, |lab| verbs(lab, Fs::Xfs)).needing(programs),
];

/// How many verbs each file system gets in random order.
const PLAIN: usize = 10;
const LONG: usize = 100;

/// How long I/O is held on purpose.
const HELD: Duration = Duration::from_millis(300);

pub fn programs() -> Option<&'static str> {
    let there = attempt("type fio mkfs.ext4 e2fsck mkfs.xfs xfs_repair");
    (there.0 != 0).then_some("fio, e2fsprogs or xfsprogs is missing: `mount-tests/setup`")
}

/// Each verb, then some in random order.
fn verbs(lab: &Lab, fs: Fs) {
    let mut loaded = LoadedMirror::new(lab, fs);
    each_verb(&mut loaded);
    let count = if long() { LONG } else { PLAIN };
    let told = random::verbs(&mut loaded, count);
    loaded.end(&told);
}

fn each_verb(loaded: &mut LoadedMirror<'_>) {
    let lab = loaded.lab;
    let add = |number| format!("add {} force=yes", lab.disk(number));
    loaded.suspend("suspend", HELD);
    loaded.suspend("suspend noflush", HELD);
    loaded.write("ctl", "retry");
    loaded.write("ctl", "resync");
    loaded.write("ctl", &add(2));
    loaded.in_sync();
    loaded.write("ctl", "drop 0");
    loaded.write("ctl", &format!("replace 0 {} force=yes", lab.disk(3)));
    loaded.in_sync();
    loaded.write("ctl", "grow 56M force=yes");
    // Before the rename: its tools look for the name that it was mounted by.
    loaded.grow_fs();
    loaded.rename("other");
    loaded.write("table", &with_a_log(loaded));
    loaded.in_sync();
    loaded.write("ctl", "finish");
    assert!(!loaded.is_mirror());
    loaded.write("ctl", &add(0));
    loaded.write("ctl", "abort");
    assert!(!loaded.is_mirror());
    loaded.write("ctl", &add(1));
}

/// The table of its two legs with a log in a file.
fn with_a_log(loaded: &LoadedMirror<'_>) -> String {
    let (legs, log) = (loaded.legs(), loaded.mount.scratch("log"));
    let size: u64 = loaded.read("size").parse().expect("a number");
    let sectors = size / 512;
    let (one, other) = (&legs[0], &legs[1]);
    format!("0 {sectors} mirror disk 2 {log} 512 2 {one} 0 {other} 0 1 handle_errors")
}

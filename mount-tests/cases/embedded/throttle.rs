//! The throttle is a share of time: a tenth of it takes about ten times as long.

use std::time::{Duration, Instant};

use crate::lab::case::{Case, embedded_only};
use crate::lab::disks::MIB;
use crate::lab::engine::no_root;
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_longer};

pub const CASES: &[Case] = &[embedded_only(
    "a_tenth_takes_longer",
    "the kernel's throttle is kcopyd's; values::throttle sets it",
    a_tenth_takes_longer,
)
.needing(no_root)];

const SIZE: u64 = 256 * MIB;

/// In memory: a disk goes on writing what is in its queue while a copy rests.
fn a_tenth_takes_longer(lab: &Lab) {
    let folder = lab.path("memory").display().to_string();
    output(&format!(
        "mkdir {folder} && mount -t tmpfs -o size={} none {folder}",
        3 * SIZE
    ));
    let _folder = Undo(format!("umount -l {folder}; rmdir {folder}"));
    let [source, target] = ["source", "target"].map(|name| format!("{folder}/{name}"));
    output(&format!("head -c {SIZE} /dev/urandom >{source}"));
    // The first copy is for nothing: later ones find the same caches.
    copy(lab, &source, &target, 100);
    // By turns, so that a busy machine slows both down.
    let (mut whole, mut tenth) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..3 {
        whole += copy(lab, &source, &target, 100);
        tenth += copy(lab, &source, &target, 10);
    }
    let ratio = tenth.as_secs_f64() / whole.as_secs_f64();
    println!("three at 100 percent {whole:?}, at 10 {tenth:?}: {ratio:.1} times as long");
    // What a copy takes beside copying is in both.
    assert!(ratio >= 4.0, "only {ratio:.1} times as long");
}

/// How long a copy takes at so many percent.
fn copy(lab: &Lab, source: &str, target: &str, percent: u32) -> Duration {
    output(&format!("rm -f {target}; truncate -s {SIZE} {target}"));
    let (mount, sectors) = (lab.mount(), SIZE / 512);
    mount.write("throttle", &percent.to_string());
    let start = Instant::now();
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror core 1 1024 2 {source} 0 {target} 0"),
    );
    wait_longer(120, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    let time = start.elapsed();
    mount.write("m/ctl", "remove");
    time
}

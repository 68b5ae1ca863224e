//! The daemon killed in the middle of a copy: the log never calls a region clean
//! that differs, and the next mount goes on.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::{DiskLog, assert_clean_is_equal};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::{Lab, long, wait_longer};

pub const CASES: &[Case] = &[embedded_only(
    "killed_while_copying",
    "the kernel copies without a daemon; vm and a power cut are its crash",
    killed_while_copying,
)];

const SIZE: u64 = 256 * MIB;
const REGION: usize = 64 << 10;

fn killed_while_copying(lab: &Lab) {
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let mount = lab.mount();
    let log = mount.scratch("log");
    let sectors = SIZE / 512;
    let table =
        format!("0 {sectors} mirror disk 2 {log} 128 2 {source} 0 {target} 0 1 handle_errors");
    mount.write("throttle", "2");
    mount.write("new", &format!("m: {table}"));
    let legs = [source.as_str(), &target];
    let mut counts = Vec::new();
    for round in 0..if long() { 20 } else { 5 } {
        sleep(a_while());
        mount.kill(Signal::SIGKILL);
        let killed = assert_clean_is_equal(&log, legs, REGION);
        // A copy that is done shows nothing any more: begin again.
        if killed as u64 == SIZE / REGION as u64 {
            lab.random(0, SIZE);
            begin_again(&log);
        }
        mount.mount("");
        mount.write("throttle", "2");
        let mounted = assert_clean_is_equal(&log, legs, REGION);
        counts.push((killed, mounted));
        println!("round {round}: {killed} regions clean when killed, {mounted} mounted again");
        assert_eq!(mount.read("m/log/file").trim(), log);
    }
    let total = (SIZE / REGION as u64) as usize;
    assert!(
        counts.iter().any(|(killed, _)| (1..total).contains(killed)),
        "never killed in the middle: {counts:?}"
    );
    mount.write("throttle", "100");
    wait_longer(60, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    assert_equal(&source, &target, SIZE);
    assert_eq!(DiskLog::read(&log).clean().len(), total);
    mount.write("m/ctl", "remove");
}

/// Up to two and a half seconds, another time in each run.
fn a_while() -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    Duration::from_millis(100 + u64::from(now.subsec_nanos()) / 1000 % 2400)
}

/// A log that calls no region clean.
fn begin_again(log: &str) {
    let mut bytes = std::fs::read(log).expect("a log");
    bytes[1024..].fill(0);
    std::fs::write(log, bytes).expect("written");
}

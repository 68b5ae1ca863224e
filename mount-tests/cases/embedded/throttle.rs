//! The throttle is a share of time: a quarter of it takes four times as long.

use std::time::{Duration, Instant};

use crate::lab::case::{Case, embedded_only};
use crate::lab::disks::MIB;
use crate::lab::{Lab, wait_longer};

pub const CASES: &[Case] = &[embedded_only(
    "a_quarter_takes_longer",
    "the kernel's throttle is kcopyd's; values::throttle sets it",
    a_quarter_takes_longer,
)];

const SIZE: u64 = 256 * MIB;

fn a_quarter_takes_longer(lab: &Lab) {
    let source = lab.random(0, SIZE);
    // The first copy is for nothing: later ones find the same caches.
    copy(lab, &source, 100);
    let (whole, quarter) = (copy(lab, &source, 100), copy(lab, &source, 25));
    let ratio = quarter.as_secs_f64() / whole.as_secs_f64();
    println!("at 100 percent {whole:?}, at 25 {quarter:?}: {ratio:.1} times as long");
    assert!(ratio >= 3.0, "only {ratio:.1} times as long");
}

/// How long a copy takes at so many percent.
fn copy(lab: &Lab, source: &str, percent: u32) -> Duration {
    let (target, sectors) = (lab.zeroed(1), SIZE / 512);
    let mount = lab.mount();
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

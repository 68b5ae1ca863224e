//! What a read costs: `status` beside a constant file of the same mount, and
//! beside running `dmsetup status`.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::lab::case::{Case, both};

pub const CASES: &[Case] = &[both("status_costs_little", status_costs_little)];

/// How often each is done; the program far less often, it takes far longer.
const READS: usize = 400;
const RUNS: usize = 20;

fn status_costs_little(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    mount.write(
        "new",
        &format!("m0: 0 8192 mirror core 2 1024 nosync 2 {a} 0 {b} 0"),
    );
    let (status, help) = (mount.path("m0/status"), mount.path("help"));
    let read = |path| {
        let mut text = [0; 8192];
        File::open(path)
            .and_then(|mut file| file.read(&mut text))
            .expect("text")
    };
    let (mut ours, mut constant) = (Vec::new(), Vec::new());
    // By turns, so that a busy machine slows both down.
    for _ in 0..READS {
        constant.push(time(|| read(&help)));
        ours.push(time(|| read(&status)));
    }
    let (ours, constant) = (median(ours), median(constant));
    let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
    println!(
        "open+read+close, medians: m0/status {ours:?}, help {constant:?}, status / help {:.2}",
        ratio(constant)
    );
    assert!(
        ratio(constant) < 5.0,
        "status costs {:.2} times the constant file",
        ratio(constant)
    );
    if lab.is_kernel() {
        let program = median((0..RUNS).map(|_| time(run_dmsetup)).collect());
        println!(
            "running dmsetup status {program:?}, status / dmsetup {:.4}",
            ratio(program)
        );
        assert!(
            ratio(program) < 0.5,
            "status costs {:.2} times running dmsetup",
            ratio(program)
        );
    }
    mount.write("m0/ctl", "remove");
}

fn run_dmsetup() {
    let run = Command::new("dmsetup").args(["status", "m0"]).output();
    assert!(run.expect("dmsetup").status.success());
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

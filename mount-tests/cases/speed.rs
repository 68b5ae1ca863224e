//! What a read costs: `status` beside a constant file of the same mount, and
//! beside running `dmsetup status`.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Case;
use crate::lab::disks::disk;
use crate::lab::mount::Mount;

pub const CASES: &[Case] = &[("status_costs_little", status_costs_little)];

/// How often each is done; the program far less often, it takes far longer.
const READS: usize = 400;
const RUNS: usize = 20;

fn status_costs_little() {
    let (mount, a, b) = (Mount::start(), disk(0), disk(1));
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
    let run = || {
        Command::new("dmsetup")
            .args(["status", "m0"])
            .output()
            .expect("dmsetup")
    };
    let runs = (0..RUNS).map(|_| time(|| assert!(run().status.success())));
    let (ours, constant, program) = (median(ours), median(constant), median(runs.collect()));
    let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
    println!(
        "open+read+close, medians: m0/status {ours:?}, help {constant:?}, running dmsetup status {program:?}; \
         status / help {:.2}, status / dmsetup {:.4}",
        ratio(constant),
        ratio(program)
    );
    assert!(
        ratio(constant) < 5.0,
        "status costs {:.2} times the constant file",
        ratio(constant)
    );
    assert!(
        ratio(program) < 0.5,
        "status costs {:.2} times running dmsetup",
        ratio(program)
    );
    mount.write("m0/ctl", "remove");
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

//! The tests of the mount: each starts the real command on a folder of its own
//! and uses it as a user would. They need root and device-mapper, which
//! `mount-tests/run` provides in a virtual machine.
// A failed expectation is how a test reports.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cases;
mod lab;

use std::panic::{catch_unwind, resume_unwind};

use libtest_mimic::{Arguments, Trial, run};

/// One test: its name and its body, which panics where something is wrong.
type Case = (&'static str, fn());

fn main() {
    let mut arguments = Arguments::from_args();
    // The kernel's mirrors, ram disks and throttle are one for all tests.
    arguments.test_threads = Some(1);
    let reason = lab::missing();
    let trials = cases::all().into_iter().map(|(name, body)| {
        let trial = Trial::test(name, move || {
            // What a failed test leaves must not fail the next one too.
            let ended = catch_unwind(body);
            let left = lab::nothing_left(name);
            ended.map_or_else(|panic| resume_unwind(panic), |()| left)
        });
        trial.with_ignored_flag(reason.is_some())
    });
    if let Some(reason) = &reason {
        println!("SKIPPED: {reason}");
    }
    run(&arguments, trials.collect()).exit();
}

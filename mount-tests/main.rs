//! The tests of the mount: each starts the real command on a folder of its own
//! and uses it as a user would, over the kernel's device-mapper, which
//! `mount-tests/run` provides in a virtual machine, and over the embedded engine.
// A failed expectation is how a test reports.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cases;
mod lab;

use libtest_mimic::{Arguments, Completion, Trial, run};
use mirrorfs::engine::Kind;

use cases::kills::crashable;
use lab::case::Case;
use lab::perform::{hear_panics, perform};
use lab::{engine, served, state};

fn main() {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some(crashable::WORD) => crashable::main(words),
        Some(served::WORD) => served::main(words),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    // The kernel's mirrors, ram disks and throttle are one for all tests, and
    // the embedded engine's rates are measured.
    arguments.test_threads = Some(1);
    hear_panics();
    let (share, shares) = share();
    let mut trials = Vec::new();
    let asked = engine::asked();
    for engine in asked.engines().iter().copied() {
        let missing = engine::missing(engine);
        if engine == Kind::Kernel && missing.is_none() {
            state::note_before();
        }
        if let Some(reason) = &missing {
            println!("SKIPPED: {engine}: {reason}");
        }
        for (file, case) in cases::all() {
            if case.runs_on(engine) && asked.has(file) {
                trials.push(trial(engine, file, case, missing.clone(), arguments.list));
            }
        }
    }
    // One after the other, so that each gets some of every file.
    let ours = trials.into_iter().enumerate();
    let ours = ours.filter(|(number, _)| number % shares == share);
    run(&arguments, ours.map(|(_, trial)| trial).collect()).exit();
}

/// Which share of the tests is to be run, and of how many, so that several machines can
/// do them: `MIRRORFS_SHARE=1/2` and `2/2`. All of them where it is not set.
fn share() -> (usize, usize) {
    let Ok(words) = std::env::var("MIRRORFS_SHARE") else {
        return (0, 1);
    };
    let parsed = words.split_once('/').and_then(|(share, shares)| {
        let (share, shares) = (share.parse::<usize>().ok()?, shares.parse().ok()?);
        (1..=shares).contains(&share).then(|| (share - 1, shares))
    });
    parsed.unwrap_or_else(|| panic!("MIRRORFS_SHARE is {words:?}: 1/2 is the first of two"))
}

/// The case on this engine; `--list` says of those for one engine why.
fn trial(
    engine: Kind,
    file: &str,
    case: &'static Case,
    missing: Option<String>,
    listed: bool,
) -> Trial {
    let name = format!("{engine}/{file}::{}", case.name);
    let what = name.clone();
    let trial = Trial::ignorable_test(name, move || {
        match missing.or_else(|| case.lacks().map(Into::into)) {
            Some(reason) => Ok(Completion::ignored_with(format!("SKIPPED: {reason}"))),
            None => perform(engine, &what, case),
        }
    });
    match case.only() {
        Some(reason) if listed => trial.with_kind(reason),
        _ => trial,
    }
}

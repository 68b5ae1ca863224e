//! Figures of speed: each is measured beside something else on the same machine in the
//! same run, by turns, and told as a ratio of medians with its spread. Started by
//! `mount-tests/bench`, which also runs it in a virtual machine.
// A measurement that cannot be made ends the run.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod compare;
mod constant;
mod lvm;
mod place;
mod plot;
mod report;
mod sample;
mod subjects;

use std::path::PathBuf;

use clap::Parser;

use report::Report;

/// What is measured, and what becomes of it.
#[derive(Parser)]
struct Options {
    /// Fewer rounds, and smaller: whether it works, not how fast
    #[arg(long)]
    short: bool,
    /// Where the result file and the plots go
    #[arg(long)]
    results: Option<PathBuf>,
    /// A folder on the disk that is to be measured
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// An unpacked LVM, to be measured beside
    #[arg(long)]
    lvm: Option<PathBuf>,
    /// The mirrorfs that is measured
    #[arg(long, default_value = env!("CARGO_BIN_EXE_mirrorfs"))]
    command: PathBuf,
    /// Two result files, to be compared; nothing is measured
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    compare: Vec<PathBuf>,
    /// Serve a constant file there, and do nothing else
    #[arg(long, hide = true)]
    constant: Option<PathBuf>,
    /// The subjects; all that can be measured here, where none is named
    subjects: Vec<String>,
}

fn main() {
    let options = Options::parse();
    if let [before, after] = options.compare.as_slice() {
        print!(
            "{}",
            compare::compare(&Report::read(before), &Report::read(after))
        );
        return;
    }
    if let Some(folder) = &options.constant {
        return constant::serve(folder);
    }
    let setting = place::Setting {
        short: options.short,
        command: options.command,
        folder: options.folder,
        lvm: options.lvm,
    };
    let mut report = Report::new();
    for subject in subjects::chosen(&options.subjects) {
        match (subject.lacks)(&setting) {
            Some(reason) => println!("SKIPPED: {}: {reason}", subject.name),
            None => {
                let figures = (subject.measure)(&setting);
                report.add(subject.name, figures);
            }
        }
    }
    if let Some(folder) = &options.results {
        report.write(folder);
    }
}

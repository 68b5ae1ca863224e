//! The figures of a run, as text while it runs and as a file at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::place::attempt;
use super::plot;
use super::sample::Figure;

/// All of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which machine: kernel, processors, memory, whether it is emulated.
    pub machine: String,
    /// Which mirrorfs.
    pub version: String,
    /// The figures of each subject.
    pub subjects: BTreeMap<String, Vec<Figure>>,
}

impl Report {
    /// That of this machine, empty.
    pub fn new() -> Report {
        let machine = "printf '%s, %s processors (%s), %s MiB' \"$(uname -sr)\" \"$(nproc)\" \
            \"$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)\" \
            \"$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)\"";
        Report {
            machine: attempt(machine).1,
            version: env!("CARGO_PKG_VERSION").into(),
            subjects: BTreeMap::new(),
        }
    }

    /// A file that [`Report::write`] made.
    pub fn read(path: &Path) -> Report {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Print and keep what was measured of a subject.
    pub fn add(&mut self, subject: &str, figures: Vec<Figure>) {
        println!("\n## {subject}\n\n| what | mirrorfs | beside | ratio | spread |");
        println!("|---|---|---|---|---|");
        figures
            .iter()
            .for_each(|figure| println!("{}", row(figure)));
        self.subjects.insert(subject.into(), figures);
    }

    /// Write `results.json` and the plots.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder for the results");
        let text = serde_json::to_string_pretty(self).expect("JSON");
        fs::write(folder.join("results.json"), text + "\n").expect("results.json");
        for (subject, figures) in &self.subjects {
            for (name, svg) in plot::plots(figures) {
                fs::write(folder.join(format!("{subject}-{name}.svg")), svg).expect("a plot");
            }
        }
        println!(
            "\nresults: {}, on {}",
            folder.join("results.json").display(),
            self.machine
        );
    }
}

/// A line of the table.
fn row(figure: &Figure) -> String {
    let Figure {
        name,
        unit,
        ours,
        beside,
        theirs,
        spread: (low, high),
        ..
    } = figure;
    let (ours, theirs) = (amount(*ours, unit), amount(*theirs, unit));
    match figure.ratio() {
        Some(ratio) => {
            format!("| {name} | {ours} | {beside} {theirs} | {ratio:.2} | {low:.2} to {high:.2} |")
        }
        None => {
            let (low, high) = (amount(*low, unit), amount(*high, unit));
            format!("| {name} | {ours} | | | {low} to {high} |")
        }
    }
}

/// A number with its unit, as a person reads it.
pub fn amount(value: f64, unit: &str) -> String {
    match unit {
        "s" if value < 1e-3 => format!("{:.1} µs", value * 1e6),
        "s" if value < 1.0 => format!("{:.1} ms", value * 1e3),
        _ if value.fract() == 0.0 => format!("{value} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

//! The files at the root, a row each.

use super::row::{Order, Row, Show};
use super::{help, info, metrics};
use crate::daemon::events::counts::Counts;
use crate::daemon::mirrors::query::Detail::{All, Devices, Engine, Kernel};
use crate::engine::{Kind, Versions};
use crate::model::health::State;
use crate::model::progress::Progress;
use crate::model::snapshot::Snapshot;
use crate::text::name::shown;
use crate::text::table::Line;

/// What the files at the root are made of: as much as each needs.
#[derive(Default)]
pub struct Root {
    /// All mirrors.
    pub mirrors: Vec<Snapshot>,
    /// Which engine, and its versions.
    pub engine: Option<(Kind, Versions)>,
    /// Percent of time that copying may take.
    pub throttle: Option<u32>,
    /// How many events there were.
    pub counts: Counts,
}

/// The rows, in the order of the interface.
pub const ROWS: &[Row<Root>] = &[
    Row::act(
        "new",
        help::usage,
        Order::Create,
        "write SOURCE TARGET, or a table, to make a mirror; read: how",
    ),
    Row::read(
        "status",
        Kernel,
        |root| each(root, |mirror| mirror.status.iter().map(text_of).collect()),
        "every mirror's status, as `dmsetup status` prints it",
    ),
    Row::read(
        "table",
        Kernel,
        |root| each(root, |mirror| mirror.lines.iter().map(text_of).collect()),
        "every mirror's table, as `dmsetup table` prints it",
    ),
    Row::read(
        "progress",
        Kernel,
        |root| each(root, |mirror| vec![Progress::line_of(mirror)]),
        "how far every mirror is, a line each",
    ),
    Row::read(
        "health",
        Devices,
        health,
        "the worst state of all, then every mirror's, a line each",
    ),
    Row::new(
        "events",
        Show::Events,
        "what happened, oldest first: TIME NAME KIND text; `tail -f` follows it",
    ),
    Row::read(
        "metrics",
        All,
        metrics::text,
        "figures of every mirror for Prometheus, as OpenMetrics text",
    ),
    Row::read(
        "mirrors.json",
        Devices,
        info::all,
        "every mirror's info.json, as one JSON array",
    ),
    Row::write(
        "throttle",
        Engine,
        throttle,
        Order::Throttle,
        "percent of time that copying may take, 1 to 100, all mirrors together",
    ),
    Row::read(
        "version",
        Engine,
        version,
        "versions of mirrorfs, the engine and the mirror target",
    ),
    Row::new("help", Show::Fixed(help::text), "this text"),
];

/// A line for each item of each mirror, its name in front.
fn each(root: &Root, lines: fn(&Snapshot) -> Vec<String>) -> String {
    let mut text = String::new();
    for mirror in &root.mirrors {
        let name = shown(&mirror.info.name);
        let lines = lines(mirror);
        lines
            .iter()
            .for_each(|line| text.push_str(&format!("{name}: {line}\n")));
        if lines.is_empty() {
            // `dmsetup` prints a device without a table so.
            text.push_str(&format!("{name}: \n"));
        }
    }
    text
}

fn text_of(line: &Line) -> String {
    line.shown().to_string()
}

fn health(root: &Root) -> String {
    let states: Vec<State> = root.mirrors.iter().map(State::of).collect();
    let worst = states.iter().max().copied().unwrap_or(State::Ok);
    let mut text = format!("{}\n", worst.word());
    for (mirror, state) in root.mirrors.iter().zip(states) {
        text.push_str(&format!("{}: {}\n", shown(&mirror.info.name), state.word()));
    }
    text
}

fn throttle(root: &Root) -> String {
    let percent = root.throttle.map(|percent| percent.to_string());
    percent.unwrap_or_default() + "\n"
}

fn version(root: &Root) -> String {
    let (kind, dm, mirror) = match &root.engine {
        Some((kind, versions)) => (
            kind.to_string(),
            versions.dm.as_str(),
            versions.mirror.as_deref(),
        ),
        None => ("none".into(), "none", None),
    };
    let mirror = mirror.unwrap_or("none");
    let own = env!("CARGO_PKG_VERSION");
    format!("mirrorfs {own} engine={kind} dm={dm} mirror={mirror}\n")
}

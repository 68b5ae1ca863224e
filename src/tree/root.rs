//! The files at the top, a row each.

use super::row::{Order, Row, Show};
use super::top::Top;
use super::{metrics, usage};
use crate::daemon::mirrors::query::Detail::{All, Devices, Engine, Kernel, Table, Whole};
use crate::model::health::State;
use crate::model::progress::Progress;
use crate::model::shared::Piece;
use crate::model::snapshot::Snapshot;
use crate::text::name::{self, shown};
use crate::text::table::Line;

/// The rows, in the order of the interface.
pub const ROWS: &[Row<Top>] = &[
    Row::act(
        "new",
        usage::text,
        Order::Create,
        "write SOURCE TARGET or a table; read: how",
    ),
    Row::read(
        "status",
        Kernel,
        |top| {
            each(top, Piece::Status, |mirror| {
                mirror.status.iter().map(text_of).collect()
            })
        },
        "every status, as `dmsetup status`",
    ),
    Row::read(
        "table",
        Table,
        |top| {
            each(top, Piece::Table, |mirror| {
                mirror.lines.iter().map(text_of).collect()
            })
        },
        "every table, as `dmsetup table`",
    ),
    Row::read(
        "progress",
        Kernel,
        |top| {
            each(top, Piece::Progress, |mirror| {
                vec![Progress::line_of(mirror)]
            })
        },
        "how far every mirror is, a line each",
    ),
    Row::read(
        "health",
        Devices,
        health,
        "worst state, then one line per mirror",
    ),
    Row::new(
        "events",
        Show::Events,
        "events, oldest first: TIME NAME KIND text",
    ),
    Row::read(
        "metrics",
        All,
        metrics::text,
        "OpenMetrics text for Prometheus",
    ),
    Row::new(
        "mirrors.json",
        Show::Info(Whole),
        "every info.json, as one JSON array",
    ),
    Row::write(
        "throttle",
        Engine,
        throttle,
        Order::Throttle,
        "percent of time for copying, 1 to 100",
    ),
    Row::read(
        "version",
        Engine,
        version,
        "versions of mirrorfs, engine and mirror target",
    ),
    Row::new("help", Show::Help, "this text"),
];

/// A mirror of such a name would hide the file: whoever adds a row reserves its name.
const _: () = assert!(are_reserved(ROWS, name::RESERVED));

/// Whether the rows have these names, in this order.
const fn are_reserved(rows: &[Row<Top>], names: &[&str]) -> bool {
    let mut at = 0;
    while at < rows.len() && at < names.len() {
        if !same(rows[at].path.as_bytes(), names[at].as_bytes()) {
            return false;
        }
        at += 1;
    }
    rows.len() == names.len()
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// A line for each item of each mirror, its name in front.
fn each(top: &Top, piece: Piece, lines: fn(&Snapshot) -> Vec<String>) -> String {
    let mut text = String::new();
    for mirror in &top.mirrors {
        let made = mirror.line(piece, |mirror| {
            let name = shown(&mirror.info.name);
            let mut lines = lines(mirror);
            if lines.is_empty() {
                // `dmsetup` prints a device without a table so.
                lines.push(String::new());
            }
            lines
                .iter()
                .map(|line| format!("{name}: {line}\n"))
                .collect()
        });
        text.push_str(made.part(0));
    }
    text
}

fn text_of(line: &Line) -> String {
    line.shown().to_string()
}

fn health(top: &Top) -> String {
    let states = top.mirrors.iter().map(|mirror| State::of(mirror));
    let worst = states.max().unwrap_or(State::Ok);
    let mut text = format!("{}\n", worst.word());
    for mirror in &top.mirrors {
        let made = mirror.line(Piece::Health, |mirror| {
            let (name, state) = (shown(&mirror.info.name), State::of(mirror));
            format!("{name}: {}\n", state.word())
        });
        text.push_str(made.part(0));
    }
    text
}

fn throttle(top: &Top) -> String {
    let percent = top.throttle.map(|percent| percent.to_string());
    percent.unwrap_or_default() + "\n"
}

fn version(top: &Top) -> String {
    let (kind, dm, mirror) = match &top.engine {
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

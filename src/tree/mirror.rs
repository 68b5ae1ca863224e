//! The files of a mirror and of each of its legs, a row each.

use super::row::{Form, Order, Row, Show};
use crate::daemon::mirrors::query::Detail::{Devices, Kernel, Logs, Users, Whole};
use crate::engine::Kind;
use crate::error::one_line;
use crate::model::health;
use crate::model::map;
use crate::model::policy::OnFailure;
use crate::model::progress::Progress;
use crate::model::snapshot::{Leg, LogView, Owner, Snapshot};
use crate::plan::verb;
use crate::text::mapfile;
use crate::text::size::limit_word;
use crate::text::table::Line;

/// The rows of `NAME/`, in the order of the interface.
pub const ROWS: &[Row<Snapshot>] = &[
    Row::lines(
        "status",
        Kernel,
        |m| lines(&m.status),
        "status, as `dmsetup status NAME`",
    ),
    Row::write(
        "table",
        Kernel,
        |m: &Snapshot| lines(&m.lines),
        Order::Table,
        "table, as `dmsetup table NAME`; write to switch",
    )
    .form(Form::Lines),
    Row::read(
        "progress",
        Kernel,
        |m| value(Progress::line_of(m)),
        "percent, regions, amount, rate and time left",
    ),
    Row::read(
        "health",
        Users,
        health::text,
        "state; then legs, log and warnings",
    )
    .form(Form::First),
    Row::act(
        "ctl",
        verb::help,
        Order::Verb,
        "write a verb here; read: the verbs",
    ),
    Row::new(
        "follow",
        Show::Follow,
        "progress each second; ends when the copy does",
    ),
    Row::new(
        "info.json",
        Show::Info(Whole),
        "all other files as one JSON object",
    ),
    Row::write(
        "on_failure",
        Kernel,
        |m| value(on_failure(m)),
        Order::OnFailure,
        "drop: remove what fails; hold: let I/O wait",
    ),
    Row::write(
        "persist",
        Kernel,
        |m| {
            value(if m.known.settings.persist {
                "yes"
            } else {
                "no"
            })
        },
        Order::Persist,
        "yes: start it again after a reboot; no: do not",
    ),
    Row::read("uuid", Kernel, |m| value(&m.info.uuid), "the device's UUID"),
    Row::read(
        "dev",
        Kernel,
        |m| value(m.info.dev),
        "device number MAJOR:MINOR (embedded: placeholder)",
    ),
    Row::number("size", Kernel, |m| value(m.size()), "its size in bytes"),
    Row::number(
        "suspended",
        Kernel,
        |m| value(u8::from(m.info.suspended)),
        "1 while suspended, else 0",
    ),
    Row::number(
        "event_nr",
        Kernel,
        |m| value(m.info.event_nr),
        "event counter",
    ),
    Row::new(
        "device",
        Show::Link(|m: &Snapshot| format!("/dev/mapper/{}", m.info.name)),
        "link to the block device (kernel engine)",
    )
    .only(Kind::Kernel)
    .form(Form::Word),
    Row::lines(
        "map",
        Logs,
        |m| mapfile::print(&map::map(m)),
        "what is copied, as GNU ddrescue's mapfile",
    ),
    Row::lines(
        "map.txt",
        Logs,
        map::picture,
        "the same as a picture, to be watched",
    ),
    Row::lines(
        "check",
        Kernel,
        check,
        "what differs between the legs; pollable",
    ),
    Row::read(
        "sync/state",
        Kernel,
        |m| value(Progress::of(m).state.word()),
        "syncing, in_sync, stopped or none",
    ),
    Row::number(
        "sync/percent",
        Kernel,
        |m| value(Progress::of(m).percent()),
        "percent in sync, cut to two digits",
    ),
    Row::number(
        "sync/regions_done",
        Kernel,
        |m| value(Progress::of(m).regions_done),
        "regions in sync",
    ),
    Row::number(
        "sync/regions_total",
        Kernel,
        |m| value(Progress::of(m).regions_total),
        "all regions",
    ),
    Row::number(
        "sync/region_size",
        Kernel,
        |m| optional(m.region_size()),
        "bytes of a region",
    ),
    Row::number(
        "sync/bytes_done",
        Kernel,
        |m| value(Progress::of(m).bytes_done),
        "bytes in sync",
    ),
    Row::number(
        "sync/bytes_total",
        Kernel,
        |m| value(Progress::of(m).bytes_total),
        "all bytes",
    ),
    Row::number(
        "sync/rate",
        Kernel,
        |m| optional(Progress::of(m).rate_bytes()),
        "bytes copied per second, where known",
    ),
    Row::number(
        "sync/eta",
        Kernel,
        |m| optional(Progress::of(m).eta()),
        "seconds until in sync, where known",
    ),
    Row::write(
        "sync/limit",
        Kernel,
        |m: &Snapshot| value(limit_word(m.known.settings.limit)),
        Order::Limit,
        "bytes copied per second at most; none; 0: pause",
    )
    .form(Form::Number),
    Row::number(
        "sync/bad_bytes",
        Kernel,
        |m| value(Progress::of(m).bad_bytes),
        "bytes of the source that could not be read",
    ),
    Row::read(
        "log/type",
        Kernel,
        |m| log(m, |log| Some(log.kind.clone())),
        "core, disk or userspace",
    ),
    Row::read(
        "log/device",
        Kernel,
        |m| log(m, |log| log.device.as_ref().map(ToString::to_string)),
        "log device MAJOR:MINOR (embedded: the file)",
    ),
    Row::read(
        "log/file",
        Devices,
        |m| log(m, log_file),
        "the regular file behind the log, if any",
    ),
    Row::read(
        "log/health",
        Kernel,
        |m| {
            value(
                m.log_letter()
                    .map_or_else(String::new, |letter| letter.to_string()),
            )
        },
        "the kernel's letter: A is healthy",
    ),
];

/// The rows of `NAME/legs/N/`.
pub const LEG_ROWS: &[Row<Leg>] = &[
    Row::read(
        "device",
        Kernel,
        |leg| value(&leg.device),
        "device MAJOR:MINOR (embedded: the file)",
    ),
    Row::read(
        "path",
        Devices,
        |leg| value(leg.path()),
        "its path; the regular file, if one is behind it",
    ),
    Row::number(
        "offset",
        Kernel,
        |leg| value(leg.offset),
        "where the mirror begins on it, in bytes",
    ),
    Row::number(
        "size",
        Devices,
        |leg| optional(leg.facts.as_ref().map(|f| f.size)),
        "its size in bytes",
    ),
    Row::read(
        "health",
        Kernel,
        |leg| value(leg.letter),
        "the kernel's letter: A is healthy",
    ),
    Row::read(
        "role",
        Kernel,
        |leg| value(if leg.source { "source" } else { "target" }),
        "source (reads come from it) or target",
    ),
    Row::number(
        "errors",
        Kernel,
        |leg| value(leg.errors),
        "errors seen on it since its table was loaded",
    ),
];

fn lines(lines: &[Line]) -> String {
    let mut text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.shown()))
        .collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// A value is one line, whatever a file is called.
fn value(value: impl std::fmt::Display) -> String {
    one_line(&value.to_string()) + "\n"
}

fn check(mirror: &Snapshot) -> String {
    let mut pace = mirror.known.check_pace;
    if mirror.known.absent.is_some() {
        pace.waits = Some("waiting");
    }
    let check = mirror.check();
    check.map_or_else(|| value("never"), |check| check.text(pace))
}

fn optional(number: Option<u64>) -> String {
    number.map_or_else(|| "\n".into(), value)
}

fn log(mirror: &Snapshot, show: fn(&LogView) -> Option<String>) -> String {
    value(mirror.log().and_then(show).unwrap_or_default())
}

/// LVM takes failed legs out of what is its own.
fn on_failure(mirror: &Snapshot) -> OnFailure {
    match mirror.owner() {
        Owner::Lvm => OnFailure::Hold,
        Owner::Mirrorfs | Owner::Foreign => mirror.known.settings.on_failure,
    }
}

fn log_file(log: &LogView) -> Option<String> {
    let file = log.facts.as_ref()?.file.as_ref()?;
    Some(file.display().to_string())
}

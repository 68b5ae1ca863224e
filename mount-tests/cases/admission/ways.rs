//! The ways in which bytes become writable: each is a line to a file, and what has
//! to be there before.

use crate::lab::Lab;
use crate::lab::disks::MIB;
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;

/// Sectors of every mirror here.
pub const SECTORS: u64 = MIB / 512;

/// What a line names.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    pub source: &'a str,
    pub target: &'a str,
    /// First sector on the target.
    pub offset: u64,
    /// A log on a disk or in a file.
    pub log: Option<&'a str>,
    pub force: bool,
}

/// One way.
#[derive(Clone, Copy)]
pub struct Way {
    pub name: &'static str,
    /// The file that the line is written to.
    pub file: &'static str,
    /// What has to be there.
    pub on: On,
    /// Whether what a target holds is looked for.
    pub looks: bool,
    /// Whether the device is in use, so that blocks of another size never go.
    pub live: bool,
    line: fn(&Names<'_>) -> String,
}

/// What is there before the line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Nothing,
    /// A device without a table.
    Empty,
    /// A mirror of the source and another disk.
    Mirror,
    /// Another program's linear device on the source.
    Linear,
}

const fn way(name: &'static str, file: &'static str, line: fn(&Names<'_>) -> String) -> Way {
    Way {
        name,
        file,
        on: On::Nothing,
        looks: false,
        live: false,
        line,
    }
}

/// All that name a target.
pub const WAYS: &[Way] = &[
    way("table", "new", |names| format!("m: {}", table(names))),
    way("concise", "new", |names| format!("m,,,,{}", table(names))),
    Way {
        looks: true,
        ..way("short", "new", |names| {
            format!(
                "m: {} {} length=1M{}",
                names.source,
                place(names),
                keys(names)
            )
        })
    },
    Way {
        on: On::Empty,
        ..way("a first table", "m/table", table)
    },
    Way {
        on: On::Mirror,
        live: true,
        ..way("another table", "m/table", table)
    },
    Way {
        on: On::Mirror,
        looks: true,
        live: true,
        ..way("add", "m/ctl", |names| verb("add", names))
    },
    Way {
        on: On::Mirror,
        looks: true,
        live: true,
        ..way("replace", "m/ctl", |names| verb("replace 1", names))
    },
    Way {
        on: On::Linear,
        looks: true,
        live: true,
        ..way("live", "new", |names| {
            format!("/dev/mapper/m {} live=yes{}", place(names), keys(names))
        })
    },
];

fn last(names: &Names<'_>) -> &'static str {
    if names.force { " force=yes" } else { "" }
}

fn table(names: &Names<'_>) -> String {
    let Names {
        source,
        target,
        offset,
        ..
    } = names;
    let log = match names.log {
        Some(log) => format!("disk 2 {log} 128"),
        None => "core 1 128".into(),
    };
    format!(
        "0 {SECTORS} mirror {log} 2 {source} 0 {target} {offset} 1 handle_errors{}",
        last(names)
    )
}

fn place(names: &Names<'_>) -> String {
    format!("{}@{}s", names.target, names.offset)
}

fn keys(names: &Names<'_>) -> String {
    let log = names.log.unwrap_or("core");
    format!(" region=64K log={log}{}", last(names))
}

fn verb(verb: &str, names: &Names<'_>) -> String {
    format!("{verb} {}{}", place(names), last(names))
}

impl Way {
    /// Whether this engine has it.
    pub fn is_on(&self, lab: &Lab) -> bool {
        lab.is_kernel() || self.on != On::Linear
    }

    /// Whether its line names a log.
    pub fn has_log(&self) -> bool {
        self.file != "m/ctl"
    }

    /// The line.
    pub fn line(&self, names: &Names<'_>) -> String {
        (self.line)(names)
    }

    /// Make what has to be there.
    pub fn begin(&self, mount: &Mount, source: &str, other: &str) {
        match self.on {
            On::Nothing => {}
            On::Empty => std::fs::create_dir(mount.path("m")).expect("a device"),
            On::Mirror => mount.write(
                "new",
                &format!(
                    "m: 0 {SECTORS} mirror core 2 128 nosync 2 {source} 0 {other} 0 1 handle_errors"
                ),
            ),
            On::Linear => create("m", "", &format!("0 {SECTORS} linear {source} 0")),
        }
    }

    /// Take all away.
    pub fn end(&self, mount: &Mount) {
        if mount.exists("m") {
            if self.on == On::Linear {
                mount.write("m/ctl", "abort");
            } else {
                mount.write("m/ctl", "remove");
            }
        }
        if self.on == On::Linear {
            dm("remove --retry m");
        }
    }
}

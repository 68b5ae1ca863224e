//! The keys of the short form of a request, a row each: parsed and printed by the same table.

use super::device::{DeviceRef, is_tagged};
use super::simple_request::{LogAt, SimpleRequest};
use super::size;
use super::words::{meant, quote, with_spaces};
use crate::error::{Error, Result};

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The word before `=`.
    pub name: &'static str,
    /// What it may be, as a usage line shows it.
    pub values: &'static str,
    /// A line of `new`, at most 55 characters.
    pub doc: &'static str,
    pub(super) set: fn(&mut SimpleRequest, &str) -> Result<()>,
    pub(super) show: fn(&SimpleRequest) -> Option<String>,
}

/// All keys, in the order in which `new` explains them.
pub const KEYS: &[Key] = &[
    Key {
        name: "length",
        values: "SIZE",
        doc: "copy this much, not the whole source",
        set: |short, value| {
            short.length = Some(size::sectors(value, "length=")?);
            Ok(())
        },
        show: |short| short.length.map(size::word),
    },
    Key {
        name: "region",
        values: "SIZE",
        doc: "region size, a power of two",
        set: |short, value| {
            short.region = Some(region(value)?);
            Ok(())
        },
        show: |short| short.region.map(size::word),
    },
    Key {
        name: "log",
        values: "auto|core|PATH",
        doc: "auto: own file, survives a reboot; core: memory",
        set: |short, value| {
            short.log = match value {
                "auto" => LogAt::Auto,
                "core" => LogAt::Core,
                path => LogAt::Device(
                    path.parse()
                        .map_err(|_| neither("log", value, "auto, core or a path"))?,
                ),
            };
            Ok(())
        },
        show: |short| match &short.log {
            LogAt::Auto => None,
            LogAt::Core => Some("core".into()),
            LogAt::Device(device) => Some(device.to_string()),
        },
    },
    Key {
        name: "sync",
        values: "yes|no",
        doc: "no: the legs are equal already, copy nothing",
        set: |short, value| {
            short.equal = !yes("sync", value)?;
            Ok(())
        },
        show: |short| short.equal.then(|| "no".into()),
    },
    Key {
        name: "errors",
        values: "drop|hold",
        doc: "drop a failed leg at once, or hold writes",
        set: |short, value| {
            short.hold = match value {
                "drop" => false,
                "hold" => true,
                _ => return Err(neither("errors", value, "drop or hold")),
            };
            Ok(())
        },
        show: |short| short.hold.then(|| "hold".into()),
    },
    Key {
        name: "live",
        values: "yes|no",
        doc: "slide the mirror under running device SOURCE",
        set: |short, value| {
            short.live = yes("live", value)?;
            Ok(())
        },
        show: |short| short.live.then(|| "yes".into()),
    },
    Key {
        name: "limit",
        values: "none|0|SIZE",
        doc: "copy so much in a second, 0: nothing yet",
        set: |short, value| {
            short.limit = size::limit(value, "limit=")?;
            Ok(())
        },
        show: |short| short.limit.map(|limit| limit.to_string()),
    },
    Key {
        name: "segments",
        values: "auto|N",
        doc: "parts copied at once; auto: as disks answer",
        set: |short, value| {
            short.segments = match value {
                "auto" => None,
                number => Some(
                    number
                        .parse()
                        .map_err(|_| neither("segments", value, "auto or a number"))?,
                ),
            };
            Ok(())
        },
        show: |short| short.segments.map(|segments| segments.to_string()),
    },
    Key {
        name: "map",
        values: "FILE",
        doc: "a ddrescue mapfile: copy only what it lacks",
        set: |short, value| {
            let file = value
                .parse()
                .ok()
                .filter(|file: &DeviceRef| file.path().is_some());
            short.map = Some(file.ok_or_else(|| neither("map", value, "a path"))?);
            Ok(())
        },
        show: |short| short.map.as_ref().map(ToString::to_string),
    },
    Key {
        name: "force",
        values: "yes|no",
        doc: "overwrite a target or log that holds data",
        set: |short, value| {
            short.force = yes("force", value)?;
            Ok(())
        },
        show: |short| short.force.then(|| "yes".into()),
    },
];

/// Sectors of a region, which the kernel wants to be a power of two.
fn region(value: &str) -> Result<u64> {
    let sectors = size::sectors(value, "region=")?;
    if sectors.is_power_of_two() || sectors == 0 {
        return Ok(sectors);
    }
    let below = 1_u64 << sectors.ilog2();
    let near = [below, below.saturating_mul(2)].map(size::short);
    Err(Error::invalid(format!(
        "region={} is not a power of two: write {}",
        quote(value),
        near.join(" or ")
    )))
}

fn yes(key: &str, value: &str) -> Result<bool> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(neither(key, value, "yes or no")),
    }
}

fn neither(key: &str, value: &str, known: &str) -> Error {
    Error::invalid(format!("{key}= takes {known}, not {}", quote(value)))
}

/// A device begins with a slash or a digit, a key with a letter.
pub(super) fn is_setting(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.contains('=') && !is_tagged(word)
}

/// Set what one word says; answers its key.
pub(super) fn set(short: &mut SimpleRequest, word: &str, seen: &[&str]) -> Result<&'static str> {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    if size::is_unit(word) {
        let sentence = format!("a size has no space before {word}: write 10{word}");
        return Err(Error::invalid(sentence));
    }
    let Some((name, value)) = word.split_once('=').filter(|_| is_setting(word)) else {
        return Err(with_spaces(Error::invalid(format!(
            "expected KEY=VALUE, found {}: devices come first, then {}",
            quote(word),
            names.join("=, ") + "="
        ))));
    };
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        return Err(Error::invalid(format!(
            "{} is not a key{}: the keys are {}",
            quote(name),
            meant(name, names.iter().copied()),
            names.join(", ")
        )));
    };
    if seen.contains(&key.name) {
        return Err(Error::invalid(format!("{name}= is given twice")));
    }
    (key.set)(short, value)?;
    Ok(key.name)
}

/// What reading `new` shows of the keys.
pub fn help() -> String {
    let line = |key: &Key| {
        let setting = format!("{}={}", key.name, key.values);
        format!("  {setting:<22} {}\n", key.doc)
    };
    KEYS.iter().map(line).collect()
}

//! The short form of a request: `SOURCE TARGET… [KEY=VALUE…]`. It needs no
//! arithmetic; what it leaves out is chosen from the devices, by others.

use std::fmt;

use super::device::{DeviceRef, is_tagged};
use super::place::Place;
use super::size;
use super::words::{Words, meant, quote, with_spaces};
use crate::error::{Error, Result};

/// The short form, for sentences.
pub const SHORT_FORM: &str = "[NAME: ]SOURCE[@OFFSET] TARGET[@OFFSET]… [KEY=VALUE…]";

/// The most targets: the kernel takes nine legs (`MAX_NR_MIRRORS`, dm-raid1.c).
const MOST: usize = 8;

/// Where it is logged what is copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogAt {
    /// In a file below the state directory.
    #[default]
    Auto,
    /// In memory.
    Core,
    /// On this device or in this file.
    Device(DeviceRef),
}

/// A request in the short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleRequest {
    /// The device or file that is copied, and from which sector on.
    pub source: Place,
    /// What it is copied to.
    pub targets: Vec<Place>,
    /// Sectors to copy; none asks for all that the source has.
    pub length: Option<u64>,
    /// Sectors of a region; none leaves it to be chosen.
    pub region: Option<u64>,
    /// Where clean regions are noted: `log=`.
    pub log: LogAt,
    /// Whether nothing is copied: the legs are equal.
    pub equal: bool,
    /// Whether writes wait when a leg fails, rather than that it is taken out.
    pub hold: bool,
    /// Whether the source is a running device that the mirror is slid under.
    pub live: bool,
    /// Whether what a target holds already may be written over.
    pub force: bool,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The word before `=`.
    pub name: &'static str,
    /// What it may be, as a usage line shows it.
    pub values: &'static str,
    /// A line of `new`, at most 55 characters.
    pub doc: &'static str,
    set: fn(&mut SimpleRequest, &str) -> Result<()>,
    show: fn(&SimpleRequest) -> Option<String>,
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

impl SimpleRequest {
    /// Whether a line without a name is in this form: it begins with a device.
    pub fn is_one(text: &str) -> bool {
        let first = Words::new(text).peek().unwrap_or_default();
        let number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        first.starts_with('/') || is_tagged(first) || (number(first) && first.contains(':'))
    }

    /// Read a line without its name.
    ///
    /// # Errors
    /// EINVAL names the word that is wrong.
    pub fn parse(text: &str) -> Result<SimpleRequest> {
        let mut words = Words::new(text);
        let mut short = SimpleRequest {
            source: words.next("SOURCE")?.parse()?,
            targets: Vec::new(),
            length: None,
            region: None,
            log: LogAt::default(),
            equal: false,
            hold: false,
            live: false,
            force: false,
        };
        while let Some(word) = words.peek().filter(|word| !is_setting(word)) {
            let target = word.parse();
            short
                .targets
                .push(if word.starts_with('/') || is_tagged(word) {
                    target?
                } else {
                    target.map_err(with_spaces)?
                });
            if short.targets.len() > MOST {
                return Err(Error::invalid(format!(
                    "more than {MOST} targets after {}: a mirror has at most {MOST}",
                    quote(&short.source.to_string())
                )));
            }
            words.next("a target")?;
        }
        if short.targets.is_empty() {
            return Err(Error::invalid(format!(
                "no TARGET after {}: write {SHORT_FORM}",
                quote(&short.source.to_string())
            )));
        }
        let mut seen = Vec::new();
        while words.peek().is_some() {
            seen.push(set(&mut short, words.next("a key")?, &seen)?);
        }
        Ok(short)
    }
}

impl SimpleRequest {
    /// The source and the targets, as they are named.
    pub fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        std::iter::once(&mut self.source).chain(&mut self.targets)
    }

    /// Every device that is named: the source, the targets, the log.
    pub fn devices(&mut self) -> impl Iterator<Item = &mut DeviceRef> {
        let log = match &mut self.log {
            LogAt::Device(device) => Some(device),
            LogAt::Auto | LogAt::Core => None,
        };
        let targets = self.targets.iter_mut();
        let places = std::iter::once(&mut self.source).chain(targets);
        places.map(|place| &mut place.device).chain(log)
    }
}

/// A device begins with a slash or a digit, a key with a letter.
fn is_setting(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.contains('=') && !is_tagged(word)
}

/// Set what one word says; answers its key.
fn set(short: &mut SimpleRequest, word: &str, seen: &[&str]) -> Result<&'static str> {
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

impl fmt::Display for SimpleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)?;
        self.targets
            .iter()
            .try_for_each(|place| write!(f, " {place}"))?;
        let mut shown = KEYS
            .iter()
            .filter_map(|key| Some((key.name, (key.show)(self)?)));
        shown.try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// What reading `new` shows of the keys.
pub fn help() -> String {
    let line = |key: &Key| {
        let setting = format!("{}={}", key.name, key.values);
        format!("  {setting:<22} {}\n", key.doc)
    };
    KEYS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn each_key_is_read_as_it_is_shown() {
        let line = "/dev/sdb@1M /dev/sdc 8:48@3s length=8M region=64K log=/var/l\\ og sync=no \
                    errors=hold live=yes force=yes";
        let short = SimpleRequest::parse(line).expect(line);
        assert_eq!(short.targets.len(), 2);
        assert_eq!((short.length, short.region), (Some(16384), Some(128)));
        assert!(short.equal && short.hold && short.live && short.force);
        assert_eq!(
            short.log,
            LogAt::Device("/var/l\\ og".parse().expect("a path"))
        );
        let shown = short.to_string();
        assert_eq!(SimpleRequest::parse(&shown).as_ref(), Ok(&short), "{shown}");
        for key in KEYS {
            assert!(shown.contains(&format!(" {}=", key.name)), "{}", key.name);
            assert!(help().contains(key.doc));
        }
    }

    #[test]
    fn what_is_left_out_is_usual() {
        let short = SimpleRequest::parse("/dev/sdb /dev/sdc").expect("short");
        assert_eq!(short.to_string(), "/dev/sdb /dev/sdc");
        let usual = "/dev/sdb /dev/sdc log=auto sync=yes errors=drop live=no force=no";
        assert_eq!(SimpleRequest::parse(usual), Ok(short));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("/dev/sdb", "no TARGET"),
            ("/dev/sdb sdc", "\"sdc\""),
            ("/dev/sdb live=yes", "no TARGET"),
            ("/dev/sdb /dev/sdc /dev/sdd live", "\"live\""),
            ("/dev/sdb /dev/sdc force=yes /dev/sdd", "\"/dev/sdd\""),
            ("/dev/sdb /dev/sdc size=8M", "\"size\""),
            ("/dev/sdb /dev/sdc length=8", "length="),
            ("/dev/sdb /dev/sdc length=8G length=8G", "twice"),
            ("/dev/sdb /dev/sdc region=1.5M", "region="),
            ("/dev/sdb /dev/sdc log=", "log="),
            ("/dev/sdb /dev/sdc log=disk", "\"disk\""),
            ("/dev/sdb /dev/sdc sync=maybe", "\"maybe\""),
            ("/dev/sdb /dev/sdc errors=ignore", "\"ignore\""),
            ("/dev/sdb /dev/sdc live=1", "\"1\""),
            ("/dev/sdb /dev/sdc force=YES", "\"YES\""),
            ("/my disk /dev/sdc", r"a space in a path is written `\ `"),
            ("/dev/sdb /my disk", r"a space in a path is written `\ `"),
            ("/a /b /b /b /b /b /b /b /b /b", "more than 8 targets"),
        ] {
            let error = SimpleRequest::parse(line).expect_err(line);
            assert_eq!(error.errno(), Errno::EINVAL, "{line}");
            assert!(error.sentence().contains(named), "{line}: {error}");
        }
    }
}

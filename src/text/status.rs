//! The status of a mirror target (`mirror_status`, drivers/md/dm-raid1.c), read
//! and printed without loss. Letters that a later kernel may bring are kept.

use std::fmt;

use crate::error::{Error, Result};
use crate::text::letter::Letter;
use crate::text::words::{Words, is_digits, quote};

/// The log's part of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStatus {
    /// `1 core`
    Core,
    /// `3 disk DEVICE HEALTH`
    Disk {
        /// The log device, `253:0`.
        device: String,
        /// Whether reads, writes and flushes of the log work.
        health: Letter,
    },
    /// What another kind of log says, with its word count as it stands: a
    /// userspace log that lost its daemon says `userspace 1 COM_FAILURE`.
    Other {
        /// All its words, a count first where there is one.
        words: Vec<String>,
    },
}

impl LogStatus {
    /// The kind of log: `core`, `disk`, …
    pub fn kind(&self) -> &str {
        match self {
            LogStatus::Core => "core",
            LogStatus::Disk { .. } => "disk",
            LogStatus::Other { words } => {
                let kind = words.iter().find(|word| !is_digits(word));
                kind.map_or("", String::as_str)
            }
        }
    }

    fn parse(words: &mut Words<'_>) -> Result<Self> {
        let count = words.next("the log's status")?;
        if is_digits(count) && count.parse() != Ok(words.left()) {
            return Err(Error::invalid(format!(
                "the log's status says that {count} words follow, not {}",
                words.left()
            )));
        }
        let others = std::iter::from_fn(|| words.next("a word").ok());
        let all: Vec<&str> = std::iter::once(count).chain(others).collect();
        Ok(LogStatus::from_words(&all))
    }

    fn from_words(words: &[&str]) -> Self {
        match words {
            ["1", "core"] => LogStatus::Core,
            ["3", "disk", device, health] if single(health).is_some() => LogStatus::Disk {
                device: (*device).to_owned(),
                health: single(health).unwrap_or(Letter::Alive),
            },
            _ => LogStatus::Other {
                words: words.iter().map(|&word| word.to_owned()).collect(),
            },
        }
    }
}

impl fmt::Display for LogStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogStatus::Core => write!(f, "1 core"),
            LogStatus::Disk { device, health } => write!(f, "3 disk {device} {health}"),
            LogStatus::Other { words } => write!(f, "{}", words.join(" ")),
        }
    }
}

/// The status of one mirror target, as the kernel prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorStatus {
    /// The legs, `7:0`.
    pub devices: Vec<String>,
    /// Regions that are in sync.
    pub in_sync: u64,
    /// Regions of the target.
    pub total: u64,
    /// A letter for each leg.
    pub health: Vec<Letter>,
    /// The log's part.
    pub log: LogStatus,
}

impl MirrorStatus {
    /// Read the parameters of a status line, what stands behind `mirror`.
    pub fn parse(params: &str) -> Result<Self> {
        let mut words = Words::new(params);
        let devices = devices(&mut words)?;
        let (in_sync, total) = ratio(words.next("the regions in sync")?)?;
        let health = health(&mut words, devices.len())?;
        let log = LogStatus::parse(&mut words)?;
        Ok(MirrorStatus {
            devices,
            in_sync,
            total,
            health,
            log,
        })
    }
}

impl fmt::Display for MirrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.devices.len())?;
        for device in &self.devices {
            write!(f, "{device} ")?;
        }
        let letters = self.health.iter().copied().map(char::from);
        let health: String = letters.collect();
        write!(f, "{}/{} 1 {health} {}", self.in_sync, self.total, self.log)
    }
}

fn devices(words: &mut Words) -> Result<Vec<String>> {
    let count: u32 = words.number("the number of legs")?;
    (0..count)
        .map(|_| words.next("a leg's device").map(str::to_owned))
        .collect()
}

fn ratio(word: &str) -> Result<(u64, u64)> {
    let (done, total) = word.split_once('/').ok_or_else(|| no_ratio(word))?;
    let number = |digits| Words::new(digits).number("a number of regions");
    if is_digits(done) && is_digits(total) {
        Ok((number(done)?, number(total)?))
    } else {
        Err(no_ratio(word))
    }
}

fn no_ratio(word: &str) -> Error {
    Error::invalid(format!(
        "expected IN_SYNC/TOTAL regions, found {}",
        quote(word)
    ))
}

fn health(words: &mut Words, legs: usize) -> Result<Vec<Letter>> {
    let count: u32 = words.number("the number of health words")?;
    let letters: Vec<Letter> = words
        .next("the legs' health letters")?
        .chars()
        .map(Letter::from)
        .collect();
    if count != 1 || letters.len() != legs {
        return Err(Error::invalid(format!(
            "found {count} health words, the first with {} letters; expected one with {legs}, a letter for each leg",
            letters.len()
        )));
    }
    Ok(letters)
}

fn single(word: &str) -> Option<Letter> {
    let mut chars = word.chars();
    let letter = chars.next().filter(|_| chars.next().is_none());
    letter.map(Letter::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real lines, from kernel 6.1.
    const REAL: &[&str] = &[
        "2 7:0 254:0 126/128 1 AS 1 core",
        "2 253:1 253:2 80/81 1 AD 3 disk 253:0 A",
        "4 253:1 253:2 253:3 253:4 10/10 1 ADFF 1 core",
        "2 253:1 253:2 80/81 1 AA 3 clustered-disk 253:0 A",
        "2 253:1 253:2 80/81 1 AA userspace 1 COM_FAILURE",
        "2 253:1 253:2 80/81 1 XY 3 disk 253:0 Z",
    ];

    #[test]
    fn real_lines_come_back() {
        for line in REAL {
            assert_eq!(&MirrorStatus::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let status = MirrorStatus::parse(REAL[1]).unwrap();
        assert_eq!(status.devices, ["253:1", "253:2"]);
        assert_eq!((status.in_sync, status.total), (80, 81));
        assert_eq!(status.health, [Letter::Alive, Letter::WriteFailed]);
        assert_eq!(status.log.kind(), "disk");
        let kinds: Vec<_> = [0, 3, 4]
            .iter()
            .map(|&at| MirrorStatus::parse(REAL[at]).unwrap().log.kind().to_owned())
            .collect();
        assert_eq!(kinds, ["core", "clustered-disk", "userspace"]);
    }

    #[test]
    fn broken_lines_are_refused_and_named() {
        for (line, named) in [
            ("", "number of legs"),
            ("x", "\"x\""),
            ("4000000000 7:0", "a leg's device"),
            ("2 7:0 7:1", "regions in sync"),
            ("2 7:0 7:1 5 1 AA 1 core", "\"5\""),
            ("2 7:0 7:1 5/-6 1 AA 1 core", "\"5/-6\""),
            (
                "2 7:0 7:1 99999999999999999999/6 1 AA 1 core",
                "99999999999999999999",
            ),
            ("2 7:0 7:1 5/6 2 AA 1 core", "2 health words"),
            ("2 7:0 7:1 5/6 1 AAA 1 core", "3 letters"),
            ("2 7:0 7:1 5/6 1 AA", "the log's status"),
            ("2 7:0 7:1 5/6 1 AA 1 core x", "1 words follow, not 2"),
            ("2 7:0 7:1 5/6 1 AA 3 disk 7:2", "3 words follow, not 2"),
        ] {
            let error = MirrorStatus::parse(line).unwrap_err();
            assert!(error.sentence().contains(named), "{line}: {error}");
        }
    }
}

//! How a table names a block device. Knows nothing of the devices themselves:
//! whether one exists is for others to find out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::stat::{major, minor};

use crate::error::{Error, Result};
use crate::text::words::{is_space, number, quote, unescape};

/// Largest major number, 12 bits (`MINORBITS`, include/linux/kdev_t.h).
const MAX_MAJOR: u32 = (1 << 12) - 1;

/// Largest minor number, 20 bits (`MINORBITS`, include/linux/kdev_t.h).
pub const MAX_MINOR: u32 = (1 << 20) - 1;

/// Largest block device in sectors: its bytes fit a signed 64-bit number
/// (`loff_t`), so no sum of a start and a length below it can overflow.
pub const MAX_SECTORS: u64 = i64::MAX as u64 / 512;

/// A block device's number, `254:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevNo {
    /// The driver's number.
    pub major: u32,
    /// The device's number with that driver.
    pub minor: u32,
}

impl DevNo {
    /// The number in a `dev_t` of stat(2); Linux has at most 32 bits of it.
    pub fn of_dev_t(number: u64) -> DevNo {
        let part = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
        DevNo {
            major: part(major(number)),
            minor: part(minor(number)),
        }
    }
}

impl fmt::Display for DevNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for DevNo {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let (major, minor) = word.split_once(':').ok_or_else(|| no_device(word))?;
        let parse = |digits, what, max| {
            let found = number::<u32>(digits, what).ok();
            found
                .filter(|&n| n <= max)
                .ok_or_else(|| no_number(word, what, max))
        };
        Ok(DevNo {
            major: parse(major, "major", MAX_MAJOR)?,
            minor: parse(minor, "minor", MAX_MINOR)?,
        })
    }
}

/// A block device as a word of a table: its number or its path.
///
/// White space and backslashes of a path have a backslash before them, as the
/// kernel wants them (`dm_split_args`, drivers/md/dm-table.c). A backslash
/// before a letter or digit is read as itself, so that udev's `\x20` names
/// need no quoting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceRef {
    /// `MAJOR:MINOR`
    Number(DevNo),
    /// An absolute path.
    Path(PathBuf),
}

impl DeviceRef {
    /// The number, where it is named by one.
    pub fn number(&self) -> Option<DevNo> {
        match self {
            DeviceRef::Number(number) => Some(*number),
            DeviceRef::Path(_) => None,
        }
    }

    /// The path, where it is named by one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            DeviceRef::Number(_) => None,
            DeviceRef::Path(path) => Some(path),
        }
    }
}

impl fmt::Display for DeviceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            DeviceRef::Number(number) => return number.fmt(f),
            DeviceRef::Path(path) => path.to_string_lossy(),
        };
        path.chars().try_for_each(|c| match c {
            '\\' => write!(f, "\\\\"),
            _ if is_space(c) => write!(f, "\\{c}"),
            _ => write!(f, "{c}"),
        })
    }
}

impl FromStr for DeviceRef {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        if word.chars().any(char::is_control) {
            return Err(no_device(word));
        }
        if word.starts_with('/') {
            let path = unescape(word, |c| c.is_alphanumeric());
            return Ok(DeviceRef::Path(path.into()));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(':') {
            return word.parse().map(DeviceRef::Number);
        }
        match tagged(word) {
            Some(path) => Ok(DeviceRef::Path(path)),
            None => Err(no_device(word)),
        }
    }
}

/// Whether a word names a device by what blkid(8) prints of it: `UUID=…`.
pub(super) fn is_tagged(word: &str) -> bool {
    tagged(word).is_some()
}

/// The link that udev makes for such a name (`60-persistent-storage.rules`).
fn tagged(word: &str) -> Option<PathBuf> {
    let (tag, value) = word.split_once('=')?;
    let (_, folder) = TAGS.iter().find(|(known, _)| *known == tag)?;
    let value = unescape(value, |c| c.is_alphanumeric());
    let value = value.trim_matches('"');
    (!value.is_empty()).then(|| Path::new(folder).join(encoded(value)))
}

/// As udev writes a label into a name (`encode_devnode_name`, systemd).
fn encoded(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
    let pieces = value.chars().map(|c| {
        if plain(c) {
            c.to_string()
        } else {
            format!("\\x{:02x}", u32::from(c))
        }
    });
    pieces.collect()
}

/// What blkid(8) prints of a device, and where udev has its links.
const TAGS: &[(&str, &str)] = &[
    ("UUID", "/dev/disk/by-uuid"),
    ("LABEL", "/dev/disk/by-label"),
    ("PARTUUID", "/dev/disk/by-partuuid"),
    ("PARTLABEL", "/dev/disk/by-partlabel"),
];

/// Refuse sectors beyond [`MAX_SECTORS`]; the sentence begins with the
/// `kernel`'s words.
pub(super) fn check_end(kernel: &str, start: u64, length: u64) -> Result<()> {
    let end = start.checked_add(length);
    if end.is_some_and(|end| end <= MAX_SECTORS) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{kernel}: {length} sectors from {start} on end beyond the largest device, {MAX_SECTORS} sectors"
    )))
}

/// A relative path is not guessed at: the daemon has another working directory
/// than the person who writes the line.
fn no_device(word: &str) -> Error {
    let advice = match word.chars().next() {
        Some('"' | '\'') => "leave the quotes out",
        Some('~') => "write the path in full, as /root/disk.img",
        _ => "write an absolute path, as /dev/sdb, or MAJOR:MINOR",
    };
    Error::invalid(format!("{} is not a device: {advice}", quote(word)))
}

fn no_number(word: &str, what: &str, max: u32) -> Error {
    Error::invalid(format!(
        "{} is not a device number: its {what} must be from 0 to {max}",
        quote(word)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> DeviceRef {
        word.parse().unwrap()
    }

    #[test]
    fn numbers_and_absolute_paths() {
        let number = DevNo {
            major: 254,
            minor: 3,
        };
        assert_eq!(parse("254:3"), DeviceRef::Number(number));
        assert_eq!(number.to_string(), "254:3");
        assert_eq!(parse("/dev/sdb"), DeviceRef::Path("/dev/sdb".into()));
    }

    #[test]
    fn a_large_number_is_taken_apart() {
        let number = DevNo::of_dev_t(nix::sys::stat::makedev(259, 70_000));
        assert_eq!((number.major, number.minor), (259, 70_000));
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        for word in [
            "sdb",
            "./x",
            "",
            "1:",
            ":1",
            "1:2:3",
            "-1:2",
            "4096:0",
            "1:1048576",
            "1:99999999999",
            "x:1",
            "/a\nb",
            "1:2x",
        ] {
            let error = word.parse::<DeviceRef>().unwrap_err();
            assert!(error.sentence().contains(&quote(word)), "{error}");
            let sentence = error.sentence();
            let advice = ["absolute path", "from 0 to"].iter();
            assert!(
                advice.clone().any(|words| sentence.contains(words)),
                "{error}"
            );
        }
    }

    #[test]
    fn paths_are_quoted_as_the_kernel_wants() {
        let spaced = DeviceRef::Path("/my disk".into());
        assert_eq!(parse(r"/my\ disk"), spaced);
        assert_eq!(spaced.to_string(), r"/my\ disk");
        let udev = DeviceRef::Path(r"/dev/disk/by-label/a\x20b".into());
        assert_eq!(parse(r"/dev/disk/by-label/a\x20b"), udev);
        assert_eq!(parse(&udev.to_string()), udev);
        assert_eq!(parse(r"/a\,b"), DeviceRef::Path("/a,b".into()));
    }
}

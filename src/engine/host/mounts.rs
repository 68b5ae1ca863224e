//! What is mounted and what is swapped to, from the text of
//! `/proc/self/mountinfo` and `/proc/swaps` (proc(5)). Pure but for the two
//! functions that read them. Names may have any bytes. What is not understood is an
//! error: who takes it for nothing writes over what is in use.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::engine::shown;
use crate::error::{Errno, Error, Result};
use crate::text::device::DevNo;

const MOUNTS: &str = "/proc/self/mountinfo";
const SYSTEMS: &str = "/proc/filesystems";
const SWAPS: &str = "/proc/swaps";

/// One line of mountinfo, as far as it says where files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number among the mounts.
    pub(super) id: u64,
    /// The number that stat(2) shows for its files; btrfs makes one up, and others
    /// for its subvolumes.
    pub(super) dev: DevNo,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// The type of its file system.
    pub(super) kind: String,
    /// What mount(8) was given.
    pub(super) source: PathBuf,
    /// The file system's own options, as they stand in the line.
    options: Vec<u8>,
}

impl Mount {
    /// The values of the options with these names, in the order of the line.
    pub(super) fn options(&self, names: &[&str]) -> Vec<PathBuf> {
        let options = self.options.split(|byte| *byte == b',');
        let values = options.filter_map(|option| {
            let (name, value) = cut(option, b"=")?;
            let wanted = names.iter().any(|wanted| wanted.as_bytes() == name);
            wanted.then(|| path(value))
        });
        values.collect()
    }
}

/// All mounts of this mount namespace.
///
/// # Errors
/// What reading them answers; EIO where a line is not understood.
pub(super) fn mounts() -> Result<Vec<Mount>> {
    let text = shown::bytes(MOUNTS).map_err(|error| Error::io(MOUNTS, &error))?;
    all_mounts(&text)
}

/// The type of the topmost file system on a folder; none where nothing is mounted there.
///
/// # Errors
/// As those of the list of mounts.
pub fn type_on(folder: &Path) -> Result<Option<String>> {
    Ok(top_type(mounts()?, folder))
}

fn top_type(mounts: Vec<Mount>, folder: &Path) -> Option<String> {
    let mut here = mounts.into_iter().rev();
    here.find(|mount| mount.point == folder)
        .map(|mount| mount.kind)
}

/// All swap devices and files; none where the kernel has no swap.
///
/// # Errors
/// What reading them answers.
pub(super) fn swaps() -> Result<Vec<PathBuf>> {
    match shown::bytes(SWAPS) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(swap_paths(&read.map_err(|error| Error::io(SWAPS, &error))?)),
    }
}

/// The types of file systems that are on a block device, as this kernel knows them
/// (proc_filesystems(5)).
///
/// # Errors
/// What reading them answers.
pub(super) fn needing_devices() -> Result<Vec<String>> {
    let text = shown::text(SYSTEMS).map_err(|error| Error::io(SYSTEMS, &error))?;
    Ok(needing(&text))
}

fn needing(text: &str) -> Vec<String> {
    let plain = text.lines().filter_map(|line| line.strip_prefix('\t'));
    plain.map(str::to_owned).collect()
}

pub(super) fn all_mounts(text: &[u8]) -> Result<Vec<Mount>> {
    let strange = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let sentence = format!("{MOUNTS} has an unknown line: {line}");
        Error::new(Errno::EIO, sentence)
    };
    lines(text)
        .map(|line| mount(line).ok_or_else(|| strange(line)))
        .collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

// `36 35 98:0 /root /mnt opts [optional…] - fstype source opts`
fn mount(line: &[u8]) -> Option<Mount> {
    let (before, after) = cut(line, b" - ")?;
    let mut words = before.split(|byte| *byte == b' ');
    let id = text(words.next()?)?.parse().ok()?;
    let dev = text(words.nth(1)?)?.parse().ok()?;
    let point = path(words.nth(1)?);
    let mut words = after.splitn(3, |byte| *byte == b' ');
    let kind = String::from_utf8_lossy(words.next()?).into_owned();
    let source = path(words.next()?);
    let options = words.next()?.to_vec();
    Some(Mount {
        id,
        dev,
        point,
        kind,
        source,
        options,
    })
}

fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = text.windows(at.len()).position(|part| part == at)?;
    let (before, after) = text.split_at_checked(place)?;
    Some((before, after.get(at.len()..)?))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

// A line of titles, then `/dev/sda2  partition  …`.
fn swap_paths(text: &[u8]) -> Vec<PathBuf> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    lines(text)
        .skip(1)
        .filter_map(|line| line.split(blank).next().map(path))
        .collect()
}

// seq_path (fs/seq_file.c) writes space, tab, newline and backslash as `\ooo`.
fn path(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        match octal(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

fn octal(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.strip_prefix(b"\\")?.get(..3)?;
    u8::from_str_radix(text(digits)?, 8).ok()
}

/// The mounts of a text, for the tests of this folder.
#[cfg(test)]
pub(super) fn of_text(text: &str) -> Result<Vec<Mount>> {
    all_mounts(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn a_mount_is_its_numbers_its_point_and_what_is_mounted() {
        let line = br"29 1 254:3 / /srv/my\040data rw,relatime shared:1 master:2 - ext4 /dev/mapper/m0 rw,x=a\054b,y=";
        let known = mount(line).unwrap();
        assert_eq!(known.id, 29);
        assert_eq!(known.dev.to_string(), "254:3");
        assert_eq!(known.point, Path::new("/srv/my data"));
        assert_eq!(known.kind, "ext4");
        assert_eq!(known.source, Path::new("/dev/mapper/m0"));
        assert_eq!(
            known.options(&["y", "x"]),
            [Path::new("a,b"), Path::new("")]
        );
        assert_eq!(known.options(&["rw"]), [] as [&Path; 0]);
    }

    #[test]
    fn a_line_that_is_not_understood_makes_all_unknown() {
        let right = "1 2 8:1 / / rw - ext4 /dev/sda rw\n";
        assert_eq!(of_text(right).unwrap().len(), 1);
        assert_eq!(of_text("").unwrap(), []);
        for odd in [
            "1 2 3",
            "1 2 x:y / / rw - ext4 /dev/sda rw",
            "x 2 8:1 / / rw - ext4 /dev/sda rw",
            "1 2 8:1 / / rw - ext4",
        ] {
            let error = of_text(&format!("{right}{odd}\n")).unwrap_err();
            assert!(error.sentence().contains(odd), "{error}");
        }
    }

    #[test]
    fn names_that_are_no_text_hide_no_other_line() {
        let text = b"1 2 8:1 / /m\xfft rw - ext4 /dev/\xfe rw\n2 1 8:2 / /b rw - xfs /dev/sdb rw\n";
        let known = all_mounts(text).unwrap();
        let point = OsStr::from_bytes(b"/m\xfft");
        assert_eq!(known[0].point, Path::new(point));
        assert_eq!(known[1].dev.to_string(), "8:2");
        let swaps = swap_paths(b"Filename\n/m\xfft file 9\n/dev/sda2\tpartition 9\n");
        assert_eq!(swaps, [Path::new(point), Path::new("/dev/sda2")]);
    }

    #[test]
    fn what_needs_a_device_is_marked_by_no_word() {
        let text = "nodev\ttmpfs\n\text4\nnodev\tfuse\n\tfuseblk\n\tbtrfs\n";
        assert_eq!(needing(text), ["ext4", "fuseblk", "btrfs"]);
        assert_eq!(needing(""), [] as [&str; 0]);
    }

    #[test]
    fn a_mount_without_a_source_is_one() {
        let known = of_text("1 2 0:40 / /t rw - tmpfs  rw,size=1k\n").unwrap();
        assert_eq!(known[0].source, Path::new(""));
        assert_eq!(known[0].options(&["size"]), [Path::new("1k")]);
    }

    #[test]
    fn swaps_are_the_first_words_after_the_titles() {
        let text =
            b"Filename\tType\tSize\n/dev/sda2 partition 9 0 -2\n/swap\\040file file 9 0 -3\n";
        assert_eq!(
            swap_paths(text),
            [Path::new("/dev/sda2"), Path::new("/swap file")]
        );
        assert!(swap_paths(b"").is_empty());
    }

    #[test]
    fn only_whole_escapes_are_read_as_such() {
        assert_eq!(path(br"a\134b"), Path::new(r"a\b"));
        assert_eq!(path(br"a\9b\04"), Path::new(r"a\9b\04"));
        assert_eq!(path(br"\777"), Path::new(r"\777"));
    }

    #[test]
    fn the_topmost_mount_counts() {
        let table = b"\
36 35 98:0 / / rw - ext4 /dev/root rw
40 36 0:40 / /mnt/a\\040b rw - fuse.mirrorfs mirrorfs rw,user_id=0
41 36 0:41 / /mnt/c rw - fuse.mirrorfs mirrorfs rw
42 36 0:42 / /mnt/c rw - tmpfs tmpfs rw
";
        let on = |folder: &str| top_type(all_mounts(table).expect("a table"), Path::new(folder));
        assert_eq!(on("/mnt/a b").as_deref(), Some("fuse.mirrorfs"));
        assert_eq!(on("/mnt/c").as_deref(), Some("tmpfs"));
        assert_eq!(on("/mnt/d"), None);
    }
}

//! What is mounted and what is swapped to, from the text of
//! `/proc/self/mountinfo` and `/proc/swaps` (proc(5)). Pure but for the two
//! functions that read them.

use std::fs;
use std::path::PathBuf;

use crate::text::device::DevNo;

/// One line of mountinfo, as far as it names a device.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The number that stat(2) shows for its files; btrfs makes one up.
    pub(super) dev: DevNo,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// What mount(8) was given.
    pub(super) source: PathBuf,
}

/// All mounts of this mount namespace.
pub(super) fn mounts() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(mount).collect()
}

/// All swap devices and files.
pub(super) fn swaps() -> Vec<PathBuf> {
    swap_paths(&fs::read_to_string("/proc/swaps").unwrap_or_default())
}

// `36 35 98:0 /root /mnt opts [optional…] - fstype source opts`
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut words = before.split(' ').skip(2);
    let (major, minor) = words.next()?.split_once(':')?;
    let dev = DevNo {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    };
    let point = path(words.nth(1)?);
    let source = path(after.split(' ').nth(1)?);
    Some(Mount { dev, point, source })
}

// A line of titles, then `/dev/sda2  partition  …`.
fn swap_paths(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| line.split_whitespace().next().map(path))
        .collect()
}

// seq_path (fs/seq_file.c) writes space, tab, newline and backslash as `\ooo`.
fn path(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
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
    std::ffi::OsString::from_vec(bytes).into()
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\")?.get(..3)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_mount_is_its_number_its_point_and_its_source() {
        let line =
            r"29 1 254:3 / /srv/my\040data rw,relatime shared:1 master:2 - ext4 /dev/mapper/m0 rw";
        let known = mount(line).unwrap();
        assert_eq!(
            known.dev,
            DevNo {
                major: 254,
                minor: 3
            }
        );
        assert_eq!(known.point, Path::new("/srv/my data"));
        assert_eq!(known.source, Path::new("/dev/mapper/m0"));
    }

    #[test]
    fn odd_lines_are_left_out() {
        for odd in [
            "",
            "1 2 3",
            "1 2 x:y / / rw - ext4 /dev/sda rw",
            "1 2 8:1 / / rw - ext4",
        ] {
            assert_eq!(mount(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn swaps_are_the_first_words_after_the_titles() {
        let text = "Filename\tType\tSize\n/dev/sda2 partition 9 0 -2\n/swap\\040file file 9 0 -3\n";
        assert_eq!(
            swap_paths(text),
            [Path::new("/dev/sda2"), Path::new("/swap file")]
        );
        assert!(swap_paths("").is_empty());
    }

    #[test]
    fn only_whole_escapes_are_read_as_such() {
        assert_eq!(path(r"a\134b"), Path::new(r"a\b"));
        assert_eq!(path(r"a\9b\04"), Path::new(r"a\9b\04"));
        assert_eq!(path(r"\777"), Path::new(r"\777"));
    }
}

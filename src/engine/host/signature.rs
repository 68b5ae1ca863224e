//! What a device or file holds already, as libblkid(3) finds it: where a range begins,
//! and in the partitions that it reaches into.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libblkid_rs::{BlkidErr, BlkidProbe, BlkidSafeprobeRet};

use crate::engine::{Doomed, Held, Span};
use crate::error::{Errno, Error, Result};

type Found<T> = std::result::Result<T, BlkidErr>;

/// A partition of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: u32,
    span: Span,
    /// Whether it only has others in it.
    extended: bool,
}

/// What would be lost with these bytes.
///
/// # Errors
/// What open(2) answers; EIO where it cannot be read.
pub fn signature(path: &Path, doomed: Doomed) -> Result<Option<Held>> {
    with(path, |file| {
        // To the end of the device: a part of a RAID may be known there alone.
        let start = doomed.span.start;
        let held = found(file, Span { start, size: 0 })?;
        if held.is_some() {
            return Ok(held);
        }
        let parts = parts(file, Span { start: 0, size: 0 })?;
        for part in parts.iter().filter(|part| is_hit(part, doomed)) {
            if let Some(held) = found(file, part.span)? {
                let what = format!("{} in its partition {}", held.what, part.number);
                return Ok(Some(Held { what, ..held }));
            }
        }
        Ok(None)
    })
}

/// What these bytes begin with; what is known by its end alone lies in them too.
///
/// # Errors
/// As those of [`signature`].
pub fn carried(path: &Path, span: Span) -> Result<Option<Held>> {
    with(path, |file| found(file, span))
}

/// The same of an open file; a size of 0 is all that there is.
fn found(file: &File, span: Span) -> Found<Option<Held>> {
    let at = span.start;
    let what = look(file, (at, span.size))?;
    Ok(what.map(|what| Held {
        what,
        at,
        mounted: mounted(file, at),
    }))
}

/// When the ext2, ext3 or ext4 that begins here was last mounted (`s_mtime` of struct
/// ext4_super_block, fs/ext4/ext4.h); of no other libblkid tells, nor of these.
fn mounted(file: &File, at: u64) -> Option<u64> {
    const SUPERBLOCK: u64 = 1024;
    const TIME: usize = 0x2C;
    const MAGIC: (usize, [u8; 2]) = (0x38, 0xEF53_u16.to_le_bytes());
    let mut block = [0; 64];
    file.read_exact_at(&mut block, at.checked_add(SUPERBLOCK)?)
        .ok()?;
    let magic = block.get(MAGIC.0..)?.first_chunk()?;
    let time = u32::from_le_bytes(*block.get(TIME..)?.first_chunk()?);
    (*magic == MAGIC.1 && time != 0).then_some(u64::from(time))
}

/// The partitions of what these bytes are a disk of.
///
/// # Errors
/// As those of [`signature`].
pub fn partitions(path: &Path, span: Span) -> Result<Vec<Span>> {
    let parts = with(path, |file| parts(file, span))?;
    Ok(parts.into_iter().map(|part| part.span).collect())
}

fn is_hit(part: &Part, doomed: Doomed) -> bool {
    let (span, lost) = (part.span, doomed.span);
    let known = doomed.continued && span.start < lost.start;
    !part.extended && !known && span.start < lost.end() && lost.start < span.end()
}

fn with<T>(path: &Path, look: impl FnOnce(&File) -> Found<T>) -> Result<T> {
    let file = File::open(path).map_err(|error| Error::io(path.display(), &error))?;
    look(&file).map_err(|error| {
        let sentence = format!("looking what {} holds: {error}", path.display());
        Error::new(Errno::EIO, sentence)
    })
}

/// A size of 0 is all that there is.
fn probe(file: &File, (start, size): (u64, u64)) -> Found<BlkidProbe> {
    let mut probe = BlkidProbe::new()?;
    let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    probe.set_device(file.as_raw_fd(), whole(start), whole(size))?;
    probe.enable_partitions(true)?;
    Ok(probe)
}

fn look(file: &File, span: (u64, u64)) -> Found<Option<String>> {
    let mut probe = probe(file, span)?;
    probe.enable_superblocks(true)?;
    Ok(match probe.do_safeprobe()? {
        BlkidSafeprobeRet::Success => Some(words(&probe)),
        BlkidSafeprobeRet::Ambiguous => Some("several signatures at once".into()),
        BlkidSafeprobeRet::None => None,
    })
}

/// The partitions of the table where these bytes begin, from there on.
fn parts(file: &File, span: Span) -> Found<Vec<Part>> {
    let mut probe = probe(file, (span.start, span.size))?;
    probe.enable_superblocks(false)?;
    if matches!(probe.do_safeprobe()?, BlkidSafeprobeRet::None) {
        return Ok(Vec::new());
    }
    // A table that it knows and of which it lists nothing has none.
    let Ok(mut list) = probe.get_partitions() else {
        return Ok(Vec::new());
    };
    let mut parts = Vec::new();
    for at in 0..list.number_of_partitions()? {
        let part = list.get_partition(at)?;
        let bytes = |bytes: &i64| u64::try_from(*bytes).unwrap_or(0);
        parts.push(Part {
            number: part.get_partno()?,
            span: Span {
                start: bytes(part.get_start().bytes().as_ref()),
                size: bytes(part.get_size().bytes().as_ref()),
            },
            extended: part.is_extended(),
        });
    }
    Ok(parts)
}

fn words(probe: &BlkidProbe) -> String {
    let value = |name| probe.lookup_value(name).ok();
    let marks = ["LABEL", "UUID", "PTUUID"].into_iter();
    let marks = marks.filter_map(|name| Some(format!(" {name}={}", value(name)?)));
    let marks: String = marks.collect();
    match (value("TYPE"), value("PTTYPE")) {
        (Some(kind), _) => format!("{kind}{marks}"),
        (None, Some(kind)) => format!("a {kind} partition table{marks}"),
        (None, None) => format!("a signature{marks}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MIB: u64 = 1 << 20;

    fn disk() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16 * MIB).unwrap();
        file
    }

    /// Swap space: its magic ends the first page (mkswap(8)).
    fn swap(file: &File, at: u64) {
        let (page, magic) = (4096, b"SWAPSPACE2");
        file.write_all_at(&[1, 0, 0, 0, 255, 7, 0, 0], at + 1024)
            .unwrap();
        let end = at + page - magic.len() as u64;
        file.write_all_at(magic, end).unwrap();
    }

    /// A table of a PC, partitions of so many sectors each.
    fn table(file: &File, starts: &[u32], sectors: u32) {
        for (number, start) in (0..).zip(starts) {
            let entry = [[0, 0, 0, 0, 0x83, 0, 0, 0].as_slice(), &start.to_le_bytes()].concat();
            let entry = [entry, sectors.to_le_bytes().to_vec()].concat();
            file.write_all_at(&entry, 446 + 16 * number).unwrap();
        }
        file.write_all_at(&[0x55, 0xAA], 510).unwrap();
    }

    fn held_in(file: &tempfile::NamedTempFile, (start, size): (u64, u64)) -> Option<String> {
        let doomed = Doomed {
            span: Span { start, size },
            continued: false,
        };
        let held = signature(file.path(), doomed).unwrap();
        held.map(|held| held.what)
    }

    #[test]
    fn signatures_are_named_where_they_lie() {
        let file = disk();
        let all = |start| held_in(&file, (start, 8 * MIB));
        assert_eq!(all(0), None);
        swap(file.as_file(), MIB);
        assert_eq!(all(0), None);
        assert_eq!(all(MIB).as_deref(), Some("swap"));
        swap(file.as_file(), 0);
        assert_eq!(all(0).as_deref(), Some("swap"));
    }

    #[test]
    fn what_lies_behind_is_not_carried() {
        let file = disk();
        // As a RAID's that is known by its end: here it begins there.
        swap(file.as_file(), 8 * MIB);
        let carried = |start, size| {
            let found = carried(file.path(), Span { start, size }).unwrap();
            found.map(|held| held.what)
        };
        assert_eq!(carried(8 * MIB, 8 * MIB).as_deref(), Some("swap"));
        assert_eq!(carried(0, 8 * MIB), None);
    }

    #[test]
    fn a_used_partition_that_is_reached_into_is_named() {
        let file = disk();
        table(file.as_file(), &[2048, 8192], 6144);
        swap(file.as_file(), 4 * MIB);
        for (start, size, wanted) in [
            (2 * MIB, MIB, None),
            (2 * MIB, 2 * MIB, None),
            (2 * MIB, 2 * MIB + 512, Some("swap in its partition 2")),
            (5 * MIB, MIB, Some("swap in its partition 2")),
            (7 * MIB, MIB, None),
        ] {
            let what = held_in(&file, (start, size));
            assert_eq!(what.as_deref(), wanted, "{start} {size}");
        }
        let behind = |start| Doomed {
            span: Span { start, size: MIB },
            continued: true,
        };
        assert_eq!(signature(file.path(), behind(5 * MIB)), Ok(None));
        let inside = signature(file.path(), behind(4 * MIB - 512)).unwrap();
        let wanted = Held {
            what: "swap in its partition 2".into(),
            at: 4 * MIB,
            mounted: None,
        };
        assert_eq!(inside, Some(wanted));
    }

    #[test]
    fn partitions_are_seen_from_where_their_disk_begins() {
        let file = disk();
        let span = Span {
            start: 0,
            size: 16 * MIB,
        };
        assert_eq!(partitions(file.path(), span), Ok(Vec::new()));
        table(file.as_file(), &[2048, 8192], 4096);
        let part = |start| Span {
            start,
            size: 2 * MIB,
        };
        let wanted = vec![part(MIB), part(4 * MIB)];
        assert_eq!(partitions(file.path(), span), Ok(wanted));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let doomed = Doomed {
            span: Span {
                start: 0,
                size: MIB,
            },
            continued: false,
        };
        let error = signature(Path::new("/nowhere"), doomed).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
        let folder = tempfile::tempdir().unwrap();
        assert!(signature(folder.path(), doomed).is_err());
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(signature(&empty, doomed).unwrap_or(None).is_none());
    }
}

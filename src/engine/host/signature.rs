//! What a device or file holds already, as libblkid(3) finds it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use libblkid_rs::{BlkidErr, BlkidProbe, BlkidSafeprobeRet};

use crate::error::{Errno, Error, Result};

/// Bytes of a sector, the unit of tables.
const SECTOR: u64 = 512;

/// The signature that a device or file has, seen from this sector on.
///
/// # Errors
/// What open(2) answers; EIO where it cannot be read.
pub fn signature(path: &Path, offset: u64) -> Result<Option<String>> {
    let file = File::open(path).map_err(|error| Error::io(path.display(), &error))?;
    let start = i64::try_from(offset.saturating_mul(SECTOR)).unwrap_or(i64::MAX);
    look(&file, start).map_err(|error| {
        let sentence = format!("looking what {} holds: {error}", path.display());
        Error::new(Errno::EIO, sentence)
    })
}

fn look(file: &File, start: i64) -> std::result::Result<Option<String>, BlkidErr> {
    let mut probe = BlkidProbe::new()?;
    // A size of 0 is all that there is.
    probe.set_device(file.as_raw_fd(), start, 0)?;
    probe.enable_superblocks(true)?;
    probe.enable_partitions(true)?;
    Ok(match probe.do_safeprobe()? {
        BlkidSafeprobeRet::Success => Some(words(&probe)),
        BlkidSafeprobeRet::Ambiguous => Some("several signatures at once".into()),
        BlkidSafeprobeRet::None => None,
    })
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
    use std::os::unix::fs::FileExt;

    #[test]
    fn signatures_are_named_where_they_lie() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        let found = |offset| signature(file.path(), offset).unwrap();
        assert_eq!(found(0), None);
        // Swap space: its magic ends the first page (mkswap(8)).
        let swap = |at: u64| {
            let (page, magic) = (4096, b"SWAPSPACE2");
            file.as_file()
                .write_all_at(&[1, 0, 0, 0, 255, 7, 0, 0], at + 1024)
                .unwrap();
            let end = at + page - magic.len() as u64;
            file.as_file().write_all_at(magic, end).unwrap();
        };
        swap(1 << 20);
        assert_eq!(found(0), None);
        assert_eq!(found(2048).as_deref(), Some("swap"));
        swap(0);
        assert_eq!(found(0).as_deref(), Some("swap"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let error = signature(Path::new("/nowhere"), 0).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
        let folder = tempfile::tempdir().unwrap();
        assert!(signature(folder.path(), 0).is_err());
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(signature(&empty, 0).unwrap_or_default().is_none());
    }
}

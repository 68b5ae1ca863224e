//! Whether a device answers: a block is read, or read and written back, past every
//! cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use libc::O_NONBLOCK;
use nix::unistd::{Whence, lseek};

use crate::engine::Span;
use crate::engine::buffer::{ALIGN, Buffer};
use crate::engine::direct::open;
use crate::error::{Errno, Error, Result};

/// Read the block that has this byte.
///
/// # Errors
/// What open(2) and read(2) answer.
pub(super) fn probe(node: &Path, at: u64) -> Result<()> {
    let mut buffer = Buffer::new(ALIGN as usize);
    let start = at - at % ALIGN;
    let read = open(node, OpenOptions::new().read(true))
        .and_then(|file| file.read_at(buffer.part(ALIGN as usize), start));
    let failed = |error: io::Error| Error::io(format!("reading {}", node.display()), &error);
    read.map(drop).map_err(failed)
}

/// Read the first and the last block of these bytes and write them back as they
/// are. `unit` is what a device is addressed in: what lies beside the bytes is not
/// touched.
///
/// # Errors
/// What open(2), read(2) and write(2) answer; EIO for whatever a disk says that does
/// not do it.
pub(super) fn prove(node: &Path, unit: u64, span: Span) -> Result<()> {
    let unit = unit.clamp(1, ALIGN);
    let first = span.start - span.start % unit;
    let end = span.end().next_multiple_of(unit);
    let size = ALIGN.min(end - first);
    let proved = prove_block(node, first, size).and_then(|()| prove_block(node, end - size, size));
    proved.map_err(|error| {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let sentence = format!("reading and writing {}: {}", node.display(), errno.desc());
        Error::new(as_reported(errno), sentence)
    })
}

fn prove_block(node: &Path, at: u64, size: u64) -> io::Result<()> {
    let file = node.metadata()?.is_file();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let open = if file {
        // A file's own blocks may be larger than what it is addressed in.
        options.custom_flags(O_NONBLOCK).open(node)?
    } else {
        open(node, options)?
    };
    let mut buffer = Buffer::new(size as usize);
    let bytes = buffer.part(size as usize);
    let read = open.read_at(bytes, at)?;
    if file && is_hole(&open, at, size) {
        return Ok(());
    }
    open.write_all_at(bytes.get(..read).unwrap_or_default(), at)?;
    open.sync_data()
}

/// Whether a file has no block there: a write would take one.
fn is_hole(file: &File, at: u64, size: u64) -> bool {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    match lseek(file, at, Whence::SeekData) {
        Ok(data) => data >= at.saturating_add(size),
        Err(errno) => errno == Errno::ENXIO,
    }
}

/// Disks and the paths to them have words of their own for what fails
/// (`blk_errors`, block/blk-core.c); who asked is told one.
fn as_reported(errno: Errno) -> Errno {
    let own = [
        Errno::ENODATA,
        Errno::EREMOTEIO,
        Errno::EILSEQ,
        Errno::ENOLINK,
        Errno::EBADE,
        Errno::ENXIO,
    ];
    if own.contains(&errno) {
        return Errno::EIO;
    }
    errno
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_answers_and_what_is_gone_does_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(10_000).unwrap();
        assert_eq!(probe(file.path(), 9_999), Ok(()));
        let error = probe(Path::new("/nowhere/at/all"), 0).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
    }

    #[test]
    fn what_can_be_written_is_as_it_was_and_holes_stay() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let prove = |start, size| prove(file.path(), 512, Span { start, size });
        file.as_file().set_len(1 << 20).unwrap();
        assert_eq!(prove(0, 1 << 20), Ok(()));
        assert_eq!(file.as_file().metadata().unwrap().blocks(), 0);
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        fs::write(file.path(), &bytes).unwrap();
        for (start, size) in [(0, 20_000), (512, 1024), (1536, 18_432), (0, 512)] {
            assert_eq!(prove(start, size), Ok(()));
        }
        assert!(fs::read(file.path()).unwrap() == bytes);
        assert_eq!(as_reported(Errno::ENODATA), Errno::EIO);
        assert_eq!(as_reported(Errno::EROFS), Errno::EROFS);
    }
}

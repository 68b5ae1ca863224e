//! Holes of files: where they are, and how they are made.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};

use crate::error::Errno;

/// Zeros are written in pieces of this many bytes where no hole can be made.
const ZEROS: usize = 256 * 1024;

/// A span of bytes that holds data, or a hole, which reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) hole: bool,
}

/// Where a file has data and where holes, from `at` on for `size` bytes.
///
/// # Errors
/// EIO where it ends before.
pub(super) fn spans(file: &File, at: u64, size: u64) -> io::Result<Vec<Span>> {
    let span = |start, end, hole| Span {
        start,
        size: end - start,
        hole,
    };
    let end = at + size;
    if file.metadata()?.len() < end {
        return Err(Errno::EIO.into());
    }
    let mut spans = Vec::new();
    let mut here = at;
    while here < end {
        let start = seek(file, here, Whence::SeekData)?.unwrap_or(end);
        let start = start.clamp(here, end);
        if start > here {
            spans.push(span(here, start, true));
        }
        if start == end {
            break;
        }
        let next = seek(file, start, Whence::SeekHole)?.unwrap_or(end);
        // A file system that answers oddly must not keep us here.
        let next = next.clamp(start + 1, end);
        spans.push(span(start, next, false));
        here = next;
    }
    Ok(spans)
}

/// lseek(2) for data or a hole; none where there is none behind.
fn seek(file: &File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    let at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    let data = matches!(whence, Whence::SeekData);
    match lseek(file, at, whence) {
        Ok(found) => Ok(u64::try_from(found).ok()),
        Err(Errno::ENXIO) => Ok(None),
        // A file system that knows no holes: all is data.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(data.then_some(at.unsigned_abs())),
        Err(errno) => Err(errno.into()),
    }
}

/// Let a span read as zeros, by a hole where that can be made; `how` makes it.
///
/// # Errors
/// Those of fallocate(2) and pwrite(2).
pub(super) fn make(file: &File, span: &Span, how: FallocateFlags) -> io::Result<()> {
    match punch(file, span, how) {
        Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOTTY | Errno::ENODEV) => {
            write_zeros(file, span)
        }
        result => Ok(result?),
    }
}

fn punch(file: &File, span: &Span, how: FallocateFlags) -> nix::Result<()> {
    let number = |bytes: u64| i64::try_from(bytes).map_err(|_| Errno::EINVAL);
    let (start, size) = (number(span.start)?, number(span.size)?);
    let how = how | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, how, start, size)
}

fn write_zeros(file: &File, span: &Span) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut done = 0;
    while done < span.size {
        let part = (span.size - done).min(ZEROS as u64);
        let part = zeros.get(..part as usize).unwrap_or(&zeros);
        file.write_all_at(part, span.start + done)?;
        done += part.len() as u64;
    }
    Ok(())
}

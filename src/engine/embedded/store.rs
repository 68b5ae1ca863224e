//! One leg's bytes: a regular file or block device, read and written past the
//! page cache where that works, so that copying a disk does not push everything
//! else out of memory. Holes of files are seen, and made.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::unistd::{Whence, lseek};

use super::buffer::ALIGN;
use crate::error::Errno;

/// Zeros are written in pieces of this many bytes where no hole can be made.
const ZEROS: usize = 256 * 1024;

/// A file or device, open.
#[derive(Debug)]
pub(super) struct Store {
    cached: File,
    direct: Option<File>,
    works: AtomicBool,
    block: bool,
}

/// A span of bytes that holds data, or a hole, which reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) hole: bool,
}

impl Store {
    /// Open the node or file.
    ///
    /// # Errors
    /// Those of open(2).
    pub(super) fn open(path: &Path, block: bool, write: bool) -> io::Result<Store> {
        let mut options = OpenOptions::new();
        options.read(true).write(write);
        let cached = options.open(path)?;
        let direct = options.custom_flags(libc::O_DIRECT).open(path);
        Ok(Store {
            cached,
            works: AtomicBool::new(direct.is_ok()),
            direct: direct.ok(),
            block,
        })
    }

    /// Fill `buffer` from `at` on.
    ///
    /// # Errors
    /// Those of pread(2); EIO where the file ends before.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let whole = self.aligned(at, buffer.len());
        let (first, rest) = buffer.split_at_mut(whole);
        self.directly(|file| file.read_exact_at(first, at), whole > 0)
            .and_then(|()| self.cached.read_exact_at(rest, at + whole as u64))
            .map_err(cut)
    }

    /// Write `buffer` at `at`.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub(super) fn write(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        let whole = self.aligned(at, buffer.len());
        let (first, rest) = buffer.split_at(whole);
        self.directly(|file| file.write_all_at(first, at), whole > 0)?;
        self.cached.write_all_at(rest, at + whole as u64)
    }

    /// How many of the first bytes direct I/O can do.
    fn aligned(&self, at: u64, size: usize) -> usize {
        let fits = self.direct.is_some() && at.is_multiple_of(ALIGN);
        if fits {
            size - size % ALIGN as usize
        } else {
            0
        }
    }

    /// A file system may take O_DIRECT and refuse the I/O (overlayfs over one that
    /// has none): then the page cache is in between from now on.
    fn directly(
        &self,
        mut act: impl FnMut(&File) -> io::Result<()>,
        wanted: bool,
    ) -> io::Result<()> {
        let direct = self.direct.as_ref().filter(|_| self.is_direct());
        match direct.filter(|_| wanted) {
            None => act(&self.cached),
            Some(file) => match act(file) {
                Err(error) if is(&error, Errno::EINVAL) => {
                    self.works.store(false, Ordering::Relaxed);
                    act(&self.cached)
                }
                result => result,
            },
        }
    }

    fn is_direct(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Where there is data and where are holes, from `at` on for `size` bytes. A
    /// block device has none that can be seen.
    ///
    /// # Errors
    /// EIO where the file ends before.
    pub(super) fn spans(&self, at: u64, size: u64) -> io::Result<Vec<Span>> {
        let data = |start, size| Span {
            start,
            size,
            hole: false,
        };
        if self.block {
            return Ok(vec![data(at, size)]);
        }
        let end = at + size;
        if self.cached.metadata()?.len() < end {
            return Err(io::Error::from_raw_os_error(Errno::EIO as i32));
        }
        let mut spans = Vec::new();
        let mut here = at;
        while here < end {
            let Some(start) = self.seek(here, Whence::SeekData)? else {
                spans.push(Span {
                    start: here,
                    size: end - here,
                    hole: true,
                });
                break;
            };
            let start = start.clamp(here, end);
            if start > here {
                spans.push(Span {
                    start: here,
                    size: start - here,
                    hole: true,
                });
            }
            if start == end {
                break;
            }
            let next = self.seek(start, Whence::SeekHole)?.unwrap_or(end);
            // A file system that answers oddly must not keep us here.
            let next = next.clamp(start + 1, end);
            spans.push(data(start, next - start));
            here = next;
        }
        Ok(spans)
    }

    /// lseek(2) for data or a hole; none where there is none behind.
    fn seek(&self, at: u64, whence: Whence) -> io::Result<Option<u64>> {
        let at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        let data = matches!(whence, Whence::SeekData);
        match lseek(&self.cached, at, whence) {
            Ok(found) => Ok(u64::try_from(found).ok()),
            Err(Errno::ENXIO) => Ok(None),
            // A file system that knows no holes: all is data.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(data.then_some(at.unsigned_abs())),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Let `size` bytes from `at` on read as zeros, by a hole where that can be
    /// made; what is a hole already stays as it is, allocated or not.
    ///
    /// # Errors
    /// Those of fallocate(2) and pwrite(2).
    pub(super) fn zero(&self, at: u64, size: u64) -> io::Result<()> {
        for span in self.spans(at, size)?.iter().filter(|span| !span.hole) {
            match self.punch(span) {
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOTTY | Errno::ENODEV) => {
                    self.write_zeros(span)?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn punch(&self, span: &Span) -> nix::Result<()> {
        let how = match self.block {
            true => FallocateFlags::FALLOC_FL_ZERO_RANGE,
            false => FallocateFlags::FALLOC_FL_PUNCH_HOLE,
        };
        let number = |bytes: u64| i64::try_from(bytes).map_err(|_| Errno::EINVAL);
        let (start, size) = (number(span.start)?, number(span.size)?);
        fallocate(
            &self.cached,
            how | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            start,
            size,
        )
    }

    fn write_zeros(&self, span: &Span) -> io::Result<()> {
        let zeros = vec![0; ZEROS];
        let mut done = 0;
        while done < span.size {
            let part = (span.size - done).min(ZEROS as u64);
            let part = zeros.get(..part as usize).unwrap_or(&zeros);
            self.cached.write_all_at(part, span.start + done)?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// Let what was written reach the disk (fdatasync(2)).
    ///
    /// # Errors
    /// EIO, ENOSPC and EDQUOT of writes that seemed to be done.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.cached.sync_data()
    }

    /// Leave no copy in the page cache where direct I/O was not to be had.
    pub(super) fn forget(&self) {
        if !self.is_direct() {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            // It is only advice.
            let _ = posix_fadvise(&self.cached, 0, 0, advice);
        }
    }

    /// Whether the file was cut so that `end` is behind its end. A block device
    /// says so by errors.
    pub(super) fn is_shorter(&self, end: u64) -> bool {
        !self.block && self.cached.metadata().is_ok_and(|data| data.len() < end)
    }

    /// Make a file as long again as it has to be.
    ///
    /// # Errors
    /// Those of ftruncate(2).
    pub(super) fn lengthen(&self, end: u64) -> io::Result<()> {
        self.cached.set_len(end)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::from_raw_os_error(Errno::EIO as i32),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    use crate::engine::embedded::buffer::Buffer;

    const MIB: u64 = 1 << 20;

    fn file(size: u64) -> tempfile::NamedTempFile {
        // Not in /tmp, which may be a tmpfs without direct I/O.
        let file = tempfile::NamedTempFile::new_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))
            .unwrap();
        file.as_file().set_len(size).unwrap();
        file
    }

    #[test]
    fn any_place_and_length_comes_back() {
        let file = file(3 * MIB);
        let store = Store::open(file.path(), false, true).unwrap();
        let mut buffer = Buffer::new(2 << 20);
        for (at, size) in [
            (0, 2 << 20),
            (512, 1 << 20),
            (4096, 5000),
            (MIB + 1, 1),
            (0, 0),
        ] {
            let bytes = buffer.part(size);
            bytes.fill(at as u8 + 7);
            store.write(bytes, at).unwrap();
            bytes.fill(0);
            store.read(bytes, at).unwrap();
            assert!(
                bytes.iter().all(|byte| *byte == at as u8 + 7),
                "{at} {size}"
            );
        }
        let ends = store.read(buffer.part(4096), 3 * MIB - 512).unwrap_err();
        assert_eq!(ends.raw_os_error(), Some(Errno::EIO as i32));
    }

    #[test]
    fn holes_are_seen_and_made() {
        let file = file(3 * MIB);
        let store = Store::open(file.path(), false, true).unwrap();
        store.write(&[1; 65_536], MIB).unwrap();
        store.flush().unwrap();
        let spans = store.spans(0, 3 * MIB).unwrap();
        let span = |start, size, hole| Span { start, size, hole };
        let expected = [
            span(0, MIB, true),
            span(MIB, 65_536, false),
            span(MIB + 65_536, 2 * MIB - 65_536, true),
        ];
        assert_eq!(spans, expected);
        assert!(store.spans(MIB, 3 * MIB).is_err());
        store.zero(0, 3 * MIB).unwrap();
        assert_eq!(store.spans(0, 3 * MIB).unwrap(), [span(0, 3 * MIB, true)]);
        assert_eq!(file.as_file().metadata().unwrap().blocks(), 0);
    }

    #[test]
    fn what_was_allocated_before_stays_allocated() {
        let file = file(0);
        fallocate(file.as_file(), FallocateFlags::empty(), 0, MIB as i64).unwrap();
        let store = Store::open(file.path(), false, true).unwrap();
        let before = file.as_file().metadata().unwrap().blocks();
        store.zero(0, MIB).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().blocks(), before);
    }

    #[test]
    fn a_file_that_was_cut_is_found_out() {
        let file = file(MIB);
        let store = Store::open(file.path(), false, true).unwrap();
        assert!(!store.is_shorter(MIB));
        file.as_file().set_len(10).unwrap();
        assert!(store.is_shorter(MIB));
        store.lengthen(MIB).unwrap();
        assert!(!store.is_shorter(MIB));
    }
}

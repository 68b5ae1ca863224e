//! One leg's bytes. A block device is read and written past the page cache, so
//! that each error is met where it happens; a regular file by way of a small window
//! of the page cache. Either way copying a disk does not push everything else out
//! of memory.
//!
//! An error of what was written late is told once to each open file, by whichever
//! call meets it first. So the flush has an open file of its own, which nothing else
//! uses: no call can take from it what it has to tell.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::FallocateFlags;

use super::holes::{Span, make, spans};
use super::window::{Sync, Window, forget, sync_range};
use crate::error::Errno;

/// A file or device, open.
#[derive(Debug)]
pub(super) struct Store {
    cached: File,
    /// For the flush alone; none where nothing is to be written.
    flushing: Option<File>,
    window: Window,
    /// Of a block device.
    direct: Option<Direct>,
}

#[derive(Debug)]
struct Direct {
    file: File,
    /// What it begins and ends at, in bytes.
    align: u64,
    works: AtomicBool,
}

impl Store {
    /// Open the node or file; `block` is the size of a logical block where it is a
    /// block device.
    ///
    /// # Errors
    /// Those of open(2); ESTALE where another file got its name meanwhile.
    pub(super) fn open(path: &Path, block: Option<u64>, write: bool) -> io::Result<Store> {
        Store::open_with(path, block, write, sync_range)
    }

    /// The same, with another sync_file_range(2).
    pub(super) fn open_with(
        path: &Path,
        block: Option<u64>,
        write: bool,
        sync: Sync,
    ) -> io::Result<Store> {
        let mut options = OpenOptions::new();
        options.read(true).write(write);
        let direct = block.map(|align| {
            let mut options = options.clone();
            let file = options.custom_flags(libc::O_DIRECT).open(path)?;
            let works = AtomicBool::new(true);
            Ok::<_, io::Error>(Direct { file, align, works })
        });
        let (cached, direct) = (options.open(path)?, direct.transpose()?);
        let flushing = write.then(|| options.open(path)).transpose()?;
        let others = direct.iter().map(|direct| &direct.file).chain(&flushing);
        for other in others {
            // A flush of another file would always succeed.
            if identity(other)? != identity(&cached)? {
                return Err(Errno::ESTALE.into());
            }
        }
        Ok(Store {
            cached,
            flushing,
            window: Window::new(sync),
            direct,
        })
    }

    /// Fill `buffer` from `at` on.
    ///
    /// # Errors
    /// Those of pread(2); EIO where the file ends before.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        if let Some(direct) = self.direct_for(at, buffer.len()) {
            match direct.file.read_exact_at(buffer, at) {
                Err(error) if direct.is_refused(&error) => {}
                result => return result.map_err(cut),
            }
        }
        self.cached.read_exact_at(buffer, at).map_err(cut)?;
        forget(&self.cached, at, buffer.len() as u64);
        Ok(())
    }

    /// Write `buffer` at `at`.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub(super) fn write(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        if let Some(direct) = self.direct_for(at, buffer.len()) {
            match direct.file.write_all_at(buffer, at) {
                Err(error) if direct.is_refused(&error) => {}
                result => return result,
            }
        }
        self.cached.write_all_at(buffer, at)?;
        self.window.wrote(&self.cached, at, buffer.len() as u64);
        Ok(())
    }

    /// Direct I/O, where it works and fits.
    fn direct_for(&self, at: u64, size: usize) -> Option<&Direct> {
        let fits = |direct: &&Direct| {
            let works = direct.works.load(Ordering::Relaxed);
            let align = direct.align.max(1);
            works && at.is_multiple_of(align) && (size as u64).is_multiple_of(align)
        };
        self.direct.as_ref().filter(fits)
    }

    /// Where there is data and where are holes, from `at` on for `size` bytes. A
    /// block device has none that can be seen.
    ///
    /// # Errors
    /// EIO where the file ends before.
    pub(super) fn spans(&self, at: u64, size: u64) -> io::Result<Vec<Span>> {
        if self.direct.is_some() {
            return Ok(vec![Span {
                start: at,
                size,
                hole: false,
            }]);
        }
        spans(&self.cached, at, size)
    }

    /// Let `size` bytes from `at` on read as zeros, by a hole where that can be
    /// made; what is a hole already stays as it is, allocated or not.
    ///
    /// # Errors
    /// Those of fallocate(2) and pwrite(2).
    pub(super) fn zero(&self, at: u64, size: u64) -> io::Result<()> {
        let how = if self.direct.is_some() {
            FallocateFlags::FALLOC_FL_ZERO_RANGE
        } else {
            FallocateFlags::FALLOC_FL_PUNCH_HOLE
        };
        let spans = self.spans(at, size)?;
        let mut data = spans.iter().filter(|span| !span.hole);
        data.try_for_each(|span| make(&self.cached, span, how))
    }

    /// Let what was written reach the disk (fdatasync(2)); no write may be under
    /// way. Answers the spans that were written since the last flush and are holes
    /// all the same: ext4 drops what it cannot find a block for, and tells that to
    /// whoever wrote it back, which may have been somebody's sync(2). A file system
    /// may also make holes of zeros.
    ///
    /// What failed is told once. The kernel takes it for written then: only what is
    /// written again is on the disk after the next flush.
    ///
    /// # Errors
    /// EIO, ENOSPC and EDQUOT of writes that seemed to be done.
    pub(super) fn flush(&self) -> io::Result<Vec<Span>> {
        let file = self.flushing.as_ref().unwrap_or(&self.cached);
        let flushed = file.sync_data();
        let (written, owed) = self.window.settle(&self.cached);
        flushed.and(owed)?;
        self.holes_in(&written)
    }

    fn holes_in(&self, written: &[(u64, u64)]) -> io::Result<Vec<Span>> {
        let mut holes = Vec::new();
        let length = self.cached.metadata()?.len();
        // What was cut off is another matter.
        let left = written.iter().filter(|(at, _)| *at < length);
        for (at, size) in left.filter(|_| self.direct.is_none()) {
            let spans = self.spans(*at, (length - at).min(*size))?;
            holes.extend(spans.into_iter().filter(|span| span.hole));
        }
        Ok(holes)
    }

    /// Whether the file was cut so that `end` is behind its end. A block device
    /// says so by errors.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub(super) fn is_shorter(&self, end: u64) -> io::Result<bool> {
        Ok(self.direct.is_none() && self.cached.metadata()?.len() < end)
    }

    /// Make a file as long again as it has to be.
    ///
    /// # Errors
    /// Those of ftruncate(2).
    pub(super) fn lengthen(&self, end: u64) -> io::Result<()> {
        self.cached.set_len(end)
    }
}

impl Direct {
    /// A device may take O_DIRECT and refuse the I/O: then the page cache is in
    /// between from now on.
    fn is_refused(&self, error: &io::Error) -> bool {
        let refused = error.raw_os_error() == Some(Errno::EINVAL as i32);
        if refused {
            self.works.store(false, Ordering::Relaxed);
        }
        refused
    }
}

/// Whatever its name is: file system, inode, and the number of a device.
fn identity(file: &File) -> io::Result<[u64; 3]> {
    let data = file.metadata()?;
    Ok([data.dev(), data.ino(), data.rdev()])
}

fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::from_raw_os_error(Errno::EIO as i32),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::fallocate;

    use super::*;
    use crate::engine::buffer::Buffer;

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
        let store = Store::open(file.path(), None, true).unwrap();
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
        let store = Store::open(file.path(), None, true).unwrap();
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
        let store = Store::open(file.path(), None, true).unwrap();
        let before = file.as_file().metadata().unwrap().blocks();
        store.zero(0, MIB).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().blocks(), before);
    }

    #[test]
    fn a_file_that_was_cut_is_found_out() {
        let file = file(MIB);
        let store = Store::open(file.path(), None, true).unwrap();
        assert!(!store.is_shorter(MIB).unwrap());
        store.write(&[1; 8192], MIB - 8192).unwrap();
        file.as_file().set_len(10).unwrap();
        assert!(store.is_shorter(MIB).unwrap());
        // The flush has nothing to say of that.
        assert_eq!(store.flush().unwrap(), []);
        store.lengthen(MIB).unwrap();
        assert!(!store.is_shorter(MIB).unwrap());
    }

    #[test]
    fn what_was_met_before_a_flush_is_told_by_it_once() {
        let file = file(MIB);
        let full: Sync = |_, _, _, flags| match flags {
            libc::SYNC_FILE_RANGE_WRITE => Err(Errno::ENOSPC.into()),
            _ => Ok(()),
        };
        let store = Store::open_with(file.path(), None, true, full).unwrap();
        // The write itself has succeeded, in another thread.
        std::thread::scope(|scope| {
            scope.spawn(|| store.write(&[1; 4096], 0).unwrap());
        });
        let error = store.flush().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32));
        assert_eq!(store.flush().unwrap(), []);
    }

    #[test]
    fn what_was_written_and_lost_without_an_error_is_seen() {
        let file = file(MIB);
        let dropped: Sync = |file, at, size, flags| match flags {
            libc::SYNC_FILE_RANGE_WRITE if at == 8192 => {
                let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE;
                let how = how | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                Ok(fallocate(file, how, at as i64, size as i64)?)
            }
            _ => Ok(()),
        };
        let store = Store::open_with(file.path(), None, true, dropped).unwrap();
        for at in [0, 4096, 8192, 12_288] {
            store.write(&[1; 4096], at).unwrap();
        }
        let lost = Span {
            start: 8192,
            size: 4096,
            hole: true,
        };
        assert_eq!(store.flush().unwrap(), [lost]);
        assert_eq!(store.flush().unwrap(), []);
    }

    #[test]
    fn what_is_written_and_flushed_by_turns_is_one_file() {
        let file = file(MIB);
        let other = tempfile::NamedTempFile::new_in(file.path().parent().unwrap()).unwrap();
        let [one, two] = [&file, &other].map(|file| identity(file.as_file()).unwrap());
        assert_ne!(one, two);
        let store = Store::open(file.path(), None, true).unwrap();
        assert_eq!(identity(store.flushing.as_ref().unwrap()).unwrap(), one);
        assert!(
            Store::open(file.path(), None, false)
                .unwrap()
                .flushing
                .is_none()
        );
    }
}

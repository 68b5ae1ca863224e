//! Where a disk log is: a file or device, read and written as it stands in
//! drivers/md/dm-log.c. Its letter stays as it is until another table is loaded.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Errno;
use crate::text::disklog::{BITSET_OFFSET, Header, VERSION};
use crate::text::letter::Letter;

/// A log's file or device, open.
#[derive(Debug)]
pub(super) struct LogDisk {
    file: File,
    flush: Flush,
    failed: AtomicBool,
}

/// fdatasync(2).
pub(super) type Flush = fn(&File) -> io::Result<()>;

impl LogDisk {
    /// Open the node or file.
    ///
    /// # Errors
    /// Those of open(2).
    pub(super) fn open(path: &Path) -> io::Result<LogDisk> {
        LogDisk::open_with(path, File::sync_data)
    }

    /// The same, with another fdatasync(2).
    pub(super) fn open_with(path: &Path, flush: Flush) -> io::Result<LogDisk> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(LogDisk {
            file,
            flush,
            failed: AtomicBool::new(false),
        })
    }

    /// The header, where there is one, and `size` bytes of the bitset.
    ///
    /// # Errors
    /// Those of pread(2); EINVAL for a log of another version.
    pub(super) fn read(&self, size: usize) -> io::Result<(Option<Header>, Vec<u8>)> {
        let mut bytes = vec![0; BITSET_OFFSET as usize + size];
        self.file.read_exact_at(&mut bytes, 0)?;
        let header = Header::parse(&bytes);
        if header.is_some_and(|header| header.version != VERSION) {
            return Err(Errno::EINVAL.into());
        }
        Ok((header, bytes.split_off(BITSET_OFFSET as usize)))
    }

    /// Write a part of the bitset that begins at its byte `start`, through to the
    /// disk, and then the header: it says how many of the bits can be believed.
    ///
    /// After an error the kernel takes all for written: only what is written again
    /// is on the disk after the next call.
    ///
    /// # Errors
    /// Those of pwrite(2) and fdatasync(2).
    pub(super) fn write(
        &self,
        start: usize,
        bits: &[u8],
        header: Option<&Header>,
    ) -> io::Result<()> {
        self.file.write_all_at(bits, BITSET_OFFSET + start as u64)?;
        (self.flush)(&self.file)?;
        let Some(header) = header else { return Ok(()) };
        self.file.write_all_at(&header.to_bytes(), 0)?;
        (self.flush)(&self.file)
    }

    /// Note a failure; answers whether it is the first one (`fail_log_device`).
    pub(super) fn fail(&self) -> bool {
        !self.failed.swap(true, Ordering::Relaxed)
    }

    /// Its health letter (`disk_status`). The page cache is in between, so that a
    /// write's failure is met at the flush and the two cannot be told apart.
    pub(super) fn letter(&self) -> Letter {
        if self.failed.load(Ordering::Relaxed) {
            Letter::WriteFailed
        } else {
            Letter::Alive
        }
    }
}

//! A small window of the page cache for what is written to a file. Writeback is
//! begun at once, so that the disk is never idle and the flush at the end of a
//! turn finds little left; what is on the disk is dropped, so that the pages of a
//! few pieces are used over and over. Measured against direct I/O: twice as fast
//! into a file's holes, where ext4 lets one direct write at a time through.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use libc::{SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use parking_lot::Mutex;

use crate::error::Errno;

/// Bytes that may be on their way to the disk.
const WINDOW: u64 = 32 << 20;

/// sync_file_range(2): the file, the first byte, how many, and the flags.
pub(super) type Sync = fn(&File, u64, u64, u32) -> io::Result<()>;

/// What was written since the last flush.
#[derive(Debug)]
pub(super) struct Window {
    sync: Sync,
    pending: Mutex<Pending>,
}

/// Where it begins, and how many bytes.
type Piece = (u64, u64);

#[derive(Debug, Default)]
struct Pending {
    /// What was written and may not be on the disk yet.
    written: Vec<Piece>,
    /// What may not be on the disk yet, oldest first, and how many bytes it has.
    late: VecDeque<Piece>,
    bytes: u64,
    /// The first error that was met; the flush tells it.
    owed: Option<io::Error>,
}

impl Window {
    pub(super) fn new(sync: Sync) -> Window {
        Window {
            sync,
            pending: Mutex::default(),
        }
    }

    /// A span was written: send it on its way, and wait for the oldest ones where
    /// the window is full.
    pub(super) fn wrote(&self, file: &File, at: u64, size: u64) {
        self.call(file, at, size, SYNC_FILE_RANGE_WRITE);
        let full = self.pending.lock().push(at, size);
        for (at, size) in full {
            let wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
            self.call(file, at, size, wait | SYNC_FILE_RANGE_WRITE);
            forget(file, at, size);
        }
    }

    /// All was flushed, well or not: leave nothing in the page cache. Answers what
    /// was written, and the error that was met before the flush, which is
    /// forgotten by that.
    pub(super) fn settle(&self, file: &File) -> (Vec<Piece>, io::Result<()>) {
        // The flush has told what this open file has not been told yet: met in the
        // next turn it would be told twice.
        let _ = (self.sync)(file, 0, 1, SYNC_FILE_RANGE_WAIT_BEFORE);
        let pending = std::mem::take(&mut *self.pending.lock());
        let late = pending.late.iter();
        late.for_each(|(at, size)| forget(file, *at, *size));
        (pending.written, pending.owed.map_or(Ok(()), Err))
    }

    /// Its error may be told to nobody else: ext4 tells of blocks that it cannot
    /// find only to who began the writeback.
    fn call(&self, file: &File, at: u64, size: u64, flags: u32) {
        let Err(error) = (self.sync)(file, at, size, flags) else {
            return;
        };
        // Refused as a call, by a sandbox: nothing was begun.
        let errno = error.raw_os_error().map(Errno::from_raw);
        if !matches!(errno, Some(Errno::ENOSYS | Errno::EPERM)) {
            self.pending.lock().owed.get_or_insert(error);
        }
    }
}

impl Pending {
    /// Note a piece; answers those that are to be waited for.
    fn push(&mut self, at: u64, size: u64) -> Vec<Piece> {
        match self.written.last_mut() {
            Some((start, length)) if *start + *length == at => *length += size,
            _ => self.written.push((at, size)),
        }
        self.late.push_back((at, size));
        self.bytes += size;
        let mut full = Vec::new();
        while self.bytes > WINDOW
            && let Some((at, size)) = self.late.pop_front()
        {
            self.bytes -= size;
            full.push((at, size));
        }
        full
    }
}

/// Drop these bytes from the page cache, as far as the disk has them.
pub(super) fn forget(file: &File, at: u64, size: u64) {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    // It is only advice.
    let _ = posix_fadvise(file, number(at), number(size), advice);
}

/// sync_file_range(2).
///
/// # Errors
/// Those of writes that seemed to be done, which this open file is not told again;
/// and of what could not be begun.
pub(super) fn sync_range(file: &File, at: u64, size: u64, flags: u32) -> io::Result<()> {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory
    // is passed.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), number(at), number(size), flags) };
    Errno::result(done).map(drop).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errno that these calls answer by turns: sent on its way, waited for.
    fn met(sync: Sync, pieces: u64) -> Vec<Option<i32>> {
        let (file, window) = (tempfile::tempfile().unwrap(), Window::new(sync));
        (0..pieces).for_each(|piece| window.wrote(&file, piece * WINDOW, WINDOW));
        let failure = || {
            let (written, result) = window.settle(&file);
            let error = result.err().and_then(|error| error.raw_os_error());
            (written, error)
        };
        let (first, again) = (failure(), failure());
        assert_eq!((first.0, again.0.len()), (vec![(0, pieces * WINDOW)], 0));
        vec![first.1, again.1]
    }

    #[test]
    fn an_error_is_told_once_wherever_it_is_met() {
        let late: Sync = |_, _, _, flags| match flags {
            SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_BEFORE => Ok(()),
            _ => Err(Errno::EIO.into()),
        };
        assert_eq!(met(late, 1), [None, None]);
        assert_eq!(met(late, 2), [Some(Errno::EIO as i32), None]);
        let at_once: Sync = |_, at, _, flags| match (at, flags) {
            (0, SYNC_FILE_RANGE_WRITE) => Err(Errno::ENOSPC.into()),
            (_, SYNC_FILE_RANGE_WAIT_BEFORE) => Ok(()),
            _ => Err(Errno::EIO.into()),
        };
        assert_eq!(met(at_once, 1), [Some(Errno::ENOSPC as i32), None]);
        assert_eq!(met(at_once, 3), [Some(Errno::ENOSPC as i32), None]);
    }

    #[test]
    fn what_the_flush_has_told_is_not_told_by_the_window_too() {
        let flush_told: Sync = |_, _, _, flags| match flags {
            SYNC_FILE_RANGE_WAIT_BEFORE => Err(Errno::EIO.into()),
            _ => Ok(()),
        };
        assert_eq!(met(flush_told, 3), [None, None]);
    }

    #[test]
    fn a_call_that_a_sandbox_refuses_is_no_error_of_the_disk() {
        assert_eq!(met(|_, _, _, _| Err(Errno::ENOSYS.into()), 3), [None, None]);
        assert_eq!(met(|_, _, _, _| Err(Errno::EPERM.into()), 3), [None, None]);
    }
}

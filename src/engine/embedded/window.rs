//! A small window of the page cache for what is written to a file. Writeback is
//! begun at once, so that the disk is never idle and the flush at the end of a
//! turn finds little left; what is on the disk is dropped, so that the pages of a
//! few pieces are used over and over. Measured against direct I/O: twice as fast
//! into a file's holes, where ext4 lets one direct write at a time through.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use libc::{SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Bytes that may be on their way to the disk.
const WINDOW: u64 = 32 << 20;

/// What was written and may not be on the disk yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    spans: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Window {
    /// A span was written: send it on its way, and wait for the oldest ones where
    /// the window is full.
    pub(super) fn wrote(&self, file: &File, at: u64, size: u64) {
        sync_range(file, at, size, SYNC_FILE_RANGE_WRITE);
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.spans.push_back((at, size));
        pending.bytes += size;
        let mut full = Vec::new();
        while pending.bytes > WINDOW
            && let Some((at, size)) = pending.spans.pop_front()
        {
            pending.bytes -= size;
            full.push((at, size));
        }
        drop(pending);
        for (at, size) in full {
            let wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
            sync_range(file, at, size, wait | SYNC_FILE_RANGE_WRITE);
            forget(file, at, size);
        }
    }

    /// All was flushed: leave nothing in the page cache.
    pub(super) fn flushed(&self, file: &File) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = std::mem::take(&mut *pending).spans;
        drop(pending);
        spans.iter().for_each(|(at, size)| forget(file, *at, *size));
    }
}

/// Drop these bytes from the page cache, as far as the disk has them.
pub(super) fn forget(file: &File, at: u64, size: u64) {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    // It is only advice.
    let _ = posix_fadvise(file, number(at), number(size), advice);
}

/// sync_file_range(2). It is for speed alone: whether all is on the disk is told
/// by the flush that follows, and so are its errors.
fn sync_range(file: &File, at: u64, size: u64, flags: u32) {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory
    // is passed.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), number(at), number(size), flags);
    }
}

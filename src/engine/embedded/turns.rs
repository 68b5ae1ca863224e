//! Whole copies over files whose writeback is not what it seems: what a turn could
//! not write reaches neither the count nor the log.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libc::SYNC_FILE_RANGE_WRITE;
use nix::fcntl::{FallocateFlags, fallocate};
use tempfile::{NamedTempFile, TempDir};

use super::counter::Counter;
use super::exclusive::Holds;
use super::leg::Leg;
use super::log::Log;
use super::logdisk::LogDisk;
use super::mirror::{Mirror, Parts};
use super::recovery::Recovery;
use super::store::Store;
use super::window::{Sync, sync_range};
use crate::engine::bell::Bell;
use crate::engine::host::Host;
use crate::error::Errno;
use crate::text::device::DeviceRef;
use crate::text::disklog::size_for;
use crate::text::letter::Letter;

const MIB: u64 = 1 << 20;

/// A mirror of two files and a log, and what copies it.
struct Bed {
    recovery: Recovery,
    source: NamedTempFile,
    target: NamedTempFile,
    log: NamedTempFile,
    _folder: TempDir,
}

impl Bed {
    /// Of `size` bytes, all of them `byte` in the source, in regions of `region`.
    fn new((size, region): (u64, u64), byte: u8, sync: Sync) -> Bed {
        // Not in /tmp, which may be a tmpfs.
        let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let [source, target, log] = [0; 3].map(|_| NamedTempFile::new_in(&folder).unwrap());
        source
            .as_file()
            .write_all_at(&vec![byte; size as usize], 0)
            .unwrap();
        target.as_file().set_len(size).unwrap();
        let regions = size / region;
        log.as_file()
            .set_len(size_for(regions, 512).unwrap())
            .unwrap();
        let leg = |path: &Path, write| {
            let facts = Host::new().facts(&DeviceRef::Path(path.into())).unwrap();
            let hold = Holds::default().take(&facts).unwrap();
            Leg::new(
                Store::open_with(path, None, write, sync).unwrap(),
                0,
                size,
                hold,
            )
        };
        let disk = LogDisk::open(log.path()).unwrap();
        let parts = Parts {
            legs: vec![leg(source.path(), false), leg(target.path(), true)],
            log: Log::new(regions, None, Some(disk)).unwrap(),
            region,
            length: size,
            handle_errors: true,
        };
        let events = Counter::new(&Bell::new().unwrap());
        let mirror = Arc::new(Mirror::new(parts, Arc::default(), events));
        Bed {
            recovery: Recovery::new(&mirror).unwrap(),
            source,
            target,
            log,
            _folder: folder,
        }
    }

    /// Let it copy until nothing is left; the regions in sync and the target's letter.
    fn copy(&self) -> (u64, Letter) {
        self.recovery.start().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !self.recovery.is_idle() {
            assert!(Instant::now() < end, "it copies on");
            sleep(Duration::from_millis(5));
        }
        self.recovery.stop();
        self.seen()
    }

    fn seen(&self) -> (u64, Letter) {
        let mirror = self.recovery.mirror();
        let clean = std::fs::read(self.log.path()).unwrap();
        let clean: u32 = clean[1024..].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(u64::from(clean), mirror.parts.log.in_sync(), "the log");
        (mirror.parts.log.in_sync(), mirror.targets()[0].letter())
    }

    fn assert_equal(&self) {
        let [one, other] = [&self.source, &self.target].map(|file| std::fs::read(file.path()));
        assert!(one.unwrap() == other.unwrap(), "they differ");
    }
}

/// Let what was written at `at` be lost, as ext4 does with what it finds no block
/// for.
fn lose(file: &File, at: u64, size: u64) -> std::io::Result<()> {
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(file, how, at as i64, size as i64)?)
}

#[test]
fn what_the_window_meets_keeps_the_turn_out_until_it_is_copied_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let once: Sync = |file, at, size, flags| match CALLS.fetch_add(1, Ordering::Relaxed) {
        2 => Err(Errno::EIO.into()),
        _ => sync_range(file, at, size, flags),
    };
    let bed = Bed::new((16 * MIB, MIB), 7, once);
    assert_eq!(bed.copy(), (0, Letter::FlushFailed));
    assert_eq!(bed.copy(), (16, Letter::Alive));
    bed.assert_equal();
}

#[test]
fn what_is_lost_without_an_error_does_not_count() {
    static LOSES: AtomicUsize = AtomicUsize::new(1);
    let lost: Sync = |file, at, size, flags| {
        let first = flags == SYNC_FILE_RANGE_WRITE && at == 0;
        if first && LOSES.swap(0, Ordering::Relaxed) == 1 {
            lose(file, at, size)
        } else {
            sync_range(file, at, size, flags)
        }
    };
    let bed = Bed::new((16 * MIB, MIB), 7, lost);
    assert_eq!(bed.copy(), (0, Letter::FlushFailed));
    assert_eq!(bed.copy(), (16, Letter::Alive));
    bed.assert_equal();
}

#[test]
fn zeros_that_a_file_system_keeps_as_holes_do_count() {
    let bed = Bed::new((4 * MIB, MIB), 0, |file, at, size, flags| match flags {
        SYNC_FILE_RANGE_WRITE => lose(file, at, size),
        _ => Ok(()),
    });
    assert_eq!(bed.copy(), (4, Letter::Alive));
    bed.assert_equal();
}

#[test]
fn a_region_of_several_turns_is_out_when_one_of_them_fails() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    // Slow, so that the region lasts longer than a turn; the error is in the first.
    let slow: Sync = |file, at, size, flags| {
        if flags == SYNC_FILE_RANGE_WRITE {
            sleep(Duration::from_millis(300));
        }
        match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Errno::EIO.into()),
            _ => sync_range(file, at, size, flags),
        }
    };
    let bed = Bed::new((64 * MIB, 32 * MIB), 7, slow);
    // The other region may have begun in the turn that failed, or after it.
    let (done, letter) = bed.copy();
    assert!(done < 2 && letter == Letter::FlushFailed, "{done} {letter}");
    assert_eq!(bed.copy(), (2, Letter::Alive));
    bed.assert_equal();
}

#[test]
fn stopped_in_a_turn_that_fails_nothing_of_it_counts() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let slow: Sync = |file, at, size, flags| {
        if flags == SYNC_FILE_RANGE_WRITE {
            sleep(Duration::from_millis(50));
        }
        match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Errno::ENOSPC.into()),
            _ => sync_range(file, at, size, flags),
        }
    };
    let bed = Bed::new((64 * MIB, MIB), 7, slow);
    bed.recovery.start().unwrap();
    while CALLS.load(Ordering::Relaxed) < 6 {
        sleep(Duration::from_millis(5));
    }
    bed.recovery.stop();
    assert_eq!(bed.seen(), (0, Letter::FlushFailed));
    assert_eq!(bed.copy(), (64, Letter::Alive));
    bed.assert_equal();
}

//! The dirty region log: which regions are in sync, and on a disk log which are
//! clean, in the kernel's format (drivers/md/dm-log.c). The bits have a lock that
//! is never held while the disk is waited for, so that a status can always be
//! read.

use std::ops::Range;

use parking_lot::Mutex;

use super::bits::Bits;
use super::logdisk::LogDisk;
use crate::error::Result;
use crate::text::disklog::{Header, VERSION};
use crate::text::log::Sync;

/// The log of one mirror target.
#[derive(Debug)]
pub(super) struct Log {
    regions: u64,
    word: Option<Sync>,
    disk: Option<LogDisk>,
    bits: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Regions that count as in sync.
    sync: Bits,
    /// How many those are.
    count: u64,
    /// Regions whose legs are equal; only a disk log keeps them apart.
    clean: Option<Bits>,
    /// The bytes of `clean` that the disk does not have yet, or may not have.
    unwritten: Option<Range<usize>>,
    /// Whether the same is to be said of the header.
    headless: bool,
    /// Where the next look for a region to copy begins.
    search: u64,
}

impl Log {
    /// A log of `regions`; `word` declares what they are.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new(regions: u64, word: Option<Sync>, disk: Option<LogDisk>) -> Result<Log> {
        let equal = word == Some(Sync::NoSync);
        let clean = match disk {
            Some(_) => Some(Bits::new(regions, false)?),
            None => None,
        };
        let state = State {
            sync: Bits::new(regions, equal)?,
            count: if equal { regions } else { 0 },
            clean,
            unwritten: None,
            headless: false,
            search: 0,
        };
        Ok(Log {
            regions,
            word,
            disk,
            bits: Mutex::new(state),
        })
    }

    /// Look at all regions again; a disk log is read anew, as each resume does
    /// (`core_resume`, `disk_resume`). Answers whether the log has failed now.
    pub(super) fn resume(&self) -> Result<bool> {
        let Some(disk) = &self.disk else {
            self.bits.lock().search = 0;
            return Ok(false);
        };
        let mut clean = Bits::new(self.regions, false)?;
        let read = disk.read(clean.bytes().len());
        let failed = read.is_err();
        let known = read.map_or(0, |(header, bytes)| {
            clean.load(&bytes);
            self.known(header)
        });
        // What it could not be told in this life it cannot know.
        if !self.is_written()
            && let Some(state) = &self.bits.lock().clean
        {
            clean.keep(state);
        }
        // Regions that the log does not know yet: the mirror has grown.
        clean.set_from(known, self.word == Some(Sync::NoSync) && !failed);
        let mut state = self.bits.lock();
        state.count = clean.count();
        state.sync = clean.clone();
        state.unwritten = Some(0..clean.bytes().len());
        state.clean = Some(clean);
        (state.headless, state.search) = (true, 0);
        drop(state);
        let failed = failed && disk.fail();
        Ok(self.flush() || failed)
    }

    /// How many regions of a log that was read can be believed. A sync word, and
    /// something other than a log, begin it afresh (`read_header`).
    fn known(&self, header: Option<Header>) -> u64 {
        match (self.word, header) {
            (None, Some(header)) => header.regions,
            _ => 0,
        }
    }

    /// Write what has changed, through to the disk; answers whether the log has
    /// failed now. What could not be written is tried again the next time.
    pub(super) fn flush(&self) -> bool {
        let Some(disk) = &self.disk else { return false };
        let mut state = self.bits.lock();
        let Some(range) = state.unwritten.take() else {
            return false;
        };
        let headless = std::mem::take(&mut state.headless);
        let clean = state.clean.as_ref().map(Bits::bytes);
        let bytes = clean.and_then(|bytes| bytes.get(range.clone()));
        let bytes = bytes.unwrap_or_default().to_vec();
        drop(state);
        let header = headless.then_some(Header {
            version: VERSION,
            regions: self.regions,
        });
        let written = disk.write(range.start, &bytes, header.as_ref());
        if written.is_err() {
            let mut state = self.bits.lock();
            state.owe(range);
            state.headless |= headless;
        }
        written.is_err() && disk.fail()
    }

    /// Whether the log's disk has all that it was told.
    pub(super) fn is_written(&self) -> bool {
        self.bits.lock().unwritten.is_none()
    }

    /// A run of at most `most` regions that are to be copied; each is answered
    /// once until the next resume (`core_get_resync_work`).
    pub(super) fn work(&self, most: u64) -> Option<Range<u64>> {
        let mut state = self.bits.lock();
        let run = state.sync.unset(state.search, most);
        state.search = run.as_ref().map_or(self.regions, |run| run.end);
        run
    }

    /// Whether [`Log::work`] has something more.
    pub(super) fn has_work(&self) -> bool {
        let state = self.bits.lock();
        state.search < self.regions && state.sync.unset(state.search, 1).is_some()
    }

    /// Answer these regions once more: they were not copied to their end.
    pub(super) fn put_back(&self, first: u64) {
        let mut state = self.bits.lock();
        state.search = state.search.min(first);
    }

    /// The end of a region's copy. What was copied is in sync and clean; what was
    /// not may count as in sync all the same, where errors are not tracked
    /// (`complete_resync_work`), but is never clean.
    pub(super) fn complete(&self, region: u64, in_sync: bool, clean: bool) {
        let mut state = self.bits.lock();
        if state.sync.get(region) != in_sync {
            state.sync.put(region, in_sync);
            state.count = if in_sync {
                state.count + 1
            } else {
                state.count - 1
            };
        }
        let Some(bits) = state
            .clean
            .as_mut()
            .filter(|bits| bits.get(region) != clean)
        else {
            return;
        };
        bits.put(region, clean);
        let byte = (region / 8) as usize;
        state.owe(byte..byte + 1);
    }

    /// How many regions are in sync.
    pub(super) fn in_sync(&self) -> u64 {
        self.bits.lock().count
    }

    /// The log's disk, where it has one.
    pub(super) fn disk(&self) -> Option<&LogDisk> {
        self.disk.as_ref()
    }
}

impl State {
    /// The disk does not have these bytes.
    fn owe(&mut self, more: Range<usize>) {
        let range = self.unwritten.take().unwrap_or(more.clone());
        self.unwritten = Some(range.start.min(more.start)..range.end.max(more.end));
    }
}

#[cfg(test)]
mod tests {
    use crate::text::letter::Letter;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::error::Errno;
    use crate::text::disklog::{BITSET_OFFSET, size_for};

    static LOSING: AtomicBool = AtomicBool::new(false);

    fn disk(file: &tempfile::NamedTempFile) -> LogDisk {
        LogDisk::open(file.path()).unwrap()
    }

    fn file() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size_for(20, 512).unwrap()).unwrap();
        file
    }

    #[test]
    fn a_core_log_keeps_what_is_in_sync_over_a_resume() {
        let log = Log::new(20, None, None).unwrap();
        assert_eq!(log.work(8), Some(0..8));
        assert_eq!(log.work(50), Some(8..20));
        assert!(!log.has_work());
        (0..8).for_each(|region| log.complete(region, true, true));
        log.complete(3, false, false);
        assert_eq!(log.in_sync(), 7);
        assert!(!log.resume().unwrap());
        assert_eq!((log.work(5), log.work(5)), (Some(3..4), Some(8..13)));
        log.put_back(9);
        assert_eq!(log.work(1), Some(9..10));
    }

    #[test]
    fn a_disk_log_is_read_at_each_resume() {
        let file = file();
        let log = Log::new(20, None, Some(disk(&file))).unwrap();
        assert!(!log.resume().unwrap());
        assert_eq!(log.in_sync(), 0);
        for region in [0, 1, 17] {
            log.complete(region, true, true);
        }
        log.complete(2, true, false);
        assert_eq!(log.in_sync(), 4);
        assert!(!log.flush());
        let again = Log::new(20, None, Some(disk(&file))).unwrap();
        assert!(!again.resume().unwrap());
        assert_eq!(again.in_sync(), 3);
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(bytes[BITSET_OFFSET as usize..][..3], [3, 0, 2]);
    }

    #[test]
    fn a_sync_word_begins_it_afresh_and_more_regions_are_not_clean() {
        let file = file();
        for (regions, word, in_sync) in [
            (10, Some(Sync::NoSync), 10),
            (20, None, 10),
            (20, Some(Sync::NoSync), 20),
            (12, None, 12),
            (20, Some(Sync::Sync), 0),
        ] {
            let log = Log::new(regions, word, Some(disk(&file))).unwrap();
            assert!(!log.resume().unwrap());
            assert_eq!(log.in_sync(), in_sync, "{regions} {word:?}");
        }
    }

    #[test]
    fn a_log_of_another_version_has_failed_and_nothing_is_believed() {
        let file = file();
        let header = Header {
            version: 9,
            regions: 20,
        };
        std::fs::write(
            file.path(),
            [&header.to_bytes()[..], &[0xff; 2000]].concat(),
        )
        .unwrap();
        let log = Log::new(20, None, Some(disk(&file))).unwrap();
        assert!(log.resume().unwrap());
        assert_eq!(
            (log.in_sync(), log.disk().unwrap().letter()),
            (0, Letter::WriteFailed)
        );
        assert!(!log.resume().unwrap());
    }

    /// A log whose disk can be told to lose what it is told.
    fn losing(path: &std::path::Path) -> Log {
        let disk = LogDisk::open_with(path, |file| {
            if LOSING.load(Relaxed) {
                Err(Errno::EIO.into())
            } else {
                file.sync_data()
            }
        });
        Log::new(20, None, Some(disk.unwrap())).unwrap()
    }

    /// The kernel takes what it could not write for written, and may drop it: the
    /// disk has what it had.
    fn lose(log: &Log, file: &tempfile::NamedTempFile) {
        let before = std::fs::read(file.path()).unwrap();
        LOSING.store(true, Relaxed);
        log.flush();
        LOSING.store(false, Relaxed);
        std::fs::write(file.path(), before).unwrap();
        assert!(!log.is_written());
    }

    #[test]
    fn what_the_disk_was_told_in_vain_is_told_again_and_not_believed() {
        let file = file();
        let log = losing(file.path());
        assert!(!log.resume().unwrap());
        (0..2).for_each(|region| log.complete(region, true, true));
        lose(&log, &file);
        log.complete(17, true, true);
        assert!(!log.flush() && log.is_written());
        let bits = std::fs::read(file.path()).unwrap();
        assert_eq!(bits[BITSET_OFFSET as usize..][..3], [3, 0, 2]);
        // Lost again, as a leg that was cut: the disk still calls them clean.
        (0..2).for_each(|region| log.complete(region, false, false));
        lose(&log, &file);
        assert_eq!(log.disk().unwrap().letter(), Letter::WriteFailed);
        assert!(!log.resume().unwrap());
        assert_eq!((log.in_sync(), log.work(20)), (1, Some(0..17)));
        let bits = std::fs::read(file.path()).unwrap();
        assert_eq!(bits[BITSET_OFFSET as usize..][..3], [0, 0, 2]);
    }
}

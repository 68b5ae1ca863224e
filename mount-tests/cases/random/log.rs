//! The log of a mirror target, in memory or on a disk, as drivers/md/dm-log.c has it.

use mirrorfs::text::disklog::{BITSET_OFFSET, Header, VERSION};
use mirrorfs::text::log::Sync;

use super::disks::Disk;

/// Bytes of a log on a disk that are read and written.
const BYTES: usize = BITSET_OFFSET as usize + 8;

/// One log. A region is in sync by `sync`; `clean` is what stands on the disk.
#[derive(Debug, Clone)]
pub struct Log {
    /// The disk that it is on, of those that hold logs.
    pub disk: Option<usize>,
    word: Option<Sync>,
    clean: Vec<bool>,
    sync: Vec<bool>,
    search: usize,
    touched: bool,
    /// Regions became clean: the legs are flushed before that is written.
    cleaned: bool,
    /// A leg's flush failed: nothing is called clean any more.
    flush_failed: bool,
    pub failed: bool,
}

impl Log {
    pub fn new(disk: Option<usize>, word: Option<Sync>, regions: usize) -> Log {
        Log {
            disk,
            word,
            clean: vec![true; regions],
            sync: vec![word == Some(Sync::NoSync); regions],
            search: 0,
            touched: false,
            cleaned: false,
            flush_failed: false,
            failed: false,
        }
    }

    pub fn regions(&self) -> usize {
        self.sync.len()
    }

    /// Whether it calls the legs equal, whatever they are.
    pub fn is_believed(&self) -> bool {
        self.word == Some(Sync::NoSync)
    }

    pub fn sync_count(&self) -> usize {
        self.sync.iter().filter(|sync| **sync).count()
    }

    pub fn in_sync(&self, region: usize) -> bool {
        self.sync[region]
    }

    /// `disk_resume`, `core_resume`.
    pub fn resume(&mut self, disks: &mut [Disk]) {
        self.search = 0;
        let Some(disk) = self.disk.map(|disk| &mut disks[disk]) else {
            return;
        };
        let mut bytes = [0; BYTES];
        let read = disk.read_log(&mut bytes);
        self.failed |= read.is_err();
        let header = Header::parse(&bytes).filter(|header| header.version == VERSION);
        let known = header.map_or(0, |header| header.regions as usize);
        let known = if self.word.is_some() || read.is_err() {
            0
        } else {
            known
        };
        let bits = &bytes[BITSET_OFFSET as usize..];
        for (region, clean) in self.clean.iter_mut().enumerate() {
            *clean = if region < known {
                bits[region / 8] >> (region % 8) & 1 == 1
            } else {
                self.word == Some(Sync::NoSync)
            };
        }
        self.sync.clone_from(&self.clean);
        self.failed |= disk.write_log(&self.bytes()).is_err();
    }

    fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let header = Header {
            version: VERSION,
            regions: self.regions() as u64,
        };
        bytes[..16].copy_from_slice(&header.to_bytes());
        for (region, _) in self.clean.iter().enumerate().filter(|(_, clean)| **clean) {
            bytes[BITSET_OFFSET as usize + region / 8] |= 1 << (region % 8);
        }
        bytes
    }

    /// A region is about to be written to.
    pub fn mark(&mut self, region: usize) {
        self.clean[region] = false;
        self.touched = true;
    }

    /// No write to a region is under way, and all legs have it.
    pub fn clear(&mut self, region: usize) {
        if !self.flush_failed {
            self.clean[region] = true;
            (self.touched, self.cleaned) = (true, true);
        }
    }

    /// Whether the legs are to be flushed before the log is written.
    pub fn wants_flush(&self) -> bool {
        self.disk.is_some() && self.touched && self.cleaned
    }

    /// What a leg's failed flush means.
    pub fn legs_not_flushed(&mut self) {
        self.flush_failed = true;
        self.clean.fill(false);
    }

    /// `disk_flush`; whether that worked.
    pub fn flush(&mut self, disks: &mut [Disk]) -> bool {
        let Some(disk) = self.disk.filter(|_| self.touched) else {
            return true;
        };
        let written = disks[disk].write_log(&self.bytes());
        match written {
            Ok(()) => (self.touched, self.cleaned) = (false, false),
            Err(_) => self.failed = true,
        }
        written.is_ok()
    }

    /// The next region to copy; each is tried once in a life.
    pub fn next(&mut self) -> Option<usize> {
        let missing = |region: &usize| !self.sync[*region];
        let next = (self.search..self.regions()).find(missing);
        self.search = next.map_or(self.regions(), |region| region + 1);
        next
    }

    pub fn set(&mut self, region: usize, in_sync: bool) {
        self.sync[region] = in_sync;
    }
}

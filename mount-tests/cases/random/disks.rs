//! Disks that are no disks: an array each, of which a block holds the number of the
//! write that left it. They fail on demand.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Sectors of a block, which is the smallest region here: mirrorfs gives a region of
/// this size to a mirror that it makes of a linear device.
pub const SECTORS: u64 = 8192;

/// Blocks of a disk.
pub const BLOCKS: usize = 40;

/// The number of a write.
pub type Version = u64;

/// What a read answers of which nothing is known: a copy went on without an error.
pub const JUNK: Version = Version::MAX;

/// Where a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    Nowhere,
    All,
    At(usize),
}

impl Spot {
    fn hits(self, block: usize) -> bool {
        match self {
            Spot::Nowhere => false,
            Spot::All => true,
            Spot::At(bad) => bad == block,
        }
    }
}

/// The disk does not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// One disk.
#[derive(Debug, Clone)]
pub struct Disk {
    pub blocks: Vec<Version>,
    pub reads: Spot,
    pub writes: Spot,
    /// The file that a log is in: the daemon opens logs by their path.
    pub file: Option<PathBuf>,
}

impl Disk {
    /// One whose blocks all hold `version`.
    pub fn new(version: Version, file: Option<PathBuf>) -> Disk {
        Disk {
            blocks: vec![version; BLOCKS],
            reads: Spot::Nowhere,
            writes: Spot::Nowhere,
            file,
        }
    }

    pub fn works(&self) -> bool {
        self.reads == Spot::Nowhere && self.writes == Spot::Nowhere
    }

    pub fn repair(&mut self) {
        (self.reads, self.writes) = (Spot::Nowhere, Spot::Nowhere);
    }

    pub fn read(&self, block: usize) -> Result<Version, Broken> {
        if self.reads.hits(block) {
            Err(Broken)
        } else {
            Ok(self.blocks[block])
        }
    }

    pub fn write(&mut self, block: usize, version: Version) -> Result<(), Broken> {
        if self.writes.hits(block) {
            return Err(Broken);
        }
        self.blocks[block] = version;
        Ok(())
    }

    /// Whether a flush of its cache works.
    pub fn flushes(&self) -> bool {
        self.writes != Spot::All
    }

    /// The bytes of the log that is on it.
    pub fn read_log(&self, bytes: &mut [u8]) -> Result<(), Broken> {
        if self.reads != Spot::Nowhere {
            return Err(Broken);
        }
        let path = self.file.as_ref().expect("a log's disk is a file");
        let file = OpenOptions::new().read(true).open(path).expect("a log");
        file.read_exact_at(bytes, 0).expect("a log's bytes");
        Ok(())
    }

    /// Write them.
    pub fn write_log(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.writes != Spot::Nowhere {
            return Err(Broken);
        }
        let path = self.file.as_ref().expect("a log's disk is a file");
        let file = OpenOptions::new().write(true).open(path).expect("a log");
        file.write_all_at(bytes, 0).expect("a log's bytes");
        Ok(())
    }
}

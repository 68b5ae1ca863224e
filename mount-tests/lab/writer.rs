//! A writer that never stops: one block after the other, each acknowledged and
//! remembered, so that afterwards every acknowledged byte can be looked for and
//! the longest wait be told.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libc::{O_DIRECT, O_DSYNC};

use super::wait_longer;

const BLOCK: usize = 4096;

/// A block at an address that O_DIRECT takes.
#[repr(C, align(4096))]
struct Block([u8; BLOCK]);

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Written {
    /// For each block, the number of the last write to it; 0 before the first.
    latest: Vec<u64>,
    /// The longest time between two acknowledgements.
    pub longest: Duration,
    /// How long each took.
    waits: Vec<Duration>,
    /// The error that ended it, if one did.
    pub error: Option<io::Error>,
}

/// A thread that writes.
pub struct Writer {
    blocks: u64,
    over: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Written>,
}

impl Writer {
    /// Write blocks all over the first `bytes` of a device, past every cache.
    pub fn start(device: &str, bytes: u64) -> Writer {
        let (over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let file = open(device, O_DIRECT | O_DSYNC);
        let (stop, done) = (Arc::clone(&over), Arc::clone(&count));
        let thread = thread::spawn(move || write(&file, bytes, &stop, &done));
        Writer {
            blocks: bytes / BLOCK as u64,
            over,
            count,
            thread,
        }
    }

    /// How many writes were acknowledged.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Wait until `more` writes have been acknowledged.
    pub fn wait_for(&self, more: u64) {
        let wanted = self.count() + more;
        wait_longer(40, "acknowledged writes", || {
            assert!(!self.has_ended(), "a write failed");
            self.count() >= wanted
        });
    }

    /// Wait until a write to one of these blocks has been acknowledged.
    pub fn wait_for_block(&self, blocks: Range<u64>) {
        let next = self.count() + 2;
        let mut numbers = next..;
        let there = numbers.find(|number| blocks.contains(&place(*number, self.blocks)));
        self.wait_for(there.expect("all are written to") + 1 - self.count());
    }

    /// Whether a write failed, which ends it.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether it waits: nothing is acknowledged for a while.
    pub fn is_held(&self) -> bool {
        let before = self.count();
        thread::sleep(Duration::from_millis(400));
        self.count() == before
    }

    /// Let it end, and say what it wrote; an error of a write is in it.
    pub fn end(self) -> Written {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("a writer")
    }
}

fn open(device: &str, flags: i32) -> File {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(flags);
    options.open(device).expect("the device")
}

fn write(file: &File, bytes: u64, over: &AtomicBool, count: &AtomicU64) -> Written {
    let blocks = bytes / BLOCK as u64;
    let mut written = Written {
        latest: vec![0; blocks as usize],
        ..Written::default()
    };
    let mut block = Box::new(Block([0; BLOCK]));
    let mut last = Instant::now();
    for number in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let place = place(number, blocks);
        stamp(&mut block.0, number);
        if let Err(error) = file.write_all_at(&block.0, place * BLOCK as u64) {
            written.error = Some(error);
            // It may have got there or not.
            written.latest[place as usize] = 0;
            break;
        }
        let waited = last.elapsed();
        written.longest = written.longest.max(waited);
        written.waits.push(waited);
        last = Instant::now();
        written.latest[place as usize] = number;
        count.store(number, Ordering::Relaxed);
    }
    written
}

/// The block of a write.
fn place(number: u64, blocks: u64) -> u64 {
    number * 7919 % blocks
}

fn stamp(block: &mut [u8; BLOCK], number: u64) {
    let words = block.chunks_exact_mut(8);
    words.for_each(|word| word.copy_from_slice(&number.to_le_bytes()));
}

impl Written {
    /// How many blocks were acknowledged, each once.
    pub fn count(&self) -> usize {
        self.latest.iter().filter(|number| **number > 0).count()
    }

    /// What half of the writes took at most.
    pub fn median(&self) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied().unwrap_or_default()
    }

    /// Every acknowledged block is on `device`, as it was written last.
    pub fn assert_on(&self, device: &str) {
        let file = open(device, O_DIRECT);
        let (mut found, mut wanted) = (Box::new(Block([0; BLOCK])), [0; BLOCK]);
        for (place, number) in self.latest.iter().enumerate() {
            if *number == 0 {
                continue;
            }
            stamp(&mut wanted, *number);
            let at = (place * BLOCK) as u64;
            file.read_exact_at(&mut found.0, at).expect("a block");
            assert!(
                found.0 == wanted,
                "{device}: block {place} is not as write {number} left it"
            );
        }
    }
}

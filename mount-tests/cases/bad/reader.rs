//! A reader that never stops: one block after the other of a device, but for those that
//! cannot be read.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const BLOCK: u64 = 4096;

/// A block at an address that O_DIRECT takes.
#[repr(C, align(4096))]
struct Block([u8; BLOCK as usize]);

/// What was read.
#[derive(Debug, Default)]
pub struct Reads {
    /// How many reads there were.
    pub count: u64,
    /// When each failed, and where.
    pub failed: Vec<(Instant, u64)>,
    /// The longest that one took.
    pub longest: Duration,
}

/// A thread that reads.
pub struct Reader {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Reads>,
}

impl Reader {
    /// Read blocks all over the first `bytes` of a device, but for those that have bytes
    /// of `holes`: where each begins, and how many.
    pub fn start(device: &str, bytes: u64, holes: &[(u64, u64)]) -> Reader {
        let over = Arc::<AtomicBool>::default();
        let (stop, device, holes) = (Arc::clone(&over), device.to_owned(), holes.to_vec());
        let thread = thread::spawn(move || read(&device, bytes, &holes, &stop));
        Reader { over, thread }
    }

    /// Let it end, and say what it met.
    pub fn end(self) -> Reads {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("a reader")
    }
}

fn read(device: &str, bytes: u64, holes: &[(u64, u64)], over: &AtomicBool) -> Reads {
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_DIRECT);
    let file = options.open(device).expect("the device");
    let mut reads = Reads::default();
    let mut block = Box::new(Block([0; BLOCK as usize]));
    for number in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let at = number * 7907 % (bytes / BLOCK) * BLOCK;
        let is_bad = |(start, size): &(u64, u64)| at < start + size && *start < at + BLOCK;
        if holes.iter().any(is_bad) {
            continue;
        }
        let begun = Instant::now();
        if file.read_exact_at(&mut block.0, at).is_err() {
            reads.failed.push((begun, at));
        }
        reads.count += 1;
        reads.longest = reads.longest.max(begun.elapsed());
    }
    reads
}

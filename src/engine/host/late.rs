//! How late a disk answers: the quickest of a few small reads, each at another place, past
//! every cache. Whoever asks waits for a moment at most.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::sysfs::Block;
use crate::engine::Medium;
use crate::engine::buffer::{ALIGN, Buffer};
use crate::engine::direct::open;

/// Where it is read, in eighths: a disk that turns, and one that reads ahead, are as late as
/// they are. Of so many the quickest is none that a loaded machine has kept waiting.
const PLACES: [u64; 8] = [1, 5, 3, 7, 2, 6, 4, 0];

/// No more is read after that long.
const ENOUGH: Duration = Duration::from_millis(60);

/// How long it is waited for.
const WITHIN: Duration = Duration::from_millis(400);

/// How many may hang at once, each with a thread.
const MOST: usize = 8;

static AT_IT: AtomicUsize = AtomicUsize::new(0);

/// A few calls.
const STACK: usize = 128 * 1024;

/// How each device answers; none of what is no device, or does not answer within a moment.
pub(super) fn media(blocks: impl Iterator<Item = Option<Block>>) -> Vec<Option<Medium>> {
    // All at once: one that answers late is waited for while the others are.
    let begun: Vec<_> = blocks.map(|block| begin_medium(&block?)).collect();
    let ended = begun.into_iter().map(|begun| {
        let (rotational, late) = begun?;
        let late = late.take()?;
        Some(Medium { late, rotational })
    });
    ended.collect()
}

fn begin_medium(block: &Block) -> Option<(bool, Late)> {
    let disk = block.whole().unwrap_or_else(|| block.clone());
    let rotational = disk.number("queue/rotational") == Some(1);
    let late = begin(block.kernel_node(), block.bytes("size")?)?;
    Some((rotational, late))
}

/// Reads that were begun.
struct Late(Receiver<Option<Duration>>);

impl Late {
    /// How long the quickest took; none where the device does not answer.
    fn take(self) -> Option<Duration> {
        self.0.recv_timeout(WITHIN).ok().flatten()
    }
}

/// Begin to read a device of so many bytes; none where too many hang already.
fn begin(node: PathBuf, size: u64) -> Option<Late> {
    if AT_IT.fetch_add(1, Ordering::Relaxed) >= MOST {
        AT_IT.fetch_sub(1, Ordering::Relaxed);
        return None;
    }
    let (tell, told) = channel();
    let work = move || {
        let quickest = quickest(&node, size);
        AT_IT.fetch_sub(1, Ordering::Relaxed);
        let _ = tell.send(quickest);
    };
    let thread = thread::Builder::new().name("late".into()).stack_size(STACK);
    if thread.spawn(work).is_err() {
        AT_IT.fetch_sub(1, Ordering::Relaxed);
        return None;
    }
    Some(Late(told))
}

fn quickest(node: &Path, size: u64) -> Option<Duration> {
    let file = open(node, OpenOptions::new().read(true)).ok()?;
    let mut buffer = Buffer::new(ALIGN as usize);
    let begun = Instant::now();
    let mut quickest = None;
    for place in PLACES {
        let at = size / 8 * place;
        let start = Instant::now();
        let read = file.read_at(buffer.part(ALIGN as usize), at - at % ALIGN);
        let took = start.elapsed();
        read.ok()?;
        quickest = quickest.min(Some(took)).or(Some(took));
        if begun.elapsed() >= ENOUGH {
            break;
        }
    }
    quickest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_at_once_is_not_late() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let late = |path: PathBuf| begin(path, 1 << 20).and_then(Late::take);
        let quick = late(file.path().into());
        assert!(quick.is_some_and(|quick| quick < WITHIN), "{quick:?}");
        assert_eq!(late("/nowhere".into()), None);
        assert_eq!(AT_IT.load(Ordering::Relaxed), 0);
    }
}

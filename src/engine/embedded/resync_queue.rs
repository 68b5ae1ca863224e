//! What is to be copied, handed out piece by piece to those who copy at the same
//! time: runs of small regions together, large regions in parts.

use std::collections::BTreeSet;
use std::ops::Range;

use super::copy::PIECE;
use super::mirror::Mirror;

/// A piece to copy: whole regions, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The regions that it belongs to.
    pub(super) regions: Range<u64>,
    /// First byte of the target.
    pub(super) start: u64,
    /// Bytes.
    pub(super) size: u64,
}

/// What has been handed out, and what came of it.
#[derive(Debug, Default)]
pub(super) struct ResyncQueue {
    /// A large region that has been handed out up to this byte of it.
    part: Option<(u64, u64)>,
    /// Regions that were handed out to their end since the last harvest.
    given: Vec<Range<u64>>,
    /// Those of them, and of the one that is partly out, that failed.
    failed: BTreeSet<u64>,
}

/// The regions that have come to their end.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    pub(super) ended: Vec<Range<u64>>,
    pub(super) failed: BTreeSet<u64>,
    /// Whether one more is partly out.
    pub(super) open: bool,
}

impl ResyncQueue {
    /// The next piece; none where nothing is left.
    pub(super) fn next(&mut self, mirror: &Mirror) -> Option<Job> {
        loop {
            if let Some((region, done)) = self.part {
                match self.next_part(mirror, region, done) {
                    Some(job) => return Some(job),
                    None => continue,
                }
            }
            let most = PIECE / mirror.parts.region.max(1);
            let run = mirror.parts.log.work(most)?;
            if most == 0 {
                self.part = Some((run.start, 0));
                continue;
            }
            let ((start, _), (last, size)) = (mirror.place(run.start), mirror.place(run.end - 1));
            self.given.push(run.clone());
            return Some(Job {
                regions: run,
                start,
                size: last + size - start,
            });
        }
    }

    /// The next part of a large region; none at its end.
    fn next_part(&mut self, mirror: &Mirror, region: u64, done: u64) -> Option<Job> {
        let (start, size) = mirror.place(region);
        // Where errors are tracked the rest of a failed region is for nothing.
        let lost = mirror.parts.handle_errors && self.failed.contains(&region);
        if done >= size || lost {
            self.part = None;
            self.given.push(region..region + 1);
            return None;
        }
        let piece = PIECE.min(size - done);
        self.part = Some((region, done + piece));
        Some(Job {
            regions: region..region + 1,
            start: start + done,
            size: piece,
        })
    }

    /// A region could not be copied.
    pub(super) fn fail(&mut self, region: u64) {
        self.failed.insert(region);
    }

    /// Take the regions that have come to their end; all that was handed out must
    /// have been done.
    pub(super) fn harvest(&mut self) -> Harvest {
        let open = self.part.map(|(region, _)| region);
        let failed = std::mem::take(&mut self.failed);
        let (kept, failed) = failed.into_iter().partition(|region| Some(*region) == open);
        self.failed = kept;
        Harvest {
            ended: std::mem::take(&mut self.given),
            failed,
            open: open.is_some(),
        }
    }

    /// The region that is partly out could not be copied.
    pub(super) fn fail_part(&mut self) {
        self.failed.extend(self.part.map(|(region, _)| region));
    }

    /// Whether a region is partly out.
    pub(super) fn is_open(&self) -> bool {
        self.part.is_some()
    }

    /// Forget a region that is partly out: it begins anew.
    pub(super) fn drop_part(&mut self, mirror: &Mirror) {
        if let Some((region, _)) = self.part.take() {
            mirror.parts.log.put_back(region);
        }
        self.failed.clear();
    }
}

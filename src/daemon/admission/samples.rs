//! Where the legs of a mirror are compared that was away: wherever its log calls them
//! equal, or, where that is much, in places that tell most and in some of all others. Pure.

use crate::engine::Span;
use crate::text::disklog::is_clean;

/// Compared as a whole up to so many bytes.
const WHOLE: u64 = 64 << 20;

/// Compared where something begins or ends: the superblocks of ext4, XFS and btrfs,
/// LVM's and md's headers, and the partition tables lie in it.
const ANCHOR: u64 = 1 << 20;

/// How many other places, and how many bytes of each.
const SAMPLES: u64 = 256;
const SAMPLE: u64 = 64 << 10;

/// What a log says of a mirror target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clean {
    /// Bytes of the target.
    pub size: u64,
    /// Bytes of a region.
    pub region: u64,
    /// The bitset of the disk log.
    pub bits: Vec<u8>,
}

impl Clean {
    /// Whether the log calls a byte equal on all legs.
    pub fn has(&self, at: u64) -> bool {
        is_clean(&self.bits, at / self.region.max(1))
    }

    /// Whether it calls all of them so.
    pub fn is_all(&self) -> bool {
        self.runs().as_slice()
            == [Span {
                start: 0,
                size: self.size,
            }]
    }

    /// The bytes that it calls equal, what adjoins in one.
    fn runs(&self) -> Vec<Span> {
        let region = self.region.max(1);
        let mut runs: Vec<Span> = Vec::new();
        for number in 0..self.size.div_ceil(region) {
            if !is_clean(&self.bits, number) {
                continue;
            }
            let start = number * region;
            let size = region.min(self.size - start);
            match runs.last_mut() {
                Some(last) if last.end() == start => last.size += size,
                _ => runs.push(Span { start, size }),
            }
        }
        runs
    }

    /// What is compared: all, or what tells most. `begins` are where something begins, and
    /// `unstable` what may differ although nobody did anything.
    pub fn samples(&self, begins: &[u64], unstable: &[Span], all: bool) -> Vec<Span> {
        let runs = unstable
            .iter()
            .fold(self.runs(), |runs, hole| without(&runs, *hole));
        let total: u64 = runs.iter().map(|run| run.size).sum();
        if all || total <= WHOLE {
            return runs;
        }
        let anchors = begins.iter().flat_map(|begin| {
            let before = begin.saturating_sub(ANCHOR);
            [(before, begin - before), (*begin, ANCHOR)]
        });
        let last = (self.size.saturating_sub(ANCHOR), ANCHOR);
        let anchors = anchors.chain([(0, ANCHOR), last]);
        let spread = (0..SAMPLES).map(|number| (nth(&runs, total / SAMPLES * number), SAMPLE));
        let wanted = anchors.chain(spread);
        let wanted = wanted.map(|(start, size)| Span { start, size });
        let mut found: Vec<Span> = wanted.flat_map(|span| within(&runs, span)).collect();
        found.sort_by_key(|span| (span.start, span.size));
        found.dedup();
        found
    }
}

/// The byte that is so many bytes into these runs.
fn nth(runs: &[Span], mut bytes: u64) -> u64 {
    for run in runs {
        if bytes < run.size {
            return run.start + bytes;
        }
        bytes -= run.size;
    }
    0
}

/// These runs but for what lies in a hole.
fn without(runs: &[Span], hole: Span) -> Vec<Span> {
    let behind = hole.end();
    let sides = [(0, hole.start), (behind, u64::MAX - behind)];
    let sides = sides.map(|(start, size)| Span { start, size });
    let left = runs.iter().flat_map(|run| {
        let [before, after] = sides.map(|side| within(&[*run], side));
        [before, after].concat()
    });
    left.collect()
}

/// What of a span lies in these runs.
fn within(runs: &[Span], span: Span) -> Vec<Span> {
    let cut = runs.iter().filter(|run| run.meets(&span)).map(|run| {
        let start = run.start.max(span.start);
        Span {
            start,
            size: run.end().min(span.end()) - start,
        }
    });
    cut.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn clean(size: u64, bits: &[u8]) -> Clean {
        Clean {
            size,
            region: MIB,
            bits: bits.to_vec(),
        }
    }

    #[test]
    fn what_is_little_is_compared_whole_and_what_is_not_clean_never() {
        let some = clean(10 * MIB - 512, &[0b1100_0110, 0b10]);
        let span = |start, size| Span { start, size };
        let wanted = [
            span(MIB, 2 * MIB),
            span(6 * MIB, 2 * MIB),
            span(9 * MIB, MIB - 512),
        ];
        assert_eq!(some.samples(&[], &[], false), wanted);
        let holes = [span(2 * MIB, 5 * MIB), span(0, 512), span(9 * MIB, MIB)];
        let left = [span(MIB, MIB), span(7 * MIB, MIB)];
        assert_eq!(some.samples(&[], &holes, false), left);
        assert!(some.has(MIB) && !some.has(0) && !some.has(5 * MIB) && !some.is_all());
        assert!(clean(9 * MIB, &[0xff, 1]).is_all());
        assert!(clean(MIB, &[0]).samples(&[0], &[], true).is_empty());
    }

    #[test]
    fn of_much_the_places_that_tell_most_and_some_of_all_others() {
        let much = clean(1024 * MIB, &[0xff; 128]);
        let begins = [100 * MIB + 512];
        let found = much.samples(&begins, &[], false);
        let total: u64 = found.iter().map(|span| span.size).sum();
        assert!(total < WHOLE, "{total}");
        for at in [
            0,
            MIB - 1,
            1024 * MIB - 1,
            begins[0],
            begins[0] - 1,
            begins[0] + MIB / 2,
        ] {
            let hit = |span: &&Span| span.start <= at && at < span.end();
            assert!(found.iter().find(hit).is_some(), "{at}");
        }
        for eighth in 0..8 {
            let part = Span {
                start: eighth * 128 * MIB,
                size: 128 * MIB,
            };
            assert!(found.iter().filter(|span| span.meets(&part)).count() >= 32);
        }
        assert_eq!(
            much.samples(&begins, &[], true),
            [Span {
                start: 0,
                size: much.size
            }]
        );
    }
}

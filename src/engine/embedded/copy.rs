//! Copying a piece from the source to all targets. Holes of a file stay holes;
//! what cannot be read is not written: the kernel, told to ignore errors, would
//! write what happened to be in memory.

use super::holes::Span;
use super::leg::{Failure, Leg};
use super::mirror::Mirror;
use crate::engine::buffer::Buffer;

/// The largest piece that is copied in one go.
pub(super) const PIECE: u64 = 2 << 20;

/// As much as possible of what failed is saved, in steps of this size, though it does
/// not count: the source may be a disk that is dying.
const STEP: u64 = 64 * 1024;

/// The numbers of the legs that failed, as bits; 0 where all went well.
type Failed = u16;

/// Copy `size` bytes from `start` on, all of one region or all that is left of it.
/// Answers whether every target has them; who failed is noted.
pub(super) fn last_try(mirror: &Mirror, start: u64, size: u64, buffer: &mut Buffer) -> bool {
    let failed = copy(mirror, start, size, buffer);
    if failed == 0 {
        return true;
    }
    let legs = mirror.parts.legs.iter().enumerate();
    let hurt = legs.filter(|(number, _)| failed & (1 << number) != 0);
    hurt.for_each(|(_, leg)| mirror.fail(leg, Failure::Sync));
    let mut done = 0;
    while done < size {
        let step = STEP.min(size - done);
        copy(mirror, start + done, step, buffer);
        done += step;
    }
    false
}

/// Copy `size` bytes from `start` on, at most [`PIECE`].
pub(super) fn copy(mirror: &Mirror, start: u64, size: u64, buffer: &mut Buffer) -> Failed {
    let Some(source) = mirror.source() else {
        return 1;
    };
    let Ok(spans) = source.store.spans(source.offset + start, size) else {
        return 1;
    };
    let copied = spans.iter().map(|span| {
        if span.hole {
            to_all(mirror, |leg| {
                leg.store
                    .zero(leg.offset + span.start - source.offset, span.size)
            })
        } else {
            data(mirror, source, span, buffer)
        }
    });
    copied.fold(0, |failed, more| failed | more)
}

fn data(mirror: &Mirror, source: &Leg, span: &Span, buffer: &mut Buffer) -> Failed {
    let bytes = buffer.part(span.size as usize);
    if source.store.read(bytes, span.start).is_err() {
        return 1;
    }
    to_all(mirror, |leg| {
        leg.store
            .write(bytes, leg.offset + span.start - source.offset)
    })
}

/// Whether a span of a target, which it has as a hole, is all zeros in the source.
pub(super) fn is_zero(mirror: &Mirror, leg: &Leg, span: &Span) -> bool {
    let Some(source) = mirror.source() else {
        return false;
    };
    let mut buffer = Buffer::new(STEP as usize);
    let start = span.start - leg.offset + source.offset;
    let mut steps = (0..span.size).step_by(STEP as usize);
    steps.all(|done| {
        let bytes = buffer.part(STEP.min(span.size - done) as usize);
        let read = source.store.read(bytes, start + done);
        read.is_ok() && bytes.iter().all(|byte| *byte == 0)
    })
}

fn to_all(mirror: &Mirror, write: impl Fn(&Leg) -> std::io::Result<()>) -> Failed {
    let targets = mirror.targets().iter().zip(1..);
    let failed = targets.filter(|(leg, _)| leg.is_cut() || write(leg).is_err());
    failed.fold(0, |bits, (_, number)| bits | 1 << number)
}

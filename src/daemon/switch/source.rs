//! Finding what of a disk cannot be read, with as few reads of it as can be: each bad
//! block of a dying one may take as long as its drive tries.

use std::time::{Duration, Instant};

use crate::engine::{Buffer, Direct, Span, is_of_the_medium};
use crate::error::Result;
use crate::model::snapshot::SECTOR;
use crate::model::spots::{Spot, push};
use crate::plan::compare::cut;

/// Bytes that are read at once.
const CHUNK: u64 = 64 * 1024;

/// How long reads that fail may take together, before what is left is left alone.
const FAILING_FOR: Duration = Duration::from_secs(60);

/// Takes a range with what it holds; none where that cannot be read.
pub(super) type Put<'a> = dyn FnMut(Spot, Option<&[u8]>) -> Result<()> + 'a;

/// A leg of a mirror, to be read where nobody else does.
pub(super) struct Source {
    direct: Box<dyn Direct>,
    buffer: Buffer,
    /// The byte of it where the mirror begins.
    base: u64,
    /// How long reads that failed have taken.
    failing: Duration,
}

/// What was found of a range.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// What cannot be read, to the block.
    pub bad: Vec<Spot>,
    /// What was not tried, since what failed took too long.
    pub untried: Vec<Spot>,
}

impl Source {
    pub(super) fn new(direct: Box<dyn Direct>, base: u64) -> Source {
        Source {
            direct,
            buffer: Buffer::default(),
            base,
            failing: Duration::ZERO,
        }
    }

    /// Whether something in a range cannot be read. Stops where it finds it.
    ///
    /// # Errors
    /// What reading a device answers that is not there any more.
    pub(super) fn has_bad(&mut self, range: Spot) -> Result<bool> {
        for chunk in pieces(range, self.base, CHUNK) {
            if !self.reads(chunk)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Find what cannot be read in a range, to the physical block.
    ///
    /// # Errors
    /// What reading a device answers that is not there any more.
    pub(super) fn narrow(&mut self, range: Spot, tried: &mut Tried) -> Result<()> {
        let block = self.direct.block().max(SECTOR);
        for chunk in pieces(range, self.base, CHUNK) {
            if self.failing >= FAILING_FOR {
                push(&mut tried.untried, chunk);
            } else if !self.reads(chunk)? {
                for piece in pieces(chunk, self.base, block) {
                    if piece == chunk || !self.reads(piece)? {
                        push(&mut tried.bad, piece);
                    }
                }
            }
        }
        Ok(())
    }

    /// Hand on what a range holds, piece by piece, and what of it cannot be read.
    ///
    /// # Errors
    /// What reading a device answers that is not there any more, and those of `put`.
    pub(super) fn copy(&mut self, range: Spot, put: &mut Put<'_>) -> Result<()> {
        let block = self.direct.block().max(SECTOR);
        for chunk in pieces(range, self.base, CHUNK) {
            if let Some(bytes) = self.bytes(chunk)? {
                put(chunk, Some(bytes))?;
                continue;
            }
            for piece in pieces(chunk, self.base, block) {
                let bytes = if self.failing < FAILING_FOR {
                    self.bytes(piece)?
                } else {
                    None
                };
                put(piece, bytes)?;
            }
        }
        Ok(())
    }

    fn reads(&mut self, range: Spot) -> Result<bool> {
        self.bytes(range).map(|bytes| bytes.is_some())
    }

    /// The bytes of a range; none where it cannot be read.
    fn bytes(&mut self, range: Spot) -> Result<Option<&[u8]>> {
        let begun = Instant::now();
        let span = Span {
            start: self.base.saturating_add(range.start.saturating_mul(SECTOR)),
            size: range.length.saturating_mul(SECTOR),
        };
        match self.direct.read_into(span, &mut self.buffer) {
            Ok(range) => Ok(Some(self.buffer.bytes(range))),
            Err(error) if is_of_the_medium(&error) => {
                self.failing += begun.elapsed();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A range in pieces that end at multiples of `size` bytes of the device.
fn pieces(range: Spot, base: u64, size: u64) -> impl Iterator<Item = Spot> {
    cut(range, size / SECTOR, base / SECTOR)
}

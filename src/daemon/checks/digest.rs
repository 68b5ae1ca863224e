//! The digest of what is compared, made on a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use sha2::{Digest as _, Sha256};

use super::legs::Piece;
use crate::daemon::tasks::idle::come_last;
use crate::daemon::tasks::thread::spawn;
use crate::error::Result;
use crate::model::spots::Spot;

/// Pieces that wait for it: whoever reads waits where it does not keep up.
const WAITING: usize = 2;

/// A digest that grows.
pub(super) struct Digest {
    pieces: SyncSender<Piece>,
    /// What was taken in, to be used again.
    back: Receiver<Piece>,
    sum: Receiver<Vec<u8>>,
    /// The sector that comes next.
    next: u64,
}

impl Digest {
    /// That of nothing yet.
    ///
    /// # Errors
    /// EAGAIN where the system has no room for a thread.
    pub(super) fn new() -> Result<Digest> {
        let (pieces, taken) = sync_channel::<Piece>(WAITING);
        let (give, back) = channel();
        let (tell, sum) = channel();
        spawn("check-digest", move || {
            come_last();
            let mut digest = Sha256::new();
            for piece in taken {
                digest.update(piece.bytes());
                // Whoever reads has ended.
                let _ = give.send(piece);
            }
            let _ = tell.send(digest.finalize().into_iter().collect());
        })?;
        Ok(Digest {
            pieces,
            back,
            sum,
            next: 0,
        })
    }

    /// Take in a piece; answers memory to be used again, where there is any.
    ///
    /// # Errors
    /// The piece, where it is not the next one.
    pub(super) fn take(&mut self, spot: Spot, piece: Piece) -> Result<Option<Piece>, Piece> {
        if spot.start != self.next {
            return Err(piece);
        }
        self.next = spot.end();
        self.pieces.send(piece).map_err(|back| back.0)?;
        Ok(self.back.try_recv().ok())
    }

    /// The digest in hexadecimal; none where not all of a mirror of so many sectors was
    /// taken in.
    pub(super) fn end(self, length: u64) -> Option<String> {
        let Digest {
            pieces, sum, next, ..
        } = self;
        drop(pieces);
        let sum = sum.recv().ok().filter(|_| next == length)?;
        Some(sum.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

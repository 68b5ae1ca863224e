//! The legs of a stretch, open to be read past every cache, each on a thread of its own: what
//! is read next is read while the rest is compared.

use std::ops::Range;
use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::run::{End, Go};
use super::state::LOOK;
use crate::daemon::tasks::idle::come_last;
use crate::daemon::tasks::thread::spawn;
use crate::engine::{Buffer, Devices, Direct, Span};
use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::model::spots::{Spot, union};
use crate::plan::comparable::{Side, Stretch};
use crate::plan::compare::differing;

/// How many pieces are asked for ahead.
const AHEAD: usize = 2;

/// Memory, and what of it holds bytes of a leg.
#[derive(Default)]
pub(super) struct Piece {
    buffer: Buffer,
    range: Range<usize>,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.bytes(self.range.clone())
    }
}

/// What reading a piece came to.
pub(super) type Answer = (Piece, Result<()>);

/// One leg.
pub(super) struct Leg {
    pub(super) side: Side,
    ask: Sender<(Span, Piece)>,
    answers: Receiver<Answer>,
    /// For what is read again, and what is written.
    direct: Box<dyn Direct>,
    spare: Vec<Piece>,
}

/// All legs of a stretch.
pub(super) struct Legs {
    pub(super) legs: Vec<Leg>,
    write: bool,
    /// What was asked for and not taken yet.
    asked: Vec<Spot>,
}

impl Legs {
    /// Open them, to `write` to them too.
    ///
    /// # Errors
    /// What opening one answers; EAGAIN where the system has no room for a thread.
    pub(super) fn open(devices: &dyn Devices, stretch: &Stretch, write: bool) -> Result<Legs> {
        let sides = stretch.legs.iter();
        let legs = sides.map(|side| Leg::open(devices, side, write));
        Ok(Legs {
            legs: legs.collect::<Result<_>>()?,
            write,
            asked: Vec::new(),
        })
    }

    /// Whether these are the legs of a stretch, as they are wanted.
    pub(super) fn are_of(&self, stretch: &Stretch, write: bool) -> bool {
        let sides = self.legs.iter().map(|leg| &leg.side);
        self.write == write && sides.eq(&stretch.legs)
    }

    /// Sectors that can be read at least, on each of them.
    pub(super) fn unit(&self) -> u64 {
        let units = self.legs.iter().map(Leg::unit);
        units.max().unwrap_or(1)
    }

    /// Read a piece of each; the `next` one is read meanwhile. What was asked for and is
    /// wanted no more is thrown away.
    ///
    /// # Errors
    /// [`End::NotWanted`] where that is so before the disks answer.
    pub(super) fn read(
        &mut self,
        spot: Spot,
        next: Option<Spot>,
        wanted: &dyn Fn() -> bool,
    ) -> Go<Vec<Answer>> {
        while self.asked.first().is_some_and(|first| *first != spot) {
            let answers = self.take(wanted)?;
            self.give_back(answers);
        }
        for spot in [Some(spot), next].into_iter().flatten() {
            if self.asked.len() < AHEAD && !self.asked.contains(&spot) {
                self.legs.iter_mut().for_each(|leg| leg.ask(spot));
                self.asked.push(spot);
            }
        }
        self.take(wanted)
    }

    /// The answers to what was asked for first.
    fn take(&mut self, wanted: &dyn Fn() -> bool) -> Go<Vec<Answer>> {
        let answers = self.legs.iter().map(|leg| leg.answer(wanted));
        let answers = answers.collect::<Go<Vec<Answer>>>()?;
        self.asked.remove(0);
        Ok(answers)
    }

    /// The memory of answers can be used again.
    pub(super) fn give_back(&mut self, answers: impl IntoIterator<Item = Answer>) {
        for (leg, (piece, _)) in self.legs.iter_mut().zip(answers) {
            leg.spare.push(piece);
        }
    }
}

impl Leg {
    fn open(devices: &dyn Devices, side: &Side, write: bool) -> Result<Leg> {
        let context = |error: Error| error.context(format!("leg {}", side.number));
        let open = |write| devices.direct(&side.device, write).map_err(context);
        let (ahead, direct) = (open(false)?, open(write)?);
        let (ask, asked) = channel();
        let (send, answers) = channel();
        spawn("check-leg", move || serve(ahead.as_ref(), &asked, &send))?;
        Ok(Leg {
            side: side.clone(),
            ask,
            answers,
            direct,
            spare: Vec::new(),
        })
    }

    fn span(&self, spot: Spot) -> Span {
        Span {
            start: self.side.byte(spot.start),
            size: spot.length.saturating_mul(SECTOR),
        }
    }

    fn ask(&mut self, spot: Spot) {
        let piece = self.spare.pop().unwrap_or_default();
        // The thread ends with this end of the channel, not before.
        let _ = self.ask.send((self.span(spot), piece));
    }

    fn answer(&self, wanted: &dyn Fn() -> bool) -> Go<Answer> {
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) => return Ok(answer),
                Err(Timeout) if wanted() => {}
                Err(Timeout | Disconnected) => return Err(End::NotWanted),
            }
        }
    }

    /// Read it at once, on this thread.
    ///
    /// # Errors
    /// What read(2) answers.
    pub(super) fn read_now(&self, spot: Spot, piece: &mut Piece) -> Result<()> {
        read(self.direct.as_ref(), self.span(spot), piece)
    }

    /// Write these bytes over what is there, whole blocks of them.
    ///
    /// # Errors
    /// What write(2) or fdatasync(2) answers.
    pub(super) fn write(&self, spot: Spot, bytes: &[u8]) -> Result<()> {
        self.direct.write(self.span(spot).start, bytes)
    }

    /// Sectors that can be read and written at least.
    fn unit(&self) -> u64 {
        (self.direct.unit() / SECTOR).max(1)
    }

    /// Sectors that fail as one where the medium does.
    pub(super) fn block(&self) -> u64 {
        (self.direct.block() / SECTOR).max(1)
    }
}

fn read(direct: &dyn Direct, span: Span, piece: &mut Piece) -> Result<()> {
    piece.range = 0..0;
    piece.range = direct.read_into(span, &mut piece.buffer)?;
    Ok(())
}

/// Read what is asked for, until nobody asks any more.
fn serve(direct: &dyn Direct, asked: &Receiver<(Span, Piece)>, answers: &Sender<Answer>) {
    come_last();
    for (span, mut piece) in asked {
        let done = read(direct, span, &mut piece);
        if answers.send((piece, done)).is_err() {
            return;
        }
    }
}

/// Where any of the others differs from the first.
pub(super) fn differing_of<'a>(
    start: u64,
    pieces: impl IntoIterator<Item = &'a Piece>,
) -> Vec<Spot> {
    let mut pieces = pieces.into_iter();
    let Some(first) = pieces.next() else {
        return Vec::new();
    };
    let found = pieces.map(|other| differing(start, first.bytes(), other.bytes()));
    found.fold(Vec::new(), |all, spots| union(&all, &spots))
}

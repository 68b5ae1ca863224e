//! Whether legs answer: a device may be gone, or dead, without that the kernel has met
//! an error on it.

use std::time::{Duration, Instant};

use super::act::Switcher;
use crate::daemon::mirrors::query::Detail;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::snapshot::{Leg, Snapshot, Unresponsive};
use crate::text::letter::Letter;

/// The ends of a leg are asked, and others only as long as that took no longer.
const ENDS: usize = 2;
const ASKED_FOR: Duration = Duration::from_secs(5);

impl Switcher {
    /// See whether legs with errors, and those that did not answer, answer at all.
    pub(crate) fn listen(&self, mirror_id: MirrorId) -> Result<()> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        let legs = snapshot.legs.iter();
        let hurt = legs.filter(|leg| leg.letter != Letter::Alive || leg.unresponsive);
        let unresponsive = hurt.filter(|leg| self.check_answers(leg).is_err());
        let unresponsive = unresponsive.map(|leg| leg.number).collect();
        self.keep_unresponsive(mirror_id, &snapshot, unresponsive);
        Ok(())
    }

    /// A leg did not answer when somebody asked: health says so as long as that is.
    pub(crate) fn note_unresponsive(&self, mirror_id: MirrorId, snapshot: &Snapshot, leg: &Leg) {
        self.keep_unresponsive(mirror_id, snapshot, vec![leg.number]);
        self.bell.ring();
    }

    /// Keep which legs do not answer, as long as the letters and the life are these.
    fn keep_unresponsive(&self, mirror_id: MirrorId, snapshot: &Snapshot, legs: Vec<usize>) {
        let life = snapshot.life;
        let unresponsive = (Unresponsive { legs, life }, snapshot.letters());
        self.registry.update(mirror_id, |entry| {
            entry.unresponsive = unresponsive;
            entry.event_nr = None;
        });
    }

    /// The error of a leg of which nothing can be read: neither at its ends nor between.
    /// A disk may have bad spots at both; of one that takes its time no more is asked.
    pub(crate) fn check_answers(&self, leg: &Leg) -> Result<()> {
        let last = leg.length.saturating_sub(1);
        let places = [0, last, last / 2, last / 4, last / 4 * 3];
        let begun = Instant::now();
        let read = |at: u64| {
            self.devices
                .probe(&leg.device, leg.offset.saturating_add(at))
        };
        let mut first = None;
        for (number, place) in places.into_iter().enumerate() {
            if number >= ENDS && begun.elapsed() > ASKED_FOR {
                break;
            }
            match read(place) {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        let what = format!("leg {} {} does not answer", leg.number, leg.node());
        first.map_or(Ok(()), |error| Err(error.context(what)))
    }
}

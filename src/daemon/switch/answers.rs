//! Whether legs answer: a device may be gone, or dead, without that the kernel has met
//! an error on it.

use super::act::Switcher;
use crate::daemon::mirrors::query::Detail;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::snapshot::{Leg, Snapshot, Unresponsive};
use crate::text::letter::Letter;

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

    /// The error of a leg of which neither the beginning nor the end can be read.
    pub(crate) fn check_answers(&self, leg: &Leg) -> Result<()> {
        let last = leg.length.saturating_sub(1);
        let read = |at: u64| {
            self.devices
                .probe(&leg.device, leg.offset.saturating_add(at))
        };
        read(0).or_else(|_| read(last)).map_err(|error| {
            let what = format!("leg {} {} does not answer", leg.number, leg.node());
            error.context(what)
        })
    }
}

//! Setting aside what cannot be copied. After an error of the source the kernel fails all
//! reads of regions that are not in sync, until another table comes (`do_reads`,
//! drivers/md/dm-raid1.c); after one of a target it holds all writes to them (`do_writes`),
//! and a new table alone does not help, since a write waits for the copy of its region,
//! which fails again. So the region that failed is left to the source alone, at once, and
//! all else goes on. Then it is found what of it is bad, and the rest of it is mirrored.

use super::act::Switcher;
use super::change::Aftermath;
use super::layout::Layout;
use super::source::{Source, Tried};
use super::switching::ASIDE;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::query::Detail;
use crate::daemon::mirrors::refused::Refused;
use crate::daemon::tasks::realtime::first;
use crate::error::Result;
use crate::model::failure::{Hurt, hurt};
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::{Leg, SECTOR, Snapshot};
use crate::model::spots::{Spot, common, outside, union};
use crate::plan::segments;

/// How many sectors are set aside at once of a zone that fails region after region.
const MOST_AT_ONCE: u64 = 1 << 21;

/// How many spots are told of one by one.
pub(super) const TOLD: usize = 100;

impl Switcher {
    /// Leave the regions at which copying failed to the source alone. None where nothing
    /// was found that cannot be read.
    ///
    /// # Errors
    /// What reading the source answers where it is gone, and as those of
    /// [`Switcher::change`].
    pub(crate) fn set_aside(&self, mirror_id: MirrorId) -> Result<Option<Aftermath>> {
        self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
            let before = snapshot.on_leg_0();
            let length = snapshot.table.length();
            let failed = self.failed_regions(mirror_id, &snapshot)?.into_iter();
            let found: Vec<Spot> = failed.map(|spot| widened(spot, before, length)).collect();
            let gaps = segments::fewer(union(before, &found), length);
            let whole = Spot::between(0, length);
            if found.is_empty() || whole.is_some_and(|whole| gaps == [whole]) {
                return Ok(None);
            }
            let aside = union(&snapshot.known.settings.aside, &outside(&gaps, before));
            let edit = SettingsEdit {
                aside: Some(aside),
                ..SettingsEdit::default()
            };
            let told = found.iter().map(|spot| (Kind::Aside, extent(*spot)));
            let told = told.take(TOLD).collect();
            let layout = Layout {
                gaps: &gaps,
                edit,
                announcements: told,
                own: ASIDE,
            };
            // Before it can be seen aside: it would be tried again at once.
            let before = (hurt(&snapshot) == Hurt::Targets)
                .then(|| self.note_refused(mirror_id, &snapshot, &found))
                .flatten();
            let laid_out = self.lay_out(mirror_id, &snapshot, layout);
            if let (Err(_), Some(before)) = (&laid_out, before) {
                self.registry
                    .update(mirror_id, |entry| entry.refused = before);
            }
            laid_out.map(Some)
        })
    }

    /// Find what is bad of what was set aside, or of all that is on leg 0 alone, and
    /// mirror the rest.
    ///
    /// # Errors
    /// As those of [`Switcher::set_aside`].
    pub(crate) fn narrow(&self, mirror_id: MirrorId, all: bool) -> Result<Option<Aftermath>> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let gaps = snapshot.on_leg_0();
        let spots = if all {
            outside(gaps, &snapshot.ahead())
        } else {
            let tried = self.registry.get(mirror_id)?.tried(&snapshot);
            outside(&common(gaps, &snapshot.known.settings.aside), &tried)
        };
        let Some(leg) = snapshot.legs.first().filter(|_| !spots.is_empty()) else {
            return Ok(None);
        };
        let mut tried = Tried::default();
        let mut source = self.source(leg)?;
        for spot in &spots {
            source.narrow(*spot, &mut tried)?;
        }
        // Of a disk that died meanwhile nothing is a bad spot.
        self.check_answers(leg)?;
        // It is so whatever becomes of the switch.
        self.tell(&snapshot, &outside(&tried.bad, &snapshot.bad));
        // Until this has switched nothing else can be set aside.
        let first = first();
        let aftermath = self.planned(|| self.leave_out(mirror_id, &spots, &tried))?;
        drop(first);
        // What was set aside since is yet to be tried.
        self.registry
            .update(mirror_id, |entry| entry.note_aside_tried(&spots));
        Ok(aftermath)
    }

    /// Mirror all of these spots but what is bad of them and what was not tried.
    fn leave_out(
        &self,
        mirror_id: MirrorId,
        spots: &[Spot],
        tried: &Tried,
    ) -> Result<Option<Aftermath>> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let (gaps, length) = (snapshot.on_leg_0(), snapshot.table.length());
        let stays = union(&tried.bad, &tried.untried);
        let wanted = union(&outside(gaps, spots), &common(&stays, gaps));
        let next = segments::fewer(wanted, length);
        let bad = union(&outside(&snapshot.bad, spots), &tried.bad);
        // What was on leg 0 alone for another reason, and was not asked for, is as it was.
        let others = outside(gaps, spots);
        let others = outside(&others, &snapshot.known.settings.aside);
        let edit = SettingsEdit {
            bad: Some(common(&bad, &next)),
            aside: Some(outside(&outside(&next, &bad), &others)),
            ..SettingsEdit::default()
        };
        if next == gaps && !snapshot.is_closed() {
            self.registry
                .update(mirror_id, |entry| edit.apply(&mut entry.settings));
            self.journal.keep_changed(mirror_id);
            return Ok(None);
        }
        let layout = Layout::new(&next, edit, ASIDE);
        self.lay_out(mirror_id, &snapshot, layout).map(Some)
    }

    /// Remember what a target did not take; what was remembered before.
    fn note_refused(
        &self,
        mirror_id: MirrorId,
        snapshot: &Snapshot,
        found: &[Spot],
    ) -> Option<Refused> {
        self.registry.update(mirror_id, |entry| {
            let before = entry.refused.clone();
            entry.refused.note(snapshot.leg_devices(), found);
            before
        })
    }

    fn tell(&self, snapshot: &Snapshot, bad: &[Spot]) {
        let name = &snapshot.info.name;
        for spot in bad.iter().take(TOLD) {
            self.events.add(name, Kind::Bad, &extent(*spot));
        }
        if let Some(more) = bad.len().checked_sub(TOLD).filter(|more| *more > 0) {
            let text = format!("and {more} more: `map` has them all");
            self.events.add(name, Kind::Bad, &text);
        }
    }

    pub(super) fn source(&self, leg: &Leg) -> Result<Source> {
        let direct = self.devices.direct(&leg.device, false)?;
        Ok(Source::new(direct, leg.offset))
    }
}

/// The range with as much behind it as was set aside before it: a zone of some GiB is to
/// be through in few steps.
fn widened(region: Spot, gaps: &[Spot], length: u64) -> Spot {
    let before = gaps.iter().find(|gap| gap.end() == region.start);
    let more = before.map_or(0, |gap| gap.length.min(MOST_AT_ONCE));
    let end = region.end().saturating_add(more).min(length);
    Spot::between(region.start, end).unwrap_or(region)
}

/// A range as `map` has it, in bytes.
pub(super) fn extent(spot: Spot) -> String {
    let (start, size) = (
        spot.start.saturating_mul(SECTOR),
        spot.length.saturating_mul(SECTOR),
    );
    format!("0x{start:X} {size}")
}

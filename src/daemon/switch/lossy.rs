//! Cutting over although some of the source cannot be read. First nothing can be written
//! to those places any more, so that nothing acknowledged is only there; then what can be
//! read of them after all is copied, and the rest is zeros, written and not left as it was.

use super::act::Switcher;
use super::aside::{TOLD, extent};
use super::change::Turn;
use super::layout::Layout;
use super::switching::ASIDE;
use crate::daemon::events::kind::Kind;
use crate::daemon::mirrors::query::Detail;
use crate::engine::{Direct, Info};
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::map;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::{Leg, SECTOR};
use crate::model::spots::{Spot, outside, push};
use crate::plan::change::Change;
use crate::plan::segments;
use crate::text::mapfile;

/// Zeros that are written at once, in bytes.
const PIECE: u64 = 1 << 20;

impl Switcher {
    /// Make a leg whole with zeros where the source cannot be read. Until the mirror is cut
    /// over, or [`Switcher::open_again`], nobody can read or write there.
    ///
    /// # Errors
    /// What the file system of the records answers, what writing to the leg answers, and
    /// as those of a switch.
    pub(crate) fn close_gaps(&self, mirror_id: MirrorId, leg: usize) -> Result<()> {
        let map = self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
            let text = mapfile::print(&map::map(&snapshot));
            let Info { name, uuid, .. } = &snapshot.info;
            let map = self.journal.keep_map(name, uuid, &text)?;
            let gaps = snapshot.on_leg_0().to_vec();
            let turn = Turn {
                change: Change {
                    table: segments::closed(&snapshot.table),
                    ..Change::default()
                },
                // What a killed daemon leaves so is found out again.
                edit: SettingsEdit {
                    aside: Some(gaps),
                    ..SettingsEdit::default()
                },
                announcements: Vec::new(),
                own: None,
            };
            let aftermath = self.change(mirror_id, &snapshot, &turn, &[])?;
            self.settle(aftermath);
            Ok(map)
        })?;
        let zeros = self.fill(mirror_id, leg)?;
        let mut told: Vec<String> = zeros.iter().copied().map(extent).collect();
        told.truncate(TOLD);
        told.push(format!("the map is {}", map.display()));
        let name = self.registry.name_of(mirror_id);
        told.iter()
            .for_each(|text| self.events.add(&name, Kind::Lossy, text));
        Ok(())
    }

    /// Leave what could not be read to the source again, as far as it is not.
    pub(crate) fn open_again(&self, mirror_id: MirrorId) {
        let opened = self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
            let gaps = snapshot.on_leg_0();
            if !snapshot.is_closed() {
                return Ok(None);
            }
            let edit = SettingsEdit {
                aside: Some(outside(gaps, &snapshot.bad)),
                ..SettingsEdit::default()
            };
            let layout = Layout::new(gaps, edit, ASIDE);
            self.lay_out(mirror_id, &snapshot, layout).map(Some)
        });
        let name = self.registry.name_of(mirror_id);
        if let Some(aftermath) = self.events.report(&name, opened).ok().flatten() {
            self.settle(aftermath);
        }
    }

    /// Copy what can be read of the gaps to a leg, and write zeros where it cannot; answers
    /// where.
    fn fill(&self, mirror_id: MirrorId, leg: usize) -> Result<Vec<Spot>> {
        let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
        let sides = (snapshot.legs.first(), snapshot.legs.get(leg));
        let (Some(from), Some(to)) = sides else {
            return Err(Error::invalid("it has no such leg"));
        };
        let target = Target {
            direct: self.devices.direct(&to.device, true)?,
            leg: to,
        };
        let mut source = self.source(from)?;
        let mut zeros = Vec::new();
        for gap in snapshot.on_leg_0() {
            source.copy(*gap, &mut |spot, bytes| {
                if bytes.is_none() {
                    push(&mut zeros, spot);
                }
                target.put(spot, bytes)
            })?;
        }
        self.devices.flush(&to.device)?;
        Ok(zeros)
    }
}

/// The leg that gets what there is.
struct Target<'a> {
    direct: Box<dyn Direct>,
    leg: &'a Leg,
}

impl Target<'_> {
    /// Write a range: these bytes, or zeros.
    fn put(&self, spot: Spot, bytes: Option<&[u8]>) -> Result<()> {
        let at = self
            .leg
            .offset
            .saturating_add(spot.start.saturating_mul(SECTOR));
        let Some(bytes) = bytes else {
            return self.zero(at, spot.length.saturating_mul(SECTOR));
        };
        self.direct.write(at, bytes)
    }

    fn zero(&self, mut at: u64, size: u64) -> Result<()> {
        let end = at.saturating_add(size);
        let zeros = vec![0; PIECE.min(size) as usize];
        while at < end {
            let piece = zeros.get(..(end - at).min(PIECE) as usize);
            self.direct.write(at, piece.unwrap_or(&zeros))?;
            at += PIECE;
        }
        Ok(())
    }
}

//! All mirrors at once, for the files that show each: one call of device-mapper for each,
//! and nothing more for those of which nothing is otherwise.

use std::sync::Arc;

use super::last::{Depth, Finder, Kept};
use super::look::Look;
use super::query::{Detail, Mirrors};
use super::sights::Round;
use crate::engine::{Id, Listed};
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::shared::Shared;
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;

/// What a look has found of a mirror.
enum Now {
    /// It is as it was.
    Same(Arc<Shared>),
    /// It may not be.
    Other(Look),
}

/// How deep it is looked, where the last look is kept for the next.
fn depth(detail: Detail) -> Option<Depth> {
    match detail {
        Detail::Devices | Detail::All => Some(Depth::Devices),
        Detail::Whole => Some(Depth::Whole),
        Detail::Engine | Detail::Table | Detail::Kernel | Detail::Logs | Detail::Users => None,
    }
}

impl Mirrors {
    /// All mirrors as they are now, in the order of [`Mirrors::all`]; those that are as they
    /// were at the last look are the same. What was seen of a device is kept, and asked for
    /// again once the kernel has said something of it.
    ///
    /// # Errors
    /// What the list of devices answers.
    pub fn snapshots(&self, detail: Detail) -> Result<Vec<(MirrorId, Arc<Shared>)>> {
        // One look serves all files: what the devices are is kept. With the embedded engine
        // they may be files, which may not answer.
        let wanted = detail;
        let detail = match detail {
            Detail::Table | Detail::Kernel if self.engine.carries_io() => Detail::Devices,
            other => other,
        };
        let (round, lives) = (self.round(), self.engine.lives().ok());
        let (running, absent) = self.listed()?;
        let last = depth(detail).map(|depth| (depth, self.last.of(depth)));
        let mut finder = last.as_ref().map(|(_, all)| Finder::new(all));
        let mut found: Vec<(MirrorId, Option<&Kept>, Option<Now>)> = Vec::new();
        for (mirror_id, device) in running.iter() {
            let before = finder.as_mut().and_then(|finder| finder.find(mirror_id));
            let now = match before {
                Some(kept) if wanted == Detail::Table && kept.is_of(device) => {
                    Some(Now::Same(Arc::clone(&kept.seen)))
                }
                _ => self.glance_at(device, (wanted, detail), before, &round),
            };
            found.push((mirror_id, before, now));
        }
        // Where no table has a new life, all that was seen is of the one that was listed.
        let same = lives.is_some() && self.engine.lives().ok() == lives;
        if !same {
            found.iter_mut().for_each(|(.., now)| *now = None);
        }
        let before = last.as_ref().map_or(0, |(_, all)| all.len());
        let mut mirrors = self.put_together(found, before, detail, &round);
        let absent = absent.into_iter().filter_map(|(mirror_id, _)| {
            let snapshot = self.snapshot(mirror_id, detail).ok()?;
            Some((mirror_id, Arc::new(Shared::new(snapshot))))
        });
        mirrors.extend(absent);
        Ok(mirrors)
    }

    /// What one call tells of a mirror that was just listed; none where it is not enough.
    fn glance_at(
        &self,
        device: &Listed,
        (wanted, detail): (Detail, Detail),
        before: Option<&Kept>,
        round: &Round<'_>,
    ) -> Option<Now> {
        let anew = || {
            let look = self.tables.glance_at(self.engine.as_ref(), device);
            look.map(Now::Other)
        };
        let (Some(kept), Some(depth)) = (before, depth(detail)) else {
            return anew();
        };
        let Kept { id, seen, .. } = kept;
        if !kept.is_of(device) || seen.info.suspended {
            return anew();
        }
        let status = (&seen.info, seen.status.as_slice());
        match self.engine.status_unless(id, status).ok()? {
            // What the devices are is looked at only where it is wanted.
            None if (wanted < Detail::Devices
                || kept.holds(depth, round.changes(depth, seen), round.at()))
                && self.is_known(kept.mirror_id, &seen.known) =>
            {
                Some(Now::Same(Arc::clone(seen)))
            }
            None => Some(Now::Other(Look::again(seen))),
            Some((info, status)) => self.tables.fitting(device, info, status).map(Now::Other),
        }
    }

    /// The snapshots of what was found, of which so many were there at the last look; what
    /// was not found is looked at singly.
    fn put_together(
        &self,
        found: Vec<(MirrorId, Option<&Kept>, Option<Now>)>,
        known: usize,
        detail: Detail,
        round: &Round<'_>,
    ) -> Vec<(MirrorId, Arc<Shared>)> {
        let sight = |device: &DeviceRef| round.sight(device);
        let (mut order, mut others) = (Vec::new(), Vec::new());
        for (mirror_id, before, now) in found {
            let look = match now {
                Some(Now::Same(seen)) => {
                    order.push((mirror_id, before, Some(seen)));
                    continue;
                }
                Some(Now::Other(look)) => Some(look),
                None => self.look_singly(mirror_id),
            };
            // One that went between the list and the look is not there.
            if let Some(look) = look {
                let seen = self.seen(look, self.known(mirror_id), detail, &sight);
                others.push((mirror_id, seen));
                order.push((mirror_id, before, None));
            }
        }
        if others.is_empty() && order.len() == known {
            let same = order.into_iter();
            return same
                .filter_map(|(mirror_id, _, seen)| Some((mirror_id, seen?)))
                .collect();
        }
        if matches!(detail, Detail::Users | Detail::Whole) {
            self.look_beside(&mut others, round);
        }
        let mut others = others.into_iter().map(|(_, seen)| seen);
        let all = order.into_iter().filter_map(|(mirror_id, before, same)| {
            let Some(seen) = same else {
                let seen = shared(before, others.next()?);
                return Some(Kept {
                    mirror_id,
                    id: seen.info.id(),
                    changes: depth(detail).and_then(|depth| round.changes(depth, &seen)),
                    at: round.at(),
                    seen,
                });
            };
            // What is the same was there before.
            let kept = before?.clone();
            Some(Kept { seen, ..kept })
        });
        let all: Vec<Kept> = all.collect();
        let seen = all
            .iter()
            .map(|kept| (kept.mirror_id, Arc::clone(&kept.seen)));
        let seen = seen.collect();
        if let Some(depth) = depth(detail) {
            self.last.keep(depth, all);
        }
        seen
    }

    fn look_singly(&self, mirror_id: MirrorId) -> Option<Look> {
        let (id, dev): (Id, _) = self.registry.address(mirror_id).ok()?;
        self.tables.look(self.engine.as_ref(), &id, dev).ok()
    }
}

fn shared(before: Option<&Kept>, seen: Snapshot) -> Arc<Shared> {
    match before {
        Some(kept) => kept.or_new(seen),
        None => Arc::new(Shared::new(seen)),
    }
}

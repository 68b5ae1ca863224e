//! A disk that is dying is slow before it fails: it tries a read again and again by itself,
//! for much longer than the kernel waits. Nobody's own read asks whether it does.

use std::time::{Duration, Instant};

use super::query::Mirrors;
use crate::model::health::SLOW_READ;
use crate::model::id::MirrorId;
use crate::model::progress::{Progress, SyncState};
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;

impl Mirrors {
    /// For how long the source of a copy has come to the end of nothing, as far as somebody
    /// has looked before; none where nothing is asked of it.
    pub(crate) fn slow(&self, mirror_id: MirrorId, snapshot: &Snapshot) -> Option<Duration> {
        let progress = Progress::of(snapshot);
        let copies = progress.state == SyncState::Syncing;
        let source = snapshot.legs.iter().find(|leg| leg.source && copies);
        let traffic = match source.map(|leg| &leg.device) {
            Some(DeviceRef::Number(dev)) => self.devices.traffic(*dev),
            _ => None,
        };
        let traffic = traffic.filter(|traffic| traffic.under_way > 0);
        let since = self.registry.update(mirror_id, |entry| {
            let now = traffic.map(|traffic| (Instant::now(), traffic.done));
            let same = entry.slow.ended.map(|(_, done)| done) == now.map(|(_, done)| done);
            entry.slow.ended = if same { entry.slow.ended } else { now };
            let slow = entry.slow.ended.map(|(since, _)| since.elapsed());
            if slow >= Some(SLOW_READ) || entry.slow.stalled.is_slow() {
                entry.slow.life = snapshot.life;
            }
            entry.slow.stalled.note(snapshot, &progress);
            slow
        });
        since.flatten()
    }
}

//! The front of a copy is moved: another table, in which more of the mirror is under a mirror
//! target, or less.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::act::Switcher;
use super::change::Aftermath;
use super::layout::Layout;
use super::switching::FRONT;
use crate::daemon::admission::log_carry::bits_of;
use crate::daemon::mirrors::query::Detail;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::settings::SettingsEdit;
use crate::model::snapshot::{Part, SECTOR, Snapshot};
use crate::model::spots::{outside, sectors, union};
use crate::plan::front;
use crate::plan::pace::Pace;

/// How long an unmount waits for copies that are to go on without a daemon.
const LEAVING: Duration = Duration::from_secs(5);

impl Switcher {
    /// Move the front of a copy; answers how many bytes more are copied. None where it is
    /// there already.
    ///
    /// # Errors
    /// What reading a log answers, and as those of [`Switcher::change`].
    pub(crate) fn move_front(
        &self,
        mirror_id: MirrorId,
        pace: Pace,
    ) -> Result<Option<(Aftermath, u64)>> {
        self.planned(|| {
            let snapshot = self.mirrors.snapshot(mirror_id, Detail::Devices)?;
            let before = snapshot.ahead();
            let ahead = match pace {
                Pace::Forward(sectors) => front::forward(&snapshot, sectors),
                Pace::Back(keep) => front::back(&snapshot, &self.bits(&snapshot)?, keep),
                Pace::Join => Vec::new(),
                Pace::Stay | Pace::Look(_) => return Ok(None),
            };
            if ahead == before && pace != Pace::Join {
                return Ok(None);
            }
            let gaps = union(&outside(snapshot.on_leg_0(), &before), &ahead);
            let more = sectors(&before).saturating_sub(sectors(&ahead));
            let edit = SettingsEdit {
                ahead: Some(ahead),
                ..SettingsEdit::default()
            };
            let layout = Layout::new(&gaps, edit, FRONT);
            let moved = self.lay_out(mirror_id, &snapshot, layout)?;
            Ok(Some((moved, more.saturating_mul(SECTOR))))
        })
    }

    /// Have all be copied of what nobody limits: without a daemon the kernel comes to its end
    /// alone.
    pub(crate) fn let_all_be_copied(self: &Arc<Self>) {
        let (send, receive) = channel();
        for mirror_id in self.registry.ids() {
            let entry = self.registry.get(mirror_id).ok();
            let settings = entry.and_then(|entry| entry.settings).unwrap_or_default();
            if settings.ahead.is_empty() || settings.limit.is_some() {
                continue;
            }
            let (switcher, send) = (Arc::clone(self), send.clone());
            self.journal.hands.apart("front", move || {
                let moved = switcher.move_front(mirror_id, Pace::Forward(u64::MAX));
                if let Some((aftermath, _)) = switcher.events.report("-", moved).ok().flatten() {
                    switcher.settle(aftermath);
                }
                // Nobody may wait any more.
                let _ = send.send(());
            });
        }
        drop(send);
        let end = Instant::now() + LEAVING;
        let left = || end.saturating_duration_since(Instant::now());
        while receive.recv_timeout(left()).is_ok() {}
    }

    /// What the logs say of what is not in sync.
    fn bits(&self, snapshot: &Snapshot) -> Result<Vec<Option<Vec<u8>>>> {
        let bits = |part: &Part| match &part.mirror {
            Some(mirror) if !part.is_in_sync() => bits_of(self.devices.as_ref(), part, mirror),
            _ => Ok(None),
        };
        snapshot.parts.iter().map(bits).collect()
    }
}

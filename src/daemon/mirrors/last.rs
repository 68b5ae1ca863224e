//! The snapshots of the last look at all mirrors: one of which nothing is otherwise is the
//! same, and so is all that was made of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::look::Look;
use crate::model::id::MirrorId;
use crate::model::shared::Shared;
use crate::model::snapshot::{Known, Snapshot};

/// How much was looked at for it, beside the mapping itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Depth {
    /// Nothing.
    Mapping,
    /// What its legs are.
    Devices,
    /// Who else has them too.
    Whole,
}

/// What was said of all devices when it was looked at them, and when that was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Then {
    pub(super) changes: Option<u64>,
    pub(super) at: Instant,
}

/// As long as nothing was said of any device it is as it was, but for what nobody tells of.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The last look.
#[derive(Default)]
pub(crate) struct Last(Mutex<HashMap<(MirrorId, Depth), (Then, Arc<Shared>)>>);

impl Last {
    /// What was seen of a mirror, where it is the same: what the kernel says of it, and what
    /// is known beside.
    pub(super) fn same(
        &self,
        key: (MirrorId, Depth),
        now: Then,
        look: &Look,
        known: &Known,
    ) -> Option<Arc<Shared>> {
        let last = self.0.lock();
        let (then, seen) = last.get(&key)?;
        let young = now.at.saturating_duration_since(then.at) < KEPT_FOR;
        // A copy goes on, and a log changes, without anybody saying so.
        let still = key.1 == Depth::Mapping
            || young && now.changes.is_some() && then.changes == now.changes && seen.is_copied();
        let same = still
            && seen.life == look.life
            && seen.life.is_some()
            && Arc::ptr_eq(&seen.lines, &look.printed.lines)
            && seen.status == look.status
            && seen.info == look.info
            && seen.known == *known;
        same.then(|| Arc::clone(seen))
    }

    /// A new snapshot; the last one where that is equal.
    pub(super) fn enter(&self, key: (MirrorId, Depth), now: Then, seen: Snapshot) -> Arc<Shared> {
        let mut last = self.0.lock();
        if let Some((then, old)) = last.get_mut(&key)
            && ***old == seen
        {
            *then = now;
            return Arc::clone(old);
        }
        let seen = Arc::new(Shared::new(seen));
        last.insert(key, (now, Arc::clone(&seen)));
        seen
    }

    /// Forget those that are not among these.
    pub(super) fn keep(&self, depth: Depth, there: &[MirrorId]) {
        let mut last = self.0.lock();
        let kept = last.keys().filter(|(_, other)| *other == depth).count();
        if kept > there.len() {
            let there: std::collections::HashSet<_> = there.iter().copied().collect();
            last.retain(|(mirror_id, other), _| *other != depth || there.contains(mirror_id));
        }
    }
}

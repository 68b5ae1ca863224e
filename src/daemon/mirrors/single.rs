//! One mirror at a time, for its files: whoever reads several of them, or one again and
//! again, has the same snapshot as long as nothing of it is otherwise.

use std::sync::Arc;

use super::query::{Detail, Mirrors};
use crate::engine::Id;
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::shared::Shared;

impl Mirrors {
    /// A mirror as [`Detail::Kernel`] has it now.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub fn shared(&self, mirror_id: MirrorId) -> Result<Arc<Shared>> {
        if let Some((id, seen)) = self.singles.of(mirror_id)
            && self.is_still(mirror_id, &id, &seen)
        {
            return Ok(seen);
        }
        let seen = self.snapshot(mirror_id, Detail::Kernel)?;
        let (id, seen) = (seen.info.id(), Arc::new(Shared::new(seen)));
        let is_there = |mirror_id| self.registry.check(mirror_id).is_ok();
        let room = 2 * self.registry.count();
        self.singles
            .keep(mirror_id, (id, Arc::clone(&seen)), room, is_there);
        Ok(seen)
    }

    /// Whether it is as it was: the status is, its table is in the same life afterwards, and
    /// so is what is remembered of it.
    fn is_still(&self, mirror_id: MirrorId, id: &Id, seen: &Shared) -> bool {
        let (dev, status) = (seen.info.dev, (&seen.info, seen.status.as_slice()));
        // What is suspended may be at the switch to another table.
        seen.life.is_some()
            && !seen.info.suspended
            && matches!(self.engine.status_unless(id, status), Ok(None))
            && self.engine.life(dev).ok() == seen.life
            && self.is_known(mirror_id, &seen.known)
    }
}

//! The exclusive mark: who changes a mirror's tables at this moment. It is held from the
//! load of a table to the resume and no longer, so that whatever a verb waits for before
//! and afterwards keeps nobody from taking out what failed.

use std::time::{Duration, Instant};

use super::entry::{By, Lease};
use super::lease::in_use;
use super::registry::{Inner, Registry, gone};
use crate::error::Result;
use crate::model::id::MirrorId;

/// How long somebody waits for who has it.
const WITHIN: Duration = Duration::from_secs(5);

impl Registry {
    /// Take the mark of a mirror. `own` is what the daemon does by itself; without it the
    /// verb that runs takes it.
    ///
    /// # Errors
    /// EBUSY where somebody keeps it for too long, ENODEV where the mirror is gone.
    pub fn exclude(&self, mirror_id: MirrorId, own: Option<&str>) -> Result<Excluded<'_>> {
        let has_it = |inner: &mut Inner| {
            let entry = inner.entries.get(&mirror_id);
            entry.is_some_and(|entry| entry.switching.is_some())
        };
        let mut inner = self.inner.lock();
        self.ended.wait_while_for(&mut inner, has_it, WITHIN);
        let entry = inner.entries.get_mut(&mirror_id).ok_or_else(gone)?;
        if let Some(other) = &entry.switching {
            return Err(in_use(&entry.name, other));
        }
        let verb = own.or_else(|| entry.running.as_ref().map(|running| running.verb.as_str()));
        entry.switching = Some(Lease {
            verb: verb.unwrap_or("resume").into(),
            by: own.map_or(By::Request, |_| By::Daemon),
            start: Instant::now(),
        });
        Ok(Excluded {
            registry: self,
            mirror_id,
        })
    }
}

/// The mark, until this is dropped.
#[derive(Debug)]
pub struct Excluded<'a> {
    registry: &'a Registry,
    mirror_id: MirrorId,
}

impl Drop for Excluded<'_> {
    fn drop(&mut self) {
        self.registry.update(self.mirror_id, |entry| {
            entry.switching = None;
            // What was seen meanwhile may be of the old table: look once more.
            entry.event_nr = None;
        });
        self.registry.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{scope, sleep};

    use super::*;
    use crate::daemon::mirrors::registry::tests::info;

    #[test]
    fn a_verb_that_waits_keeps_nobody_from_the_mark() {
        let registry = Registry::default();
        let mirror_id = registry.note(&info("a", "MIRRORFS-1", 0));
        let _verb = registry.begin(mirror_id, "table").expect("free");
        let own = registry.exclude(mirror_id, Some("on_failure drop"));
        assert!(own.is_ok() && registry.is_at_work(mirror_id));
        scope(|scope| {
            let verb = scope.spawn(|| registry.exclude(mirror_id, None).map(drop));
            sleep(Duration::from_millis(50));
            assert!(!verb.is_finished(), "one at a time");
            drop(own);
            assert_eq!(verb.join().expect("no panic"), Ok(()));
        });
    }
}

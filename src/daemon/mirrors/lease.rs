//! One thing at a time: who is at work on a mirror, who waits for that, and the names
//! of mirrors that are being made.

use std::time::{Duration, Instant};

use super::entry::{By, Entry, Lease};
use super::registry::{Inner, Registry, gone};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;

/// How long a verb waits for what the daemon itself is doing with the mirror.
const DAEMON_WITHIN: Duration = Duration::from_secs(5);

impl Registry {
    /// Keep a name for a mirror that is being made.
    ///
    /// # Errors
    /// EEXIST where another one is being made under it.
    pub fn reserve(&self, name: &str) -> Result<Reserved<'_>> {
        if !self.inner.lock().reserved.insert(name.into()) {
            return Err(taken(name));
        }
        let name = name.into();
        Ok(Reserved {
            registry: self,
            name,
        })
    }

    /// Whether a name is kept for a mirror that is being made.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.inner.lock().reserved.contains(name)
    }

    /// Begin a verb that somebody asked for. What the daemon itself does with the
    /// mirror is nobody's fault and mostly short: it is waited for.
    ///
    /// # Errors
    /// EBUSY while another one runs, ENODEV where the mirror is gone.
    pub fn begin(&self, mirror_id: MirrorId, verb: &str) -> Result<Begun<'_>> {
        let own_runs = |inner: &mut Inner| {
            let entry = inner.entries.get(&mirror_id);
            let running = entry.and_then(|entry| entry.running.as_ref());
            running.is_some_and(|running| running.by == By::Daemon)
        };
        let mut inner = self.inner.lock();
        self.ended
            .wait_while_for(&mut inner, own_runs, DAEMON_WITHIN);
        self.begin_in(&mut inner, mirror_id, verb, By::Request)
    }

    /// Begin what the daemon does by itself; it comes again later.
    ///
    /// # Errors
    /// As those of [`Registry::begin`].
    pub fn begin_own(&self, mirror_id: MirrorId, verb: &str) -> Result<Begun<'_>> {
        self.begin_in(&mut self.inner.lock(), mirror_id, verb, By::Daemon)
    }

    fn begin_in(
        &self,
        inner: &mut Inner,
        mirror_id: MirrorId,
        verb: &str,
        by: By,
    ) -> Result<Begun<'_>> {
        let entry = inner.entries.get_mut(&mirror_id);
        let entry = entry.ok_or_else(gone)?;
        if let Some(other) = &entry.running {
            return Err(in_use(&entry.name, other));
        }
        entry.running = Some(Lease {
            verb: verb.into(),
            by,
            start: Instant::now(),
        });
        Ok(Begun {
            registry: self,
            mirror_id,
        })
    }

    /// Go on with what was begun by somebody who handed it over.
    pub fn take_over(&self, mirror_id: MirrorId) -> Begun<'_> {
        Begun {
            registry: self,
            mirror_id,
        }
    }

    /// Whether a verb runs on the mirror.
    pub fn is_running(&self, mirror_id: MirrorId) -> bool {
        let inner = self.inner.lock();
        inner
            .entries
            .get(&mirror_id)
            .is_some_and(|entry| entry.running.is_some())
    }

    /// Whether anybody is at work on the mirror: a verb, or the daemon because something
    /// failed.
    pub fn is_at_work(&self, mirror_id: MirrorId) -> bool {
        let inner = self.inner.lock();
        let entry = inner.entries.get(&mirror_id);
        entry.is_some_and(|entry| {
            let pending_failure = entry.pending_failure.as_ref();
            let works = pending_failure.is_some_and(|pending_failure| pending_failure.working);
            entry.running.is_some() || entry.switching.is_some() || works
        })
    }

    /// Whether anything is being made or changed.
    pub fn is_busy(&self) -> bool {
        let inner = self.inner.lock();
        let mut entries = inner.entries.values();
        let at_it = |entry: &Entry| entry.running.is_some() || entry.switching.is_some();
        !inner.reserved.is_empty() || entries.any(at_it)
    }
}

/// The error of a mirror that somebody is at work on.
pub(super) fn in_use(name: &str, other: &Lease) -> Error {
    let (verb, seconds) = (&other.verb, other.start.elapsed().as_secs());
    Error::busy(format!(
        "`{verb}` has been running on {name} for {seconds} s: its result will appear in `events`"
    ))
}

/// The error of a name that is in use.
pub fn taken(name: &str) -> Error {
    Error::new(
        Errno::EEXIST,
        format!("the name {name} is taken: choose another, or remove that device"),
    )
}

/// A name that is kept until this is dropped.
#[derive(Debug)]
pub struct Reserved<'a> {
    registry: &'a Registry,
    /// The name that nobody else gets.
    pub name: String,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.registry.inner.lock().reserved.remove(&self.name);
    }
}

/// A verb that runs until this is dropped.
#[derive(Debug)]
pub struct Begun<'a> {
    registry: &'a Registry,
    mirror_id: MirrorId,
}

impl Begun<'_> {
    /// It runs until another one who has taken it over is dropped.
    pub fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.registry.update(self.mirror_id, |entry| {
            entry.running = None;
            // What was seen meanwhile was left to who ran: look once more.
            entry.event_nr = None;
        });
        self.registry.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::mirrors::registry::tests::info;

    #[test]
    fn one_verb_at_a_time_and_one_maker_of_a_name() {
        let registry = Registry::default();
        let mirror_id = registry.note(&info("a", "MIRRORFS-1", 0));
        let begun = registry.begin(mirror_id, "suspend").expect("free");
        let error = registry.begin(mirror_id, "resume").expect_err("busy");
        assert_eq!(error.errno(), Errno::EBUSY);
        assert!(error.sentence().contains("suspend"), "{error}");
        drop(begun);
        assert!(registry.begin(mirror_id, "resume").is_ok());
        let kept = registry.reserve("b").expect("free");
        assert_eq!(
            registry.reserve("b").err().map(|e| e.errno()),
            Some(Errno::EEXIST)
        );
        drop(kept);
        assert!(registry.reserve("b").is_ok());
    }

    #[test]
    fn what_the_daemon_does_is_waited_for() {
        let registry = Registry::default();
        let mirror_id = registry.note(&info("a", "MIRRORFS-1", 0));
        let own = registry.begin_own(mirror_id, "retry").expect("free");
        let error = registry.begin_own(mirror_id, "table").expect_err("busy");
        assert_eq!(error.errno(), Errno::EBUSY);
        std::thread::scope(|scope| {
            let verb = scope.spawn(|| registry.begin(mirror_id, "remove").map(drop));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!verb.is_finished());
            drop(own);
            assert_eq!(verb.join().expect("no panic"), Ok(()));
        });
    }
}

//! Who stays until a device was resumed, by device. Each is let go by the next resume
//! that succeeds, or with the device; a resume that fails leaves it.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::suspend::{Child, Guard};
use crate::engine::Info;
use crate::error::{Errno, Error, Result};
use crate::text::device::DevNo;

/// How long the end of a child is waited for; what is left then goes with the next.
const CHILD_WITHIN: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(super) struct Guards {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    standing: BTreeMap<DevNo, Standing>,
    /// Children that were told to go.
    leaving: Vec<Child>,
}

#[derive(Debug)]
struct Standing {
    guard: Guard,
    /// Whether a table waits for the resume.
    loaded: bool,
}

impl Guards {
    /// The device, as it was before, was suspended.
    pub(super) fn stand(&self, device: &Info, guard: Guard) {
        let loaded = device.inactive;
        let new = Standing { guard, loaded };
        let before = self.inner.lock().standing.insert(device.dev, new);
        before.into_iter().for_each(|old| self.part(old));
    }

    /// The table that waited was thrown away.
    pub(super) fn cleared(&self, dev: DevNo) {
        let mut inner = self.inner.lock();
        let standing = inner.standing.get_mut(&dev);
        standing
            .into_iter()
            .for_each(|standing| standing.loaded = false);
    }

    /// EBUSY where the table that a resume is to switch to is not there any more: it
    /// would go back to the old one, and nobody would hear of it. The child of a daemon
    /// that was killed may do that, if its suspend took long.
    pub(super) fn check(&self, device: &Info) -> Result<()> {
        let inner = self.inner.lock();
        let loaded = inner.standing.get(&device.dev).is_some_and(|s| s.loaded);
        if !loaded || device.inactive || !device.suspended {
            return Ok(());
        }
        let sentence = format!(
            "resuming {}: another program cleared the loaded table: try again",
            device.name
        );
        Err(Error::new(Errno::EBUSY, sentence))
    }

    /// The device was resumed, or is gone.
    pub(super) fn release(&self, dev: DevNo) {
        let standing = self.inner.lock().standing.remove(&dev);
        standing.into_iter().for_each(|old| self.part(old));
    }

    fn part(&self, standing: Standing) {
        let child = standing.guard.release();
        self.inner.lock().leaving.push(child);
        let end = Instant::now() + CHILD_WITHIN;
        while !self.are_gone() && Instant::now() < end {
            sleep(PAUSE);
        }
    }

    fn are_gone(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.leaving.retain(|child| !child.is_gone());
        inner.leaving.is_empty()
    }
}

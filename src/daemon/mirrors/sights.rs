//! What was seen of block devices, kept for as long as nobody has said that one is otherwise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::beside::devices;
use super::last::{Depth, KEPT_FOR};
use crate::engine::{Changes, Found, Holder, PromptDevices, PromptEngine};
use crate::model::snapshot::Snapshot;
use crate::text::device::{DevNo, DeviceRef};

/// What was seen.
#[derive(Default)]
pub(crate) struct Sights {
    kept: Mutex<HashMap<DevNo, Seen>>,
    holders: Mutex<Held>,
}

struct Seen {
    changes: u64,
    at: Instant,
    found: Found,
}

/// Who holds devices, as of the last word about any.
#[derive(Default)]
struct Held {
    changes: Option<u64>,
    since: Option<Instant>,
    by: HashMap<DeviceRef, Arc<[Holder]>>,
}

/// One look at many devices: what was said of them is asked once.
pub(super) struct Round<'a> {
    sights: &'a Sights,
    devices: &'a dyn PromptDevices,
    changes: Option<Changes>,
    at: Instant,
}

impl Sights {
    /// A look that begins now.
    pub(super) fn round<'a>(
        &'a self,
        engine: &dyn PromptEngine,
        devices: &'a dyn PromptDevices,
    ) -> Round<'a> {
        Round {
            sights: self,
            devices,
            // Before the look: what is said meanwhile is for the next one.
            changes: engine.changes().ok(),
            at: Instant::now(),
        }
    }

    /// A look of which nothing is kept, for who decides by it: not every holder is told of.
    pub(super) fn fresh<'a>(&'a self, devices: &'a dyn PromptDevices) -> Round<'a> {
        Round {
            sights: self,
            devices,
            changes: None,
            at: Instant::now(),
        }
    }
}

impl Round<'_> {
    /// When it began.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// What was said of all devices by then, or of those that a mirror uses.
    pub(super) fn changes(&self, depth: Depth, mirror: &Snapshot) -> Option<u64> {
        let changes = self.changes.as_ref()?;
        Some(match depth {
            Depth::Whole => changes.all(),
            Depth::Devices => {
                let used = devices(mirror).filter_map(DeviceRef::number);
                used.map(|dev| changes.of(dev)).sum()
            }
        })
    }

    /// What is seen of a device or file.
    pub(super) fn sight(&self, device: &DeviceRef) -> Found {
        let (DeviceRef::Number(dev), Some(changes)) = (device, &self.changes) else {
            return self.devices.sight(device);
        };
        let changes = changes.of(*dev);
        let kept = self.sights.kept.lock();
        let fresh = kept.get(dev).filter(|seen| {
            seen.changes == changes && self.at.saturating_duration_since(seen.at) < KEPT_FOR
        });
        if let Some(seen) = fresh {
            return seen.found.clone();
        }
        drop(kept);
        let found = self.devices.sight(device);
        let seen = Seen {
            changes,
            at: self.at,
            found: found.clone(),
        };
        let mut kept = self.sights.kept.lock();
        match found {
            Found::There(_) => drop(kept.insert(*dev, seen)),
            _ => drop(kept.remove(dev)),
        }
        found
    }

    /// Who holds each of these.
    pub(super) fn holders(&self, devices: &[&DeviceRef]) -> HashMap<DeviceRef, Arc<[Holder]>> {
        let Some(changes) = self.changes.as_ref().map(Changes::all) else {
            return self.ask_holders(devices).collect();
        };
        let mut held = self.sights.holders.lock();
        let old = held
            .since
            .is_none_or(|since| self.at.saturating_duration_since(since) >= KEPT_FOR);
        if held.changes != Some(changes) || old {
            *held = Held {
                changes: Some(changes),
                since: Some(self.at),
                by: HashMap::new(),
            };
        }
        let mut known = HashMap::new();
        let mut missing = Vec::new();
        for device in devices {
            match held.by.get(*device) {
                Some(holders) => drop(known.insert((*device).clone(), Arc::clone(holders))),
                None => missing.push(*device),
            }
        }
        drop(held);
        let asked: Vec<_> = self.ask_holders(&missing).collect();
        known.extend(asked.iter().cloned());
        let mut held = self.sights.holders.lock();
        if held.changes == Some(changes) {
            held.by.extend(asked);
        }
        known
    }

    fn ask_holders(
        &self,
        devices: &[&DeviceRef],
    ) -> impl Iterator<Item = (DeviceRef, Arc<[Holder]>)> + use<> {
        let asked = self.devices.holders(devices).into_iter();
        let devices: Vec<DeviceRef> = devices.iter().map(|device| (*device).clone()).collect();
        devices.into_iter().zip(asked.map(Arc::from))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::engine::home::{Home, Lying};
    use crate::engine::{Sight, Traffic};
    use crate::error::Result;

    /// Counts how often it is asked; each answer is another one.
    #[derive(Default)]
    struct Asked(AtomicUsize);

    impl PromptDevices for Asked {
        fn sight(&self, device: &DeviceRef) -> Found {
            let size = self.0.fetch_add(1, Ordering::Relaxed) as u64;
            Found::There(Sight {
                node: format!("/dev/{device}").into(),
                file: None,
                autoclear: false,
                size,
            })
        }
        fn head(&self, _: &DeviceRef, _: u64) -> Option<Vec<u8>> {
            None
        }
        fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>> {
            self.0.fetch_add(devices.len(), Ordering::Relaxed);
            vec![Vec::new(); devices.len()]
        }
        fn traffic(&self, _: DevNo) -> Option<Traffic> {
            None
        }
        fn lies_on(&self, _: &Home, _: DevNo) -> Lying {
            Lying::Elsewhere
        }
        fn let_go(&self, _: &DeviceRef) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_device_is_asked_again_once_something_is_said_of_it() {
        let (sights, asked, begun) = (Sights::default(), Asked::default(), Instant::now());
        let mut changes = Changes::default();
        let [one, other]: [DeviceRef; 2] = ["7:1", "7:2"].map(|text| text.parse().unwrap());
        let look = |changes: Option<&Changes>, after: Duration| {
            let round = Round {
                sights: &sights,
                devices: &asked,
                changes: changes.cloned(),
                at: begun + after,
            };
            let before = asked.0.load(Ordering::Relaxed);
            let seen = [&one, &other].map(|device| round.sight(device));
            let holders = round.holders(&[&one, &other]).len();
            assert!(holders == 2 && seen.iter().all(|seen| matches!(seen, Found::There(_))));
            asked.0.load(Ordering::Relaxed) - before
        };
        let soon = Duration::from_secs(1);
        assert_eq!(look(Some(&changes), Duration::ZERO), 4);
        assert_eq!(look(Some(&changes), soon), 0);
        changes.note(DevNo { major: 7, minor: 2 });
        // Its sight, and who holds any.
        assert_eq!(look(Some(&changes), soon), 3);
        assert_eq!(look(Some(&changes), soon), 0);
        changes.note(DevNo { major: 8, minor: 0 });
        assert_eq!(look(Some(&changes), soon), 2);
        assert_eq!(look(Some(&changes), soon + KEPT_FOR), 4);
        // Where nobody listens nothing is kept.
        assert_eq!(look(None, soon), 4);
        assert_eq!(look(None, soon), 4);
    }
}

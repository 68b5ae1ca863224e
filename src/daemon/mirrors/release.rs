//! The devices that a mirror no longer uses: what is on them was written below udev
//! and the kernel's partitions, so both are told.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::daemon::tasks::thread::spawn;
use crate::engine::{Devices, Engine, PromptEngine, Slot};
use crate::error::{Errno, Result};
use crate::model::snapshot::Snapshot;
use crate::text::device::DeviceRef;
use crate::text::letter::Letter;
use crate::text::table::Table;

/// How long a verb waits for partition tables that are read in. A disk that takes longer
/// has a thread of its own to wait for it.
const PARTITIONS_WITHIN: Duration = Duration::from_secs(1);

/// Lets devices go.
pub struct Release {
    engine: Arc<dyn PromptEngine>,
    devices: Arc<dyn Devices>,
}

impl Release {
    /// Those below an engine.
    pub fn new(engine: &Arc<dyn Engine>, devices: &Arc<dyn Devices>) -> Release {
        Release {
            engine: engine.clone(),
            devices: Arc::clone(devices),
        }
    }

    /// Let go of the devices that a mirror had at this snapshot and has no longer.
    pub fn since(&self, before: &Snapshot) {
        let failed = before.legs.iter().filter(|leg| leg.letter != Letter::Alive);
        let failed = failed.map(|leg| &leg.device);
        let logs = before.logs.iter().filter(|log| log.letter != Letter::Alive);
        let logs = logs.filter_map(|log| log.device.as_ref());
        let failed: Vec<DeviceRef> = failed.chain(logs).cloned().collect();
        let now = match self.engine.deps(&before.info.id(), Slot::Live) {
            Ok(now) => now,
            Err(error) if error.errno() == Errno::ENODEV => Vec::new(),
            Err(error) => return log::warn!("{error}: its devices are not let go of"),
        };
        let mut table = Table::clone(&before.table);
        let mut gone = single(table.devices().map(|device| device.clone()));
        gone.retain(|device| !now.contains(device));
        let read = self.of(gone, &failed);
        let end = Instant::now() + PARTITIONS_WITHIN;
        for read in read {
            let left = end.saturating_duration_since(Instant::now());
            // It goes on all the same.
            let _ = read.recv_timeout(left);
        }
    }

    /// Let go of the devices of a mirror that is gone. Nothing is waited for.
    pub fn of_all(&self, devices: impl IntoIterator<Item = DeviceRef>) {
        self.of(single(devices), &[]);
    }

    /// A disk that failed is not read from: that may never come to its end. Answers what
    /// ends when a partition table was read in.
    fn of(&self, gone: Vec<DeviceRef>, failed: &[DeviceRef]) -> Vec<Receiver<()>> {
        gone.iter()
            .for_each(|device| note(self.devices.let_go(device)));
        let answer = gone.into_iter().filter(|device| !failed.contains(device));
        answer
            .filter_map(|device| self.read_partitions(device))
            .collect()
    }

    fn read_partitions(&self, device: DeviceRef) -> Option<Receiver<()>> {
        let (send, receive) = channel();
        let devices = Arc::clone(&self.devices);
        let started = spawn("partitions", move || {
            note(devices.read_partitions(&device));
            drop(send);
        });
        started.ok().map(|()| receive)
    }
}

fn single(devices: impl IntoIterator<Item = DeviceRef>) -> Vec<DeviceRef> {
    let mut seen = HashSet::new();
    let mut devices: Vec<_> = devices.into_iter().collect();
    devices.retain(|device| seen.insert(device.clone()));
    devices
}

/// What cannot be told is no reason to refuse what was done. Who is not root cannot.
fn note(result: Result<()>) {
    match result {
        Err(error) if error.errno() == Errno::EACCES => log::debug!("{error}"),
        Err(error) => log::warn!("{error}"),
        Ok(()) => {}
    }
}

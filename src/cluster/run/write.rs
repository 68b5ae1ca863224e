//! Who writes disk logs: a thread for each, since a disk may hang.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::cluster::serve::act::{Done, Job};
use crate::daemon::tasks::realtime::in_real_time;
use crate::daemon::tasks::thread::spawn;
use crate::engine::kernel::devices::Looped;
use crate::engine::{Devices, Direct};
use crate::error::Result;
use crate::text::device::DeviceRef;

/// Who is told that a job of a log is done.
pub type Told = std::sync::Arc<dyn Fn(&str, u64, Done) + Send + Sync>;

/// The threads.
pub struct Writers {
    told: Told,
    threads: BTreeMap<String, Sender<Job>>,
}

impl Writers {
    /// None yet.
    pub fn new(told: Told) -> Writers {
        Writers {
            told,
            threads: BTreeMap::new(),
        }
    }

    /// Write this as soon as what was to be written before is; false where nobody can.
    pub fn write(&mut self, log: &str, job: Job) -> bool {
        if !self.threads.contains_key(log) {
            let (send, jobs) = channel();
            let (name, told) = (log.to_string(), self.told.clone());
            let body = move || in_real_time(|| write_all(&name, &jobs, &told));
            if let Err(error) = spawn("disk log", body) {
                log::warn!("the log {log}: {error}");
                return false;
            }
            self.threads.insert(log.into(), send);
        }
        let thread = self.threads.get(log);
        thread.is_some_and(|thread| thread.send(job).is_ok())
    }

    /// Nobody writes a log that is over.
    pub fn forget(&mut self, log: &str) {
        self.threads.remove(log);
    }
}

fn write_all(log: &str, jobs: &Receiver<Job>, told: &Told) {
    let (devices, mut open) = (Looped::default(), None);
    for job in jobs {
        let done = write(&devices, &mut open, &job);
        let done = done.unwrap_or_else(|error| {
            log::warn!("the log {log}: {error}");
            open = None;
            Done::Failed
        });
        told(log, job.number, done);
    }
}

/// A log that is open.
type Open = Option<(DeviceRef, Box<dyn Direct>)>;

fn write(devices: &Looped, open: &mut Open, job: &Job) -> Result<Done> {
    for leg in &job.flush {
        if let Err(error) = devices.flush(leg) {
            log::info!("what was written stays dirty in the log: {error}");
            return Ok(Done::NotFlushed);
        }
    }
    let disk = match open.take().filter(|(device, _)| *device == job.device) {
        Some((_, disk)) => disk,
        None => devices.direct(&job.device, true)?,
    };
    for range in &job.changed {
        // The device may end where the log does.
        let end = job.size.next_multiple_of(disk.unit()).min(range.end);
        let bytes = job.bytes.get(range.start as usize..end as usize);
        disk.write(range.start, bytes.unwrap_or_default())?;
    }
    *open = Some((job.device.clone(), disk));
    Ok(Done::Written)
}

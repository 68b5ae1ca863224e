//! The first bytes of devices that may not answer: each is read on a thread of its own, of
//! which there is one for each device at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::engine::patience::Patience;
use crate::text::device::DeviceRef;

/// How long a reading is waited for, and how long once one was waited for in vain: many
/// may hang at once.
const WITHIN: Duration = Duration::from_millis(200);
const WITHIN_WHEN_LATE: Duration = Duration::from_millis(10);
const FORGIVEN: Duration = Duration::from_secs(10);

/// A reading makes a few calls.
const STACK: usize = 128 * 1024;

/// Who reads what.
#[derive(Debug)]
pub(in crate::engine) struct Heads {
    readings: Mutex<HashMap<DeviceRef, Arc<Reading>>>,
    patience: Patience,
}

impl Default for Heads {
    fn default() -> Heads {
        Heads {
            readings: Mutex::default(),
            patience: Patience::new(WITHIN, WITHIN_WHEN_LATE, FORGIVEN),
        }
    }
}

/// A reading that was begun.
#[derive(Debug)]
struct Reading {
    since: Instant,
    /// What it has read, once it has ended.
    read: Mutex<Option<Option<Vec<u8>>>>,
    ended: Condvar,
}

impl Heads {
    /// What `read` reads of a device, or another such reading that is under way; none
    /// where that takes too long or fails.
    pub(in crate::engine) fn read(
        self: &Arc<Self>,
        device: &DeviceRef,
        read: impl FnOnce() -> Option<Vec<u8>> + Send + 'static,
    ) -> Option<Vec<u8>> {
        let mut readings = self.readings.lock();
        let reading = match readings.get(device) {
            Some(reading) => Arc::clone(reading),
            None => {
                let reading = Arc::new(Reading {
                    since: Instant::now(),
                    read: Mutex::default(),
                    ended: Condvar::new(),
                });
                let (heads, own) = (Arc::clone(self), Arc::clone(&reading));
                let of = device.clone();
                let work = move || heads.end(&of, &own, read());
                let thread = thread::Builder::new().name("head".into()).stack_size(STACK);
                thread.spawn(work).ok()?;
                readings.insert(device.clone(), Arc::clone(&reading));
                reading
            }
        };
        drop(readings);
        let mut read = reading.read.lock();
        let end = reading.since + self.patience.now();
        reading
            .ended
            .wait_while_until(&mut read, |read| read.is_none(), end);
        match &*read {
            Some(_) => self.patience.answered(),
            None => {
                self.patience.ran_out();
            }
        }
        read.clone().flatten()
    }

    fn end(&self, device: &DeviceRef, reading: &Reading, bytes: Option<Vec<u8>>) {
        self.readings.lock().remove(device);
        *reading.read.lock() = Some(bytes);
        reading.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_does_not_answer_keeps_one_reader_for_a_moment() {
        let (heads, (send, hung)) = (Arc::<Heads>::default(), channel::<()>());
        let device: DeviceRef = "8:1".parse().unwrap();
        assert_eq!(heads.read(&device, || Some(vec![7])), Some(vec![7]));
        let late = heads.read(&device, move || {
            let _ = hung.recv();
            Some(vec![8])
        });
        assert_eq!(late, None);
        let begun = Instant::now();
        let again = heads.read(&device, || panic!("there is one who reads"));
        assert!(again.is_none() && begun.elapsed() < WITHIN);
        let (other, (held, holds)) = ("8:2".parse().unwrap(), channel::<()>());
        let begun = Instant::now();
        let hung = heads.read(&other, move || {
            let _ = holds.recv();
            None
        });
        assert!(hung.is_none() && begun.elapsed() < WITHIN, "the second");
        drop(held);
        drop(send);
        while heads.read(&device, || Some(vec![9])) != Some(vec![9]) {}
    }
}

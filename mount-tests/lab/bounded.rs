//! A test that may hold up what it stands on: after its time the device is let go,
//! and where even that is of no use the run ends, so that nobody waits for it.

use std::process::{Command, Stdio, exit};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::spawn;
use std::time::Duration;

/// What letting go may take.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// A test's time; over with its drop.
pub struct Bounded(#[allow(dead_code, reason = "its end is what is waited for")] Sender<()>);

impl Bounded {
    /// From now on `time`, then `device` of device-mapper goes on.
    pub fn to(time: Duration, device: &str) -> Bounded {
        let (end, over) = channel();
        let device = device.to_string();
        spawn(move || watch(&over, time, &device));
        Bounded(end)
    }
}

fn watch(over: &Receiver<()>, time: Duration, device: &str) {
    if has_ended(over, time) {
        return;
    }
    eprintln!("not through after {time:?}: {device} is let go");
    // Nobody waits for it: it may hang as well.
    let _ = Command::new("dmsetup")
        .args(["resume", "--noflush", device])
        .stdin(Stdio::null())
        .spawn();
    if !has_ended(over, AFTERWARDS) {
        eprintln!("{device} hangs for good, and so does this run: it ends here");
        exit(3);
    }
}

fn has_ended(over: &Receiver<()>, time: Duration) -> bool {
    over.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
}

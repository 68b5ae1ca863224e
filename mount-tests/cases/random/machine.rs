//! The machine: disks, devices, and the writer who uses one of them, all under one
//! lock, so that what is judged is one moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use mirrorfs::engine::Id;
use mirrorfs::error::{Errno, Error, Result};
use mirrorfs::text::device::DevNo;
use mirrorfs::text::table::Line;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::device::{Device, Loaded, Target};
use super::mirror::{Ground, Held};
use super::writer::Writer;

/// Longer than the daemon's watch ever is at work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody does while the daemon is between two calls.
pub type Ambush = Box<dyn FnOnce(&mut State) + Send>;

/// What looks at the daemon.
pub type Witness = Arc<dyn Fn() + Send + Sync>;

/// All there is.
#[derive(Default)]
pub struct State {
    pub ground: Ground,
    pub devices: Vec<Device>,
    pub writer: Writer,
    /// What was found wrong, the first of it.
    pub wrong: Option<String>,
    /// Before the daemon's next load.
    pub ambush: Option<Ambush>,
    /// Counts what changes, to tell whether two looks were at one moment.
    pub changes: u64,
    /// Switches of tables.
    pub moves: u64,
    pub throttle: u32,
    /// A table that somebody writes because its first leg is good at this moment.
    pub pledged: Option<Vec<Line>>,
    /// Whether a table without a mirror was asked for.
    pub asked: bool,
    /// What ambushes did.
    pub heard: Vec<String>,
    minors: u32,
    rings: bool,
}

impl State {
    pub fn find(&mut self, id: &Id) -> Result<&mut Device> {
        let same = |device: &&mut Device| match id {
            Id::Name(name) => device.name == *name,
            Id::Uuid(uuid) => device.uuid == *uuid,
        };
        let gone = || Error::new(Errno::ENODEV, format!("there is no device {id}"));
        self.devices.iter_mut().find(same).ok_or_else(gone)
    }

    /// A device without a table.
    pub fn create(&mut self, name: &str, uuid: &str) -> Result<&mut Device> {
        let taken =
            |device: &Device| device.name == name || (!uuid.is_empty() && device.uuid == uuid);
        if self.devices.iter().any(taken) {
            return Err(Error::new(
                Errno::EEXIST,
                format!("{name} is there already"),
            ));
        }
        let minor = self.minors;
        self.minors += 1;
        self.rings = true;
        self.devices.push(Device::new(name, uuid, minor));
        Ok(self.devices.last_mut().expect("it was pushed"))
    }

    pub fn remove(&mut self, id: &Id) -> Result<()> {
        let device = self.find(id)?;
        if device.open > 0 {
            return Err(Error::busy(format!("{} is open", device.name)));
        }
        let minor = device.minor;
        self.devices.retain(|device| device.minor != minor);
        self.rings = true;
        Ok(())
    }

    pub fn rename(&mut self, id: &Id, name: &str) -> Result<()> {
        if self.devices.iter().any(|device| device.name == name) {
            return Err(Error::new(
                Errno::EEXIST,
                format!("{name} is there already"),
            ));
        }
        let device = self.find(id)?;
        device.name = name.into();
        device.event_nr += 1;
        self.rings = true;
        Ok(())
    }

    /// Do something with the device that the writer uses and with what is below; none
    /// where there is none.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Device, &mut Ground) -> T) -> Option<T> {
        let device = self.devices.iter_mut().find(|device| device.open > 0)?;
        Some(act(device, &mut self.ground))
    }

    pub fn suspend(&mut self, id: &Id, held: Held) -> Result<()> {
        let place = self.place(id)?;
        self.devices[place].suspend(held, &mut self.ground);
        Ok(())
    }

    pub fn resume(&mut self, id: &Id) -> Result<()> {
        let place = self.place(id)?;
        if let Some(new) = &self.devices[place].inactive {
            self.moves += 1;
            let pledged = self.pledged.as_ref() == Some(&new.lines);
            // Whoever wrote it was overtaken.
            self.ground.hazard |= pledged && !is_good(new, &self.writer, &self.ground);
        }
        self.devices[place].resume(&mut self.ground)
    }

    fn place(&mut self, id: &Id) -> Result<usize> {
        let minor = self.find(id)?.minor;
        let place = self.devices.iter().position(|device| device.minor == minor);
        Ok(place.unwrap_or(0))
    }

    /// Something has changed: hear of the ends of writes, count events, and judge.
    pub fn changed(&mut self) {
        self.changes += 1;
        for device in &mut self.devices {
            self.rings |= device.count_events();
            let mut mirrors = device.live.iter().flat_map(Loaded::mirrors);
            self.ground.hazard |= mirrors.any(|mirror| mirror.faults.strayed);
        }
        // Those first, since the write that made them is acknowledged all the same.
        let doubts = std::mem::take(&mut self.ground.unsure);
        for (bio, result) in std::mem::take(&mut self.ground.done) {
            let wrong = self.writer.hear(bio, result);
            self.found(wrong);
        }
        self.writer.doubt(&doubts);
        if let Some(device) = self.devices.iter_mut().find(|device| device.open > 0) {
            self.writer.grow(device, &self.ground);
            let wrong = self.writer.judge_all(device, &self.ground);
            self.found(wrong);
        }
    }

    pub fn found(&mut self, wrong: Option<String>) {
        if !self.ground.hazard && self.wrong.is_none() {
            self.wrong = wrong;
        }
    }
}

/// Whether nothing is lost by a switch to a table of somebody who knows his legs: the
/// first has all, and where they are called equal they are, and stay so.
pub fn is_good(table: &Loaded, writer: &Writer, ground: &Ground) -> bool {
    let first_is = |target: &Target| match target {
        Target::Mirror(mirror) => writer.is_good(mirror.legs[0], ground),
        Target::Linear { leg, .. } => writer.is_good(*leg, ground),
    };
    let mut mirrors = table.mirrors();
    let believed = mirrors.any(|mirror| mirror.log.is_believed());
    let equal = || writer.under_way() == 0 && writer.differing(table, ground).is_none();
    table.targets.iter().all(first_is) && (!believed || equal())
}

/// The machine, as an engine has it.
pub struct Sim {
    state: Mutex<State>,
    /// Looks at the daemon's words right after each of its resumes.
    pub witness: Mutex<Option<Witness>>,
    pub bell: EventFd,
    arms: Mutex<u64>,
    armed: Condvar,
}

impl Sim {
    pub fn new() -> Sim {
        let bell = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK);
        Sim {
            state: Mutex::default(),
            witness: Mutex::default(),
            bell: bell.expect("an eventfd"),
            arms: Mutex::default(),
            armed: Condvar::new(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Change something, and judge at once.
    pub fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let answer = act(&mut state);
        state.changed();
        if std::mem::take(&mut state.rings) {
            self.ring();
        }
        answer
    }

    /// How often a device was resumed, whoever asked for it.
    pub fn life(&self, dev: DevNo) -> Result<u64> {
        let state = self.state();
        let found = state.devices.iter().find(|device| device.dev() == dev);
        let life = found.map(|device| device.life);
        life.ok_or_else(|| Error::new(Errno::ENODEV, format!("there is no device {dev}")))
    }

    /// The watch is about to look.
    pub fn count_arm(&self) {
        // Empty where nobody has rung.
        let _ = self.bell.read();
        *self.arms.lock().expect("nobody panics with it") += 1;
        self.armed.notify_all();
    }

    fn ring(&self) {
        self.bell.write(1).expect("room in an eventfd");
    }

    /// Wait until the watch has looked at all that has happened.
    pub fn watched(&self) {
        for _ in 0..2 {
            let mut arms = self.arms.lock().expect("nobody panics with it");
            let before = *arms;
            self.ring();
            while *arms == before {
                let (now, waited) = self
                    .armed
                    .wait_timeout(arms, PATIENCE)
                    .expect("nobody panics with it");
                assert!(!waited.timed_out(), "the watch does not look any more");
                arms = now;
            }
        }
    }
}

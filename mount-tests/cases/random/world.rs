//! A mirror on the machine under the real daemon: its making, what must hold of it
//! after each step, and its end.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::mirrors::query::Detail;
use mirrorfs::engine::Id;
use mirrorfs::error::Error;
use mirrorfs::model::health::{self, State as Health};
use mirrorfs::model::id::MirrorId;

use super::super::differential::Random;
use super::acts::{self, DATA, LOGS, line};
use super::device::{Device, Loaded};
use super::disks::Disk;
use super::machine::{Sim, State};
use super::writer::Writer;

/// Numbers of writes begin above those of what disks hold before.
const FIRST: u64 = 1000;

/// How long a mirror may take to work again once all disks do.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the mirror.
pub const NAME: &str = "m";

/// The mirror.
pub struct World {
    pub sim: Arc<Sim>,
    pub daemon: Arc<Daemon>,
}

impl World {
    /// A machine with a new mirror in it, made by the daemon or by another program.
    pub fn new(sim: &Arc<Sim>, daemon: &Arc<Daemon>, folder: &Path, random: &mut Random) -> World {
        let disks = (0..DATA + LOGS).map(|number| {
            let file = (number >= DATA).then(|| folder.join(format!("log{number}")));
            let zeros = file
                .as_ref()
                .map(|path| File::create(path).and_then(|file| file.set_len(4096)));
            zeros.transpose().expect("a log");
            Disk::new(number as u64 + 1, file)
        });
        let length = 16 + random.below(17) as usize;
        let disks: Vec<Disk> = disks.collect();
        let line = table(length, random);
        let own = !random.one_in(4);
        let mut state = sim.state();
        *state = State::default();
        state.ground.disks = disks;
        state.writer = Writer::new(FIRST);
        if line.params.contains("nosync") {
            state
                .ground
                .disks
                .iter_mut()
                .for_each(|disk| disk.blocks.fill(1));
        }
        drop(state);
        if own {
            let make = || daemon.create(&Caller::daemon(), &format!("{NAME}: {line}"));
            // What the daemon was about to try of the last one may have its disks for a moment.
            let taken = |made: &Result<_, Error>| {
                let error = made.as_ref().err();
                error.is_some_and(|error| error.sentence().contains("another request"))
            };
            let mut made = make();
            for _ in 0..100 {
                if !taken(&made) {
                    break;
                }
                sleep(Duration::from_millis(20));
                made = make();
            }
            made.expect("a mirror");
        } else {
            let loaded = Loaded::new(&[line], DATA + LOGS).expect("a table");
            sim.change(|state| {
                let device = state.create(NAME, "FOREIGN-1").expect("a device");
                device.inactive = Some(loaded);
                let id = device.info().id();
                state.resume(&id).expect("a table");
            });
        }
        sim.change(|state| state.devices[0].open = 1);
        World {
            sim: Arc::clone(sim),
            daemon: Arc::clone(daemon),
        }
    }

    /// Its number: another program's device that is no mirror has none for a while.
    pub fn mirror_id(&self) -> MirrorId {
        self.daemon.view.find(NAME).unwrap_or(MirrorId::new(0))
    }

    /// Wait until the daemon has nothing to do before the next thing happens.
    pub fn settle(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.sim.watched();
            if !self.daemon.view.registry.is_at_work(self.mirror_id()) {
                break;
            }
            assert!(Instant::now() < end, "the daemon does not come to an end");
        }
    }

    /// What is wrong with the word of `health` at this moment.
    pub fn judge_health(&self) {
        judge_health(&self.sim, &self.daemon);
    }

    /// Do a verb; the answer's words.
    pub fn verb(&self, line: &str) -> Result<(), String> {
        let done = self.daemon.verb(&Caller::daemon(), self.mirror_id(), line);
        self.after();
        done.map_err(|error| format!("{:?} {error}", error.errno()))
    }

    /// Write a table.
    pub fn reload(&self, line: &str) -> Result<(), String> {
        let done = self
            .daemon
            .reload(&Caller::daemon(), self.mirror_id(), line);
        self.after();
        done.map_err(|error| format!("{:?} {error}", error.errno()))
    }

    /// A request counts for what it was made for.
    pub fn after(&self) {
        let mut state = self.sim.state();
        state.pledged = None;
        let mirrors =
            state.with(|device, _| device.live.iter().any(|live| live.mirrors().count() > 0));
        if mirrors == Some(true) {
            state.asked = false;
        }
    }

    /// All disks work again: every write that waits comes to its end, all is copied,
    /// every block can be read, and the mirror goes.
    pub fn end(&self) {
        self.sim.change(|state| {
            state.ambush = None;
            state.ground.disks.iter_mut().for_each(Disk::repair);
        });
        let _ = self.daemon.set_on_failure(self.mirror_id(), "drop");
        let end = Instant::now() + PATIENCE;
        while !self.is_well() {
            if Instant::now() > end {
                self.sim
                    .state()
                    .found(Some("it does not come to rest once all disks work".into()));
                break;
            }
            self.settle();
            self.sim.change(|state| {
                acts::work(state, &mut Random::new(1));
                while state.with(Device::advance) == Some(true) {}
                acts::work(state, &mut Random::new(1));
            });
            if self.is_well() {
                break;
            }
            let suspended = self.sim.state().with(|device, _| device.suspended);
            let verb = if suspended == Some(true) {
                "resume"
            } else {
                "retry"
            };
            if self.verb(verb).is_err() {
                sleep(Duration::from_millis(5));
            }
        }
        self.settle();
        self.judge_health();
        self.sim
            .change(|state| state.devices.iter_mut().for_each(|device| device.open = 0));
        let removed = match self.daemon.view.find(NAME) {
            Ok(_) => self.verb("remove"),
            Err(_) => self.sim.change(|state| {
                let removed = state.remove(&Id::Name(NAME.into()));
                removed.map_err(|error| error.to_string())
            }),
        };
        let mut state = self.sim.state();
        let left = !state.devices.is_empty();
        state.found(left.then(|| format!("it stays: {removed:?}")));
    }

    fn is_well(&self) -> bool {
        let mut state = self.sim.state();
        let quiet = state.writer.under_way() == 0;
        let well = state.with(|device, _| {
            let mut mirrors = device.live.iter().flat_map(|live| live.mirrors());
            let synced = mirrors.all(|mirror| {
                mirror.log.sync_count() == mirror.log.regions() && !mirror.faults.any
            });
            !device.suspended && synced
        });
        quiet && well == Some(true)
    }

    /// Everything that a person would ask for who has to understand what went wrong.
    pub fn tell(&self) -> String {
        let (mut state, mut text) = (self.sim.state(), String::new());
        let lives: Vec<_> = state.devices.iter().map(|device| device.dev()).collect();
        for device in &state.devices {
            let (table, status) = (acts::lines(device), device.status());
            let lines = table.iter().chain(&status).map(|line| format!("{line}\n"));
            text.extend(lines);
            text += &format!("{:?}, {} under way\n", device.info(), device.under_way());
        }
        for (number, disk) in state.ground.disks.iter().enumerate() {
            let (reads, writes) = (disk.reads, disk.writes);
            text += &format!(
                "disk {number}: {:?}, fails {reads:?} {writes:?}\n",
                disk.blocks
            );
        }
        state.ambush = None;
        drop(state);
        for dev in lives {
            text += &format!("life {:?} of {dev}\n", self.sim.life(dev));
        }
        if let Ok(snapshot) = self.daemon.view.snapshot(self.mirror_id(), Detail::Kernel) {
            text += &health::text(&snapshot);
        }
        let (start, end) = self.daemon.view.events.span();
        let events = self
            .daemon
            .view
            .events
            .read(start.max(end.saturating_sub(4096)), 4096);
        text + &String::from_utf8_lossy(&events)
    }
}

/// What is wrong with the word of `health`, where the machine did not change while it
/// was asked for.
pub fn judge_health(sim: &Sim, daemon: &Daemon) {
    let before = sim.state().changes;
    let mirror_id = daemon.view.find(NAME);
    let Ok(snapshot) =
        mirror_id.and_then(|mirror_id| daemon.view.snapshot(mirror_id, Detail::Kernel))
    else {
        return;
    };
    let word = Health::of(&snapshot);
    let mut state = sim.state();
    if state.changes != before {
        return;
    }
    let wrong = match word {
        Health::Ok => {
            let State {
                devices,
                writer,
                ground,
                ..
            } = &*state;
            let live = devices.iter().find_map(|device| device.live.as_ref());
            let handled = live.filter(|live| live.mirrors().all(|mirror| mirror.handled));
            let differs = handled.and_then(|live| writer.differing(live, ground));
            differs.map(|block| format!("health says ok, and the legs differ in block {block}"))
        }
        Health::Finished if !state.asked => {
            Some("health says finished, and nobody asked for it".into())
        }
        _ => None,
    };
    state.found(wrong);
}

/// A first table.
fn table(length: usize, random: &mut Random) -> mirrorfs::text::table::Line {
    let count = 2 + random.below(3) as usize;
    let first = random.below(DATA as u64) as usize;
    let legs = (0..count).map(|leg| ((first + leg) % DATA, random.below(3) as usize));
    let legs: Vec<_> = legs.collect();
    let disk = format!("8:{}", DATA + random.below(LOGS as u64) as usize);
    let log = match (random.one_in(3), random.one_in(3)) {
        (false, false) => "core 1".to_string(),
        (false, true) => "core 2 then  nosync".into(),
        (true, false) => format!("disk 2 {disk}"),
        (true, true) => format!("disk 3 {disk} then  nosync"),
    };
    line(length, &legs, &log, random.below(2), !random.one_in(8))
}

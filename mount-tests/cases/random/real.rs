//! The same on the kernel's device-mapper: the real mount, disks that break, writes
//! past the cache. What the kernel holds hangs a thread of its own, and is under way.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use mirrorfs::engine::kernel::Kernel;
use mirrorfs::engine::{Engine, Id, PromptEngine, Slot, Suspend};
use nix::errno::Errno;

use super::super::differential::Random;
use super::broken::{DISKS, Disks, REGION, SIZE, cells, open, read_all, switch, write_block};
use super::mirror::{Bio, Why};
use super::writer::Writer;
use crate::lab::Lab;
use crate::lab::mount::Mount;
use crate::lab::wait_longer;

/// The disk of this number holds a log.
const LOG: usize = 8;

/// How long a write or read is waited for, and how many may be under way.
const WAIT: Duration = Duration::from_millis(250);
const MOST: usize = 4;

/// How long the mirror may take to work again once all disks do.
const PATIENCE: Duration = Duration::from_secs(90);

/// The end of a write that is waited for.
type End = Receiver<io::Result<()>>;

/// The mirror, its disks, and its writer.
pub struct Real {
    pub mount: Mount,
    engine: Kernel,
    device: Arc<File>,
    writer: Writer,
    waiting: Vec<(Bio, End)>,
    failing: Vec<bool>,
    /// Whether a disk failed since a write that is under way was begun.
    told: bool,
    asked: bool,
    pub acknowledged: u64,
    // After the mount: a mirror that is still there has them open.
    disks: Disks,
}

impl Real {
    /// A mirror `m` of two disks or three, the first of which has everything.
    pub fn new(lab: &Lab, random: &mut Random) -> Real {
        let disks = Disks::new(lab);
        let log = if random.one_in(2) {
            format!("disk 2 {} {REGION}", lab.blank(LOG))
        } else {
            format!("core 1 {REGION}")
        };
        let legs = 2 + random.below(2) as usize;
        let places = (0..legs).map(|leg| format!("{} 0", disks.path(leg)));
        let places: Vec<String> = places.collect();
        let (length, places) = (SIZE / 512, places.join(" "));
        let mount = lab.mount();
        mount.write("throttle", "1");
        let line = format!("m: 0 {length} mirror {log} {legs} {places} 1 handle_errors");
        match mount.try_write("new", &line) {
            // A busy machine may take its time.
            Err((Errno::EINPROGRESS, _)) => {
                wait_longer(60, "m", || mount.read("events").contains(" m created "));
            }
            made => drop(made.expect("a mirror")),
        }
        Real {
            mount,
            engine: Kernel::open().expect("device-mapper"),
            device: Arc::new(open("/dev/mapper/m")),
            writer: Writer::of(&vec![1; cells()], 1000),
            waiting: Vec::new(),
            failing: vec![false; DISKS],
            told: false,
            asked: false,
            acknowledged: 0,
            disks,
        }
    }

    /// One step, how it is told, and what is wrong afterwards.
    pub fn step(&mut self, random: &mut Random) -> (String, Option<String>) {
        let (text, wrong) = match random.below(100) {
            0..42 => self.write(random.below(cells() as u64) as usize),
            42..52 => self.read(),
            52..60 => self.fail(random.below(DISKS as u64) as usize),
            60..70 => self.repair(),
            70..74 => self.again(random),
            74..78 => (self.behind(random), None),
            78..81 => {
                let percent = if random.one_in(3) { "100" } else { "1" };
                self.mount.write("throttle", percent);
                (format!("throttle {percent}"), None)
            }
            81..83 => {
                let policy = if random.one_in(3) { "hold" } else { "drop" };
                (self.line("m/on_failure", policy), None)
            }
            83..88 => {
                sleep(Duration::from_millis(random.below(500)));
                ("time passes".into(), None)
            }
            _ => {
                let verb = verb(random, &self.disks);
                let ends = ["finish", "abort", "drop"];
                self.asked |= ends.iter().any(|word| verb.starts_with(word));
                (self.line("m/ctl", &verb), None)
            }
        };
        let wrong = wrong
            .or_else(|| self.hear())
            .or_else(|| self.judge_health());
        (text, wrong)
    }

    fn line(&self, file: &str, line: &str) -> String {
        match self.mount.try_write(file, line) {
            Ok(_) => format!("`{line}` to {file}"),
            Err((errno, why)) => format!("`{line}` to {file} is refused: {errno} {}", why.trim()),
        }
    }

    /// Write a block; what does not come to an end soon is under way.
    fn write(&mut self, cell: usize) -> (String, Option<String>) {
        if self.waiting.len() >= MOST {
            return self.release();
        }
        let Some(bio) = self.writer.write(cell) else {
            return (format!("{cell} is being written already"), None);
        };
        let (device, (send, end)) = (Arc::clone(&self.device), channel());
        spawn(move || {
            // Nobody hears of one that comes after the test's end.
            let _ = send.send(write_block(&device, cell, bio.version));
        });
        let text = format!("write {} to {cell}", bio.version);
        match end.recv_timeout(WAIT) {
            Ok(result) => (format!("{text}: {result:?}"), self.ended(bio, result)),
            Err(RecvTimeoutError::Timeout) => {
                self.waiting.push((bio, end));
                (format!("{text}: it waits"), None)
            }
            Err(RecvTimeoutError::Disconnected) => (text, Some("a writer is gone".into())),
        }
    }

    /// Too much waits: let it go.
    fn release(&mut self) -> (String, Option<String>) {
        if self.mount.read("m/health").starts_with("suspended") {
            return (self.line("m/ctl", "resume"), None);
        }
        let (text, wrong) = self.repair();
        (format!("{text}; {}", self.line("m/ctl", "retry")), wrong)
    }

    fn ended(&mut self, bio: Bio, result: io::Result<()>) -> Option<String> {
        let (told, failed) = (self.is_told(), result.is_err());
        self.acknowledged += u64::from(!failed);
        self.writer.hear(bio, result.map_err(|_| Why::Alone));
        let untold = failed && !told;
        untold.then(|| format!("{bio:?} failed, and no disk has"))
    }

    /// Hear of writes that were under way.
    fn hear(&mut self) -> Option<String> {
        let mut wrong = None;
        for (bio, end) in std::mem::take(&mut self.waiting) {
            match end.try_recv() {
                Ok(result) => wrong = wrong.or(self.ended(bio, result)),
                Err(TryRecvError::Empty) => self.waiting.push((bio, end)),
                Err(TryRecvError::Disconnected) => wrong = Some("a writer is gone".into()),
            }
        }
        self.told &= !self.waiting.is_empty();
        wrong
    }

    /// Whether an error was told: a disk has failed, or a letter says so.
    fn is_told(&self) -> bool {
        let letters = || {
            let health = self.mount.read("m/health");
            health
                .lines()
                .any(|line| line.starts_with("leg ") && !line.contains(" A "))
        };
        self.told || self.failing.contains(&true) || letters()
    }

    /// Read all blocks past the cache, in one.
    fn read(&mut self) -> (String, Option<String>) {
        let (device, (send, end)) = (Arc::clone(&self.device), channel());
        spawn(move || drop(send.send(read_all(&device))));
        let told = self.is_told();
        match end.recv_timeout(5 * WAIT) {
            Ok(found) => {
                let failed = found.iter().filter(|answer| answer.is_err()).count();
                let told = told || self.is_told();
                let mut all = found.into_iter().enumerate();
                let wrong = all.find_map(|(cell, answer)| self.writer.assess(cell, answer, told));
                (format!("read all, {failed} blocks fail"), wrong)
            }
            // Somebody has suspended it.
            Err(_) => ("read all: it waits".into(), None),
        }
    }

    fn fail(&mut self, disk: usize) -> (String, Option<String>) {
        if self.failing.iter().filter(|failing| **failing).count() > 1 {
            return ("enough has failed".into(), None);
        }
        switch(disk, &self.disks.0[disk], true);
        self.failing[disk] = true;
        self.told = true;
        (format!("disk {disk} fails"), None)
    }

    fn repair(&mut self) -> (String, Option<String>) {
        let Some(disk) = self.failing.iter().position(|failing| *failing) else {
            return ("no disk is repaired".into(), None);
        };
        switch(disk, &self.disks.0[disk], false);
        self.failing[disk] = false;
        (format!("disk {disk} is repaired"), None)
    }

    /// The table as it is, where nobody is about to change it.
    fn steady(&self) -> Option<String> {
        let health = self.mount.read("m/health");
        let word = health.lines().next().unwrap_or_default();
        let table = self.mount.read("m/table");
        let believed = table.contains("nosync");
        let steady = match word {
            "ok" => !believed || self.waiting.is_empty(),
            "syncing" => !believed,
            _ => false,
        };
        (steady && !self.failing.contains(&true)).then_some(table)
    }

    /// The same table is written once more.
    fn again(&mut self, random: &mut Random) -> (String, Option<String>) {
        match self.steady() {
            Some(table) if random.one_in(2) => (self.line("m/table", table.trim()), None),
            Some(_) => (self.line("m/ctl", "resync"), None),
            None => ("no table is steady".into(), None),
        }
    }

    /// Another program loads the same table once more, or suspends and resumes.
    fn behind(&mut self, random: &mut Random) -> String {
        if self.steady().is_none() {
            return "no table is steady".into();
        }
        let (id, load) = (Id::Name("m".into()), random.one_in(2));
        let done = self.engine.table(&id, Slot::Live).and_then(|(_, lines)| {
            if load {
                self.engine.load(&id, &lines, false)?;
            }
            let how = Suspend {
                passing: false,
                ..Suspend::REQUEUE
            };
            self.engine.suspend(&id, how)?;
            self.engine.resume(&id)
        });
        format!("behind its back: loaded {load}, resumed: {done:?}")
    }

    /// What is wrong with the word of `health`.
    fn judge_health(&mut self) -> Option<String> {
        let health = self.mount.read("m/health");
        if self.mount.read("m/table").contains(" mirror ") {
            self.asked = false;
        }
        let untrue = health.starts_with("finished") && !self.asked;
        untrue.then(|| "health says finished, and nobody asked for it".into())
    }

    /// What is wrong with the legs of a mirror that is `ok` while nobody writes.
    pub fn compare(&mut self) -> Option<String> {
        let quiet = |real: &Real| {
            let ok = real.mount.read("m/health").starts_with("ok");
            ok && real.waiting.is_empty() && !real.failing.contains(&true)
        };
        if !quiet(self) {
            return None;
        }
        let before = self.mount.read("m/table");
        let legs = self.mount.list("m/legs").into_iter();
        let path = |leg: String| self.mount.read(&format!("m/legs/{leg}/path"));
        let found: Vec<_> = legs.map(|leg| read_all(&open(path(leg).trim()))).collect();
        let first = found.first()?;
        let differs = found.iter().any(|leg| leg != first);
        let same = quiet(self) && self.mount.read("m/table") == before;
        (differs && same).then(|| format!("health says ok, and the legs differ: {found:?}"))
    }

    /// All disks work again: every write comes to its end, every block can be read, and
    /// the mirror goes.
    pub fn end(&mut self) -> Option<String> {
        while self.repair().0 != "no disk is repaired" {}
        self.line("m/on_failure", "drop");
        self.mount.write("throttle", "100");
        let end = Instant::now() + PATIENCE;
        loop {
            let health = self.mount.read("m/health");
            let word = health.lines().next().unwrap_or_default();
            let letters = health.lines().any(|line| {
                line.starts_with("leg ") && !line.contains(" A ") && !line.ends_with("dropped")
            });
            let still = ["syncing", "suspended", "failed"].contains(&word) || letters;
            if let Some(wrong) = self.hear() {
                return Some(wrong);
            }
            if !still && self.waiting.is_empty() {
                break;
            }
            if Instant::now() > end {
                return Some("it does not come to rest once all disks work".into());
            }
            let verb = if word == "suspended" {
                "resume"
            } else {
                "retry"
            };
            if word != "syncing" || letters {
                self.line("m/ctl", verb);
            }
            sleep(Duration::from_millis(300));
        }
        let (_, wrong) = self.read();
        wrong.or_else(|| self.compare())
    }

    /// What a person would ask for who has to understand what went wrong.
    pub fn tell(&self) -> String {
        let files = ["m/table", "m/status", "m/health", "events"];
        files.iter().map(|file| self.mount.read(file)).collect()
    }

    /// Let go of the device.
    pub fn remove(self) {
        let Real {
            mount,
            device,
            disks,
            ..
        } = self;
        drop(device);
        mount.write("m/ctl", "remove");
        drop(mount);
        drop(disks);
    }
}

fn verb(random: &mut Random, disks: &Disks) -> String {
    let (leg, disk) = (
        random.below(3),
        disks.path(random.below(DISKS as u64) as usize),
    );
    match random.below(16) {
        0..3 => format!("drop {leg}"),
        3..7 => format!("add {disk}"),
        7 => format!("replace {leg} {disk}"),
        8 => "finish".into(),
        9 => "abort".into(),
        10..12 => "resync".into(),
        12..14 => "retry".into(),
        14 => "suspend noflush".into(),
        _ => "resume".into(),
    }
}

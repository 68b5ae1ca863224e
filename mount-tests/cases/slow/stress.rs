//! Many mirrors, hangs and failures at random, and writers who measure their waits: a
//! minute of it, or an hour.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Scope, sleep};
use std::time::{Duration, Instant};

use super::WRITERS;
use super::bench::{open, state_folder, write_to};
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, run, switch};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt};
use crate::lab::{Lab, long};

pub const CASES: &[Case] =
    &[kernel_only("hangs_and_failures", WRITERS, hangs_and_failures).within(5400)];

/// Sectors of each mirror.
const PART: usize = 2048;

/// The most that a writer may wait whose mirror has nothing that hangs: also where a leg
/// of it fails while the records do not answer, for the first time.
const MOST: Duration = Duration::from_secs(5);

/// The same of two hundred mirrors for an hour, which is more than one emulated processor
/// has time for: how the waits are distributed is for reading, and nobody may hang.
const MOST_LONG: Duration = Duration::from_secs(30);

/// How many times longer a monitor does something else than it reads.
const MONITOR_RESTS: u32 = 4;

/// Numbers that look random, the same in each run.
struct Dice(Mutex<u64>);

impl Dice {
    fn below(&self, most: u64) -> u64 {
        let mut state = self.0.lock().expect("no panic");
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % most
    }

    fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

/// What is done to one, each as often as it stands here.
const ACTS: [&str; 10] = [
    "fail",
    "fail",
    "fail",
    "fail",
    "hang",
    "hang",
    "hang",
    "hang a verb",
    "hang a verb",
    "freeze",
];

/// One mirror, and what is being done to it.
#[derive(Default)]
struct Subject {
    /// Rises when something of it hangs, and when that ends.
    hangs: AtomicU32,
    /// Rises when its weak leg fails, and when that ends.
    failures: AtomicU32,
    /// Whether somebody is at it.
    taken: AtomicBool,
}

/// What the writers have waited.
#[derive(Default)]
struct Waits {
    healthy: Vec<Wait>,
    failing: Vec<Wait>,
}

/// One write: how long it took, to which mirror, and when it began, of the whole.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wait(Duration, usize, Duration);

/// What was done to a mirror, from when to when.
struct Deed(&'static str, usize, Duration, Duration);

struct Stress<'a> {
    mount: &'a Mount,
    dice: Dice,
    subjects: Vec<Subject>,
    waits: Mutex<Waits>,
    deeds: Mutex<Vec<Deed>>,
    frozen: Mutex<()>,
    begun: Instant,
    state: String,
    over: AtomicBool,
}

fn hangs_and_failures(lab: &Lab) {
    let (count, time) = if long() { (200, 3600) } else { (24, 60) };
    let (at, _undo) = state_folder(lab, 11);
    let _gone = Undo(format!(
        "for n in $(seq 0 {count}); do for k in m good weak; do dmsetup remove --retry $k$n; done; done 2>/dev/null"
    ));
    let mount = Mount::new_in(lab, lab.engine, &at);
    mount.mount("");
    (0..count).for_each(|number| make(lab, &mount, number));
    let stress = Stress {
        mount: &mount,
        dice: Dice(Mutex::new(0x2545_F491_4F6C_DD1D)),
        subjects: (0..count).map(|_| Subject::default()).collect(),
        waits: Mutex::default(),
        deeds: Mutex::default(),
        frozen: Mutex::default(),
        begun: Instant::now(),
        state: at,
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for number in 0..count {
            let stress = &stress;
            scope.spawn(move || stress.write_on(number));
        }
        scope.spawn(|| stress.read_on());
        let end = Instant::now() + Duration::from_secs(time);
        while Instant::now() < end {
            stress.disturb(scope);
            sleep(stress.dice.millis(100, 700));
        }
        stress.over.store(true, Ordering::Relaxed);
    });
    let waits = stress.waits.into_inner().expect("no panic");
    let deeds = stress.deeds.into_inner().expect("no panic");
    let (healthy, failing) = (
        told("healthy", waits.healthy, &deeds),
        told("failing", waits.failing, &deeds),
    );
    let most = if long() { MOST_LONG } else { MOST };
    assert!(healthy < most && failing < most, "{healthy:?} {failing:?}");
}

fn make(lab: &Lab, mount: &Mount, number: usize) {
    let at = number * PART;
    for (name, disk) in [("good", 1), ("weak", 2)] {
        let table = format!("0 {PART} linear {} {at}", lab.disk(disk));
        create(&format!("{name}{number}"), "", &table);
    }
    mount.write(
        "new",
        &format!(
            "m{number}: 0 {PART} mirror core 2 512 nosync 2 /dev/mapper/good{number} 0 /dev/mapper/weak{number} 0 1 handle_errors"
        ),
    );
}

/// The distribution of waits, in a line, and what was done meanwhile; the longest.
fn told(what: &str, mut waits: Vec<Wait>, deeds: &[Deed]) -> Duration {
    waits.sort_unstable();
    assert!(!waits.is_empty(), "no writer of a {what} mirror");
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].0;
    for Wait(waited, number, from) in waits.iter().rev().take(5) {
        let met = |deed: &&Deed| {
            let concerns = deed.1 == *number || deed.0 == "freeze";
            concerns && deed.2 < *from + *waited && deed.3 + Duration::from_secs(5) > *from
        };
        let met: Vec<String> = deeds.iter().filter(met).map(Deed::line).collect();
        println!(
            "m{number} waited {waited:?} at {from:?}; {}",
            met.join(", ")
        );
    }
    let longest = at(1.0);
    println!(
        "slow|writers of {what} mirrors|{} writes|half within {:?}|99 % {:?}|99.9 % {:?}|the longest {longest:?}",
        waits.len(),
        at(0.5),
        at(0.99),
        at(0.999),
    );
    longest
}

impl Deed {
    fn line(&self) -> String {
        let Deed(what, number, from, to) = self;
        format!("{what} m{number} {from:.1?} to {to:.1?}")
    }
}

impl Stress<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Write to a mirror now and then, through what stays open as a file system's device
    /// does: each close would be work for udev. What it waits where something of it hangs
    /// is not the daemon's.
    fn write_on(&self, number: usize) {
        let subject = &self.subjects[number];
        let device = open(Path::new(&format!("/dev/mapper/m{number}")));
        while !self.is_over() {
            sleep(self.dice.millis(500, 1500));
            let before = subject.hangs.load(Ordering::SeqCst);
            let failures = subject.failures.load(Ordering::SeqCst);
            let begun = Instant::now();
            write_to(&device);
            let waited = begun.elapsed();
            let failed = failures % 2 == 1 || subject.failures.load(Ordering::SeqCst) != failures;
            if before % 2 == 1 || subject.hangs.load(Ordering::SeqCst) != before {
                continue;
            }
            let mut waits = self.waits.lock().expect("no panic");
            let waits = &mut *waits;
            let kind = if failed {
                &mut waits.failing
            } else {
                &mut waits.healthy
            };
            kind.push(Wait(waited, number, begun - self.begun));
        }
    }

    /// Read what a monitor reads.
    fn read_on(&self) {
        while !self.is_over() {
            let begun = Instant::now();
            for file in ["health", "metrics", "mirrors.json", "status", "events"] {
                let _ = fs::read(self.mount.path(file));
            }
            sleep((begun.elapsed() * MONITOR_RESTS).max(Duration::from_millis(500)));
        }
    }

    fn disturb<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let number = self.dice.below(self.subjects.len() as u64) as usize;
        let act = self.dice.below(ACTS.len() as u64);
        if self.subjects[number].taken.swap(true, Ordering::SeqCst) {
            return;
        }
        scope.spawn(move || {
            let (from, what) = (self.begun.elapsed(), ACTS[act as usize]);
            match what {
                "fail" => self.fail(number),
                "freeze" => self.freeze(),
                _ => self.hang(number, what == "hang a verb"),
            }
            let deed = Deed(what, number, from, self.begun.elapsed());
            self.deeds.lock().expect("no panic").push(deed);
            self.subjects[number].taken.store(false, Ordering::SeqCst);
        });
    }

    /// Let a leg fail; once it is out, it is repaired and comes back.
    fn fail(&self, number: usize) {
        let (subject, weak) = (&self.subjects[number], format!("weak{number}"));
        let whole = run("dmsetup", &["table", &weak]);
        subject.failures.fetch_add(1, Ordering::SeqCst);
        switch(&weak, &format!("0 {PART} error"));
        let table = format!("m{number}/table");
        while self.mount.read(&table).contains("mirror") && !self.is_over() {
            sleep(Duration::from_millis(100));
        }
        sleep(Duration::from_millis(200));
        switch(&weak, whole.trim());
        subject.failures.fetch_add(1, Ordering::SeqCst);
        if self.is_over() {
            return;
        }
        let added = self.mount.try_write(
            &format!("m{number}/ctl"),
            &format!("add /dev/mapper/{weak}"),
        );
        if let Err((errno, why)) = added {
            println!("m{number}: add: {errno}: {why}");
        }
        // A leg that fails before all is copied is let off for 10 s where the log is in
        // memory: that is another matter, and `failover` has it.
        let state = format!("m{number}/sync/state");
        while self.mount.read(&state) != "in_sync\n" && !self.is_over() {
            sleep(Duration::from_millis(200));
        }
    }

    /// Let a leg hang for a while, and where `verb` says so a verb with it.
    fn hang(&self, number: usize, verb: bool) {
        let (subject, weak) = (&self.subjects[number], format!("weak{number}"));
        subject.hangs.fetch_add(1, Ordering::SeqCst);
        run("dmsetup", &["suspend", "--noflush", "--nolockfs", &weak]);
        let ctl = self.mount.path(&format!("m{number}/ctl"));
        thread::scope(|scope| {
            if verb {
                sleep(Duration::from_millis(300));
                scope.spawn(|| drop(fs::write(&ctl, "suspend\n")));
            }
            sleep(self.dice.millis(200, 4000));
            run("dmsetup", &["resume", "--noudevsync", &weak]);
        });
        if verb {
            while fs::write(&ctl, "resume\n").is_err() {
                sleep(Duration::from_millis(50));
            }
        }
        sleep(Duration::from_millis(200));
        subject.hangs.fetch_add(1, Ordering::SeqCst);
    }

    /// Let the file system of the records answer nothing for a while, once at a time.
    fn freeze(&self) {
        let Ok(_alone) = self.frozen.try_lock() else {
            return;
        };
        let state = &self.state;
        if attempt(&format!("fsfreeze -f {state}")).0 == 0 {
            sleep(self.dice.millis(500, 5000));
            attempt(&format!("fsfreeze -u {state}"));
        }
    }
}

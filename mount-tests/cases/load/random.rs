//! Verbs in random order.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::loaded::LoadedMirror;
use crate::cases::differential::Random;
use crate::lab::disks::MIB;

/// The disks that legs are taken from; the mirror grows no further than to this.
const DISKS: usize = 6;
const MOST: u64 = 96 * MIB;

/// Do so many verbs, those that `MIRRORFS_SEED` decides where it is set, beside those
/// that are refused; what was done.
pub fn verbs(loaded: &mut LoadedMirror<'_>, count: usize) -> String {
    let seed = asked().unwrap_or_else(now);
    println!("MIRRORFS_SEED={seed}");
    let mut script = Script {
        random: Random::new(seed),
        told: Vec::new(),
        tried: 0,
        refused: 0,
        logs: 0,
    };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        while script.tried - script.refused < count {
            script.step(loaded);
            let (tried, refused) = (script.tried, script.refused);
            assert!(tried < 10 * count, "{refused} of {tried} were refused");
        }
    }));
    if let Err(panic) = ran {
        println!("MIRRORFS_SEED={seed}:\n{}", script.told.join("\n"));
        resume_unwind(panic);
    }
    // Whatever it is by now: what is compared at the end are legs.
    if !loaded.is_mirror() {
        script.add(loaded);
    }
    let (tried, refused) = (script.tried, script.refused);
    format!("each verb and {tried} in random order, {refused} of them refused")
}

fn asked() -> Option<u64> {
    std::env::var("MIRRORFS_SEED").ok()?.parse().ok()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::from(since.expect("after 1970").subsec_nanos())
}

/// What is done, and what was.
struct Script {
    random: Random,
    told: Vec<String>,
    tried: usize,
    refused: usize,
    logs: usize,
}

impl Script {
    fn step(&mut self, loaded: &mut LoadedMirror<'_>) {
        if !loaded.is_mirror() && self.random.one_in(2) {
            return self.add(loaded);
        }
        // Many verbs want it, and some come in the middle of a copy.
        if self.random.one_in(2) && loaded.is_mirror() {
            loaded.in_sync();
        } else {
            loaded.mount.write("throttle", "3");
        }
        match self.random.below(11) {
            0 => self.suspend(loaded, "suspend"),
            1 => self.suspend(loaded, "suspend noflush"),
            2 => self.ctl(loaded, "retry"),
            3 => self.ctl(loaded, "resync"),
            4 => self.add(loaded),
            5 => self.on_leg(loaded, "drop"),
            6 => self.replace(loaded),
            7 => self.on_leg(loaded, "finish"),
            8 => self.ctl(loaded, "abort"),
            9 => self.rename(loaded),
            _ if self.random.one_in(2) => self.grow(loaded),
            _ => self.table(loaded),
        }
    }

    fn note(&mut self, verb: String) {
        self.told.push(verb);
        self.tried += 1;
    }

    /// A line that may be refused as the mirror is now, and then changes nothing.
    fn tell(&mut self, loaded: &mut LoadedMirror<'_>, file: &str, line: &str) {
        self.note(format!("{line} > {file}"));
        let before = loaded.read("table");
        match loaded.try_write(file, line) {
            Ok(()) => {}
            Err((errno @ (Errno::EBUSY | Errno::EINVAL), why)) => {
                self.refused += 1;
                self.told.push(format!("  {errno}: {why}"));
                assert_eq!(loaded.read("table"), before, "{line}: {why}");
            }
            Err((errno, why)) => panic!("{line}: {errno}: {why}"),
        }
        loaded.goes_on(line);
    }

    fn ctl(&mut self, loaded: &mut LoadedMirror<'_>, line: &str) {
        self.tell(loaded, "ctl", line);
    }

    fn suspend(&mut self, loaded: &mut LoadedMirror<'_>, verb: &str) {
        self.note(verb.into());
        loaded.suspend(verb, Duration::from_millis(self.random.below(300)));
    }

    /// A leg of those that there are, or one too many.
    fn leg(&mut self, loaded: &LoadedMirror<'_>) -> u64 {
        self.random.below(loaded.legs().len() as u64 + 1)
    }

    fn on_leg(&mut self, loaded: &mut LoadedMirror<'_>, verb: &str) {
        let line = format!("{verb} {}", self.leg(loaded));
        self.ctl(loaded, &line);
    }

    /// A disk that is no leg. What was one has what it should not keep.
    fn free(&mut self, loaded: &LoadedMirror<'_>) -> String {
        let table = loaded.read("table");
        let disks = (0..DISKS).map(|number| loaded.lab.disk(number));
        let used = |path: &String| table.contains(&format!(" {} ", loaded.lab.number(path)));
        let free: Vec<String> = disks.filter(|path| !used(path)).collect();
        free[self.random.below(free.len() as u64) as usize].clone()
    }

    fn add(&mut self, loaded: &mut LoadedMirror<'_>) {
        // More of them only take longer.
        if loaded.legs().len() < 4 {
            let line = format!("add {} force=yes", self.free(loaded));
            self.ctl(loaded, &line);
        }
    }

    fn replace(&mut self, loaded: &mut LoadedMirror<'_>) {
        let line = format!(
            "replace {} {} force=yes",
            self.leg(loaded),
            self.free(loaded)
        );
        self.ctl(loaded, &line);
    }

    fn rename(&mut self, loaded: &mut LoadedMirror<'_>) {
        let to = if loaded.name == "m" { "other" } else { "m" };
        self.note(format!("mv {} {to}", loaded.name));
        loaded.rename(to);
    }

    fn grow(&mut self, loaded: &mut LoadedMirror<'_>) {
        let size: u64 = loaded.read("size").parse().expect("a number");
        let wanted = size + (1 + self.random.below(4)) * MIB;
        if wanted <= MOST {
            self.ctl(loaded, &format!("grow {wanted} force=yes"));
        }
    }

    /// The same legs with another region size, and a log in memory or a new one in a
    /// file.
    fn table(&mut self, loaded: &mut LoadedMirror<'_>) {
        let legs = loaded.legs();
        if legs.is_empty() {
            return;
        }
        let size: u64 = loaded.read("size").parse().expect("a number");
        let region = 128 << self.random.below(5);
        let log = if self.random.one_in(2) {
            format!("core 1 {region}")
        } else {
            self.logs += 1;
            let log = loaded.mount.scratch(&format!("log{}", self.logs));
            format!("disk 2 {log} {region}")
        };
        let places: String = legs.iter().map(|leg| format!("{leg} 0 ")).collect();
        let (sectors, count) = (size / 512, legs.len());
        let line = format!("0 {sectors} mirror {log} {count} {places}1 handle_errors");
        self.tell(loaded, "table", &line);
    }
}

//! Verbs in random order.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::bed::Bed;
use crate::cases::differential::Random;
use crate::lab::disks::MIB;

/// The disks that legs are taken from; the mirror grows no further than to this.
const DISKS: usize = 6;
const MOST: u64 = 96 * MIB;

/// Do so many verbs, those that `MIRRORFS_SEED` decides where it is set; what was
/// done.
pub fn verbs(bed: &mut Bed<'_>, count: usize) -> String {
    let seed = asked().unwrap_or_else(now);
    println!("MIRRORFS_SEED={seed}");
    let mut script = Script {
        random: Random::new(seed),
        told: Vec::new(),
        done: 0,
        refused: 0,
        logs: 0,
    };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        while script.done < count {
            script.step(bed);
        }
    }));
    if let Err(panic) = ran {
        println!("MIRRORFS_SEED={seed}:\n{}", script.told.join("\n"));
        resume_unwind(panic);
    }
    let refused = script.refused;
    assert!(refused * 2 < count, "{refused} of {count} were refused");
    // Whatever it is by now: what is compared at the end are legs.
    if !bed.is_mirror() {
        script.add(bed);
    }
    format!("each verb and {count} in random order, {refused} of them refused")
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
    done: usize,
    refused: usize,
    logs: usize,
}

impl Script {
    fn step(&mut self, bed: &mut Bed<'_>) {
        if !bed.is_mirror() && self.random.one_in(2) {
            return self.add(bed);
        }
        // Many verbs want it, and some come in the middle of a copy.
        match self.random.one_in(2) {
            true if bed.is_mirror() => bed.in_sync(),
            _ => bed.mount.write("throttle", "3"),
        }
        match self.random.below(11) {
            0 => self.suspend(bed, "suspend"),
            1 => self.suspend(bed, "suspend noflush"),
            2 => self.ctl(bed, "retry"),
            3 => self.ctl(bed, "resync"),
            4 => self.add(bed),
            5 => self.on_leg(bed, "drop"),
            6 => self.replace(bed),
            7 => self.on_leg(bed, "finish"),
            8 => self.ctl(bed, "abort"),
            9 => self.rename(bed),
            _ if self.random.one_in(2) => self.grow(bed),
            _ => self.table(bed),
        }
    }

    fn note(&mut self, verb: String) {
        self.told.push(verb);
        self.done += 1;
    }

    /// A line that may be refused as the mirror is now, and then changes nothing.
    fn tell(&mut self, bed: &mut Bed<'_>, file: &str, line: &str) {
        self.note(format!("{line} > {file}"));
        let before = bed.read("table");
        match bed.try_write(file, line) {
            Ok(()) => {}
            Err((errno @ (Errno::EBUSY | Errno::EINVAL), why)) => {
                self.refused += 1;
                self.told.push(format!("  {errno}: {why}"));
                assert_eq!(bed.read("table"), before, "{line}: {why}");
            }
            Err((errno, why)) => panic!("{line}: {errno}: {why}"),
        }
        bed.goes_on(line);
    }

    fn ctl(&mut self, bed: &mut Bed<'_>, line: &str) {
        self.tell(bed, "ctl", line);
    }

    fn suspend(&mut self, bed: &mut Bed<'_>, verb: &str) {
        self.note(verb.into());
        bed.suspend(verb, Duration::from_millis(self.random.below(300)));
    }

    /// A leg of those that there are, or one too many.
    fn leg(&mut self, bed: &Bed<'_>) -> u64 {
        self.random.below(bed.legs().len() as u64 + 1)
    }

    fn on_leg(&mut self, bed: &mut Bed<'_>, verb: &str) {
        let line = format!("{verb} {}", self.leg(bed));
        self.ctl(bed, &line);
    }

    /// A disk that is no leg. What was one has what it should not keep.
    fn free(&mut self, bed: &Bed<'_>) -> String {
        let table = bed.read("table");
        let disks = (0..DISKS).map(|number| bed.lab.disk(number));
        let used = |path: &String| table.contains(&format!(" {} ", bed.lab.number(path)));
        let free: Vec<String> = disks.filter(|path| !used(path)).collect();
        free[self.random.below(free.len() as u64) as usize].clone()
    }

    fn add(&mut self, bed: &mut Bed<'_>) {
        // More of them only take longer.
        if bed.legs().len() < 4 {
            let line = format!("add {} force=yes", self.free(bed));
            self.ctl(bed, &line);
        }
    }

    fn replace(&mut self, bed: &mut Bed<'_>) {
        let line = format!("replace {} {} force=yes", self.leg(bed), self.free(bed));
        self.ctl(bed, &line);
    }

    fn rename(&mut self, bed: &mut Bed<'_>) {
        let to = if bed.name == "m" { "other" } else { "m" };
        self.note(format!("mv {} {to}", bed.name));
        bed.rename(to);
    }

    fn grow(&mut self, bed: &mut Bed<'_>) {
        let size: u64 = bed.read("size").parse().expect("a number");
        let wanted = size + (1 + self.random.below(4)) * MIB;
        if wanted <= MOST {
            self.ctl(bed, &format!("grow {wanted} force=yes"));
        }
    }

    /// The same legs with another region size, and a log in memory or a new one in a
    /// file.
    fn table(&mut self, bed: &mut Bed<'_>) {
        let legs = bed.legs();
        if legs.is_empty() {
            return;
        }
        let size: u64 = bed.read("size").parse().expect("a number");
        let region = 128 << self.random.below(5);
        let log = match self.random.one_in(2) {
            true => format!("core 1 {region}"),
            false => {
                self.logs += 1;
                let log = bed.mount.scratch(&format!("log{}", self.logs));
                format!("disk 2 {log} {region}")
            }
        };
        let places: String = legs.iter().map(|leg| format!("{leg} 0 ")).collect();
        let (sectors, count) = (size / 512, legs.len());
        let line = format!("0 {sectors} mirror {log} {count} {places}1 handle_errors");
        self.tell(bed, "table", &line);
    }
}

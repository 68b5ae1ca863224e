//! A random script: a mirror of random shape is made, suspended, resumed,
//! reloaded, removed, and its legs and log break and are repaired.

use std::collections::BTreeMap;

use super::random::Random;
use super::twins::{DISKS, SECTORS, Twins};

/// A table that was drawn.
#[derive(Debug, Clone)]
struct Drawn {
    line: String,
    /// Disk and offset of each leg.
    legs: Vec<(usize, u64)>,
    length: u64,
    region: u64,
}

/// What the script knows of its mirror.
struct State<'a> {
    twins: &'a Twins,
    random: Random,
    told: &'a mut Vec<String>,
    table: Option<Drawn>,
    suspended: bool,
    /// How often legs were declared equal, for the mirror that is there.
    declared: u32,
    /// What is broken now.
    holes: BTreeMap<usize, (u64, u64)>,
    /// Regions whose bytes the engines need not agree about, as sectors of disks:
    /// what met an error, and what the script cannot know of after it.
    unsure: Vec<(usize, u64, u64)>,
}

/// Run the script of this seed; what was told to both is entered into `told`.
pub fn run(twins: &Twins, seed: u64, told: &mut Vec<String>) {
    twins.fill(seed);
    let mut state = State {
        twins,
        random: Random::new(seed),
        told,
        table: None,
        suspended: false,
        declared: 0,
        holes: BTreeMap::new(),
        unsure: Vec::new(),
    };
    for _ in 0..3 + state.random.below(7) {
        state.step();
    }
    state.end();
}

impl State<'_> {
    fn step(&mut self) {
        match (self.table.is_some(), self.random.below(10)) {
            (false, 0..2) | (true, 0..3) => self.hurt(),
            (false, _) => self.create(),
            (true, 3) => self.remove(),
            (true, 4..6) => self.reload(),
            (true, _) if self.suspended => self.resume(),
            (true, _) => self.suspend(),
        }
    }

    fn tell(&mut self, file: &str, line: &str) -> bool {
        self.told.push(format!("{line} > {file}"));
        self.twins.tell(file, line)
    }

    /// Wait until nothing moves, and compare all that there is.
    fn compare(&mut self) {
        let seen = self.twins.settle(self.declared);
        self.told.push(format!("  {seen:?}"));
        self.note_unsure();
        let unsure = |disk, sector| {
            let mut spans = self.unsure.iter();
            spans.any(|(other, start, end)| disk == *other && (*start..*end).contains(&sector))
        };
        let differing = self.twins.differing(unsure);
        let first: Vec<_> = differing.iter().take(9).collect();
        let bytes = first
            .first()
            .map(|(disk, sector)| self.twins.sectors(*disk, *sector));
        assert!(
            differing.is_empty(),
            "{} sectors differ: {first:?} {bytes:x?}",
            differing.len()
        );
    }

    /// Regions that meet a hole on any leg: their bytes are nobody's promise.
    fn note_unsure(&mut self) {
        let Some(table) = &self.table else { return };
        for (leg, offset) in &table.legs {
            let Some((start, length)) = self.holes.get(leg) else {
                continue;
            };
            let first = start.saturating_sub(*offset).min(table.length) / table.region;
            let end = (start + length).saturating_sub(*offset).min(table.length);
            let last = end.div_ceil(table.region);
            let (from, to) = (
                first * table.region,
                (last * table.region).min(table.length),
            );
            let spans = table
                .legs
                .iter()
                .map(|(disk, at)| (*disk, at + from, at + to));
            self.unsure.extend(spans);
        }
    }

    fn create(&mut self) {
        let table = self.draw();
        self.declared = u32::from(table.line.contains("nosync"));
        if self.tell("new", &table.line) {
            self.table = Some(table);
            self.suspended = false;
            self.compare();
        }
    }

    fn reload(&mut self) {
        let table = self.draw();
        if self.tell("table", &table.line) {
            self.declared += u32::from(table.line.contains("nosync"));
            self.table = Some(table);
            self.suspended = false;
            self.compare();
        }
    }

    fn remove(&mut self) {
        assert!(self.tell("ctl", "remove"));
        self.table = None;
    }

    fn suspend(&mut self) {
        let how = ["suspend", "suspend noflush"][self.random.below(2) as usize];
        assert!(self.tell("ctl", how));
        self.suspended = true;
        self.compare();
    }

    fn resume(&mut self) {
        assert!(self.tell("ctl", "resume"));
        self.suspended = false;
        self.compare();
    }

    /// Break a disk, or repair it. A copy may be under way then on no side.
    fn hurt(&mut self) {
        let disk = self.random.below(DISKS as u64) as usize;
        let hole = if self.random.one_in(3) {
            None
        } else {
            let start = self.random.below(SECTORS / 8) * 8;
            Some((start, (1 + self.random.below(64)) * 8))
                .map(|(start, length)| (start, length.min(SECTORS - start)))
        };
        self.told.push(format!("disk {disk}: hole {hole:?}"));
        self.twins.hurt(disk, hole);
        match hole {
            Some(hole) => self.holes.insert(disk, hole),
            None => self.holes.remove(&disk),
        };
    }

    fn draw(&mut self) -> Drawn {
        let random = &mut self.random;
        let count = 2 + random.below(3) as usize;
        let first = random.below(DISKS as u64) as usize;
        let region = 8 << random.below(7);
        let length = (region + random.below(1024)).min(1536);
        let legs: Vec<(usize, u64)> = (0..count)
            .map(|leg| ((first + leg) % DISKS, random.below(256)))
            .collect();
        let sync = ["", "", "sync", "nosync"][random.below(4) as usize];
        let words = if sync.is_empty() { 0 } else { 1 };
        let disk_log = random.one_in(2);
        // A disk that is no leg; its log may be there from before.
        let log_disk = (first + count) % DISKS;
        let log = if disk_log {
            format!("disk {} {{{log_disk}}} {region} {sync}", 2 + words)
        } else {
            format!("core {} {region} {sync}", 1 + words)
        };
        let tracked = !random.one_in(3);
        let features = if tracked { "1 handle_errors" } else { "" };
        let places = legs
            .iter()
            .map(|(disk, offset)| format!("{{{disk}}} {offset} "));
        Drawn {
            line: format!(
                "0 {length} mirror {log} {count} {}{features}",
                places.collect::<String>()
            ),
            legs,
            length,
            region,
        }
    }

    fn end(&mut self) {
        if self.table.is_some() {
            if self.suspended {
                self.resume();
            }
            self.remove();
        }
        for disk in std::mem::take(&mut self.holes).into_keys() {
            self.twins.hurt(disk, None);
        }
    }
}

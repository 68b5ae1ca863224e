//! The writer: it remembers for each block what was acknowledged, and judges what a
//! device would answer.

use super::device::{Device, Loaded, Target};
use super::disks::Version;
use super::mirror::{Bio, Ground, Leg, Why};

/// What the writer knows of a block.
#[derive(Debug, Clone, Default)]
struct Cell {
    acknowledged: Version,
    /// Writes that failed since, or are under way: they are there or not.
    maybe: Vec<Version>,
    /// A write that has not been answered yet; one at a time.
    under_way: Option<Version>,
    /// The kernel has acknowledged it without `handle_errors` though a leg lacks it.
    unsure: bool,
}

impl Cell {
    fn allows(&self, version: Version) -> bool {
        self.unsure || version == self.acknowledged || self.maybe.contains(&version)
    }
}

/// What was written, and what came of it.
#[derive(Debug, Default)]
pub struct Writer {
    cells: Vec<Cell>,
    last: Version,
    pub acknowledged: u64,
    pub failed: u64,
    /// A suspend that fails what is held was somebody else's, or nothing had failed
    /// before it.
    pub others_flush: bool,
}

impl Writer {
    /// One that takes what the source holds for its own; its writes have numbers
    /// above `last`.
    pub fn new(last: Version) -> Writer {
        Writer {
            last,
            ..Writer::default()
        }
    }

    /// One of a device whose blocks hold these now.
    pub fn of(blocks: &[Version], last: Version) -> Writer {
        let cells = blocks.iter().map(|version| Cell {
            acknowledged: *version,
            ..Cell::default()
        });
        Writer {
            cells: cells.collect(),
            ..Writer::new(last)
        }
    }

    /// Know the blocks that a device has now, as it would answer them.
    pub fn grow(&mut self, device: &mut Device, ground: &Ground) {
        for block in self.cells.len()..device.length() {
            let there = device.read(block, &ground.disks, false);
            self.cells.push(Cell {
                acknowledged: there.unwrap_or_default(),
                unsure: there.is_err(),
                ..Cell::default()
            });
        }
    }

    /// The next write to a block; none while one is under way there.
    pub fn write(&mut self, block: usize) -> Option<Bio> {
        let cell = self.cells.get_mut(block)?;
        if cell.under_way.is_some() {
            return None;
        }
        self.last += 1;
        cell.under_way = Some(self.last);
        cell.maybe.push(self.last);
        Some(Bio {
            block,
            version: self.last,
        })
    }

    /// How many writes wait for their end.
    pub fn under_way(&self) -> usize {
        let waiting = self.cells.iter().filter(|cell| cell.under_way.is_some());
        waiting.count()
    }

    /// Hear of the end of a write; what is wrong with it.
    pub fn hear(&mut self, bio: Bio, result: Result<(), Why>) -> Option<String> {
        let cell = &mut self.cells[bio.block];
        assert_eq!(cell.under_way.take(), Some(bio.version), "{bio:?}");
        match result {
            Ok(()) => {
                cell.acknowledged = bio.version;
                cell.maybe.clear();
                cell.unsure = false;
                self.acknowledged += 1;
                None
            }
            Err(why) => {
                self.failed += 1;
                let own = why == Why::Flushed && !self.others_flush;
                own.then(|| format!("{bio:?}: the daemon's own suspend failed a held write"))
            }
        }
    }

    /// Of these blocks the kernel itself lets the legs differ.
    pub fn doubt(&mut self, blocks: &[usize]) {
        for block in blocks {
            if let Some(cell) = self.cells.get_mut(*block) {
                cell.unsure = true;
            }
        }
    }

    /// What is wrong with an answer to a read.
    pub fn assess(&self, block: usize, answer: Result<Version, ()>, told: bool) -> Option<String> {
        let cell = self.cells.get(block)?;
        match answer {
            Ok(version) if cell.allows(version) => None,
            Ok(version) => Some(format!("block {block} reads as {version}: {cell:?}")),
            Err(()) if told => None,
            Err(()) => Some(format!(
                "block {block} cannot be read, and no disk has failed"
            )),
        }
    }

    /// What is wrong with all that the device would answer, and with the legs that it
    /// stands on.
    pub fn judge_all(&self, device: &mut Device, ground: &Ground) -> Option<String> {
        device.live.as_ref()?;
        let told = is_told(device, ground);
        for block in 0..self.cells.len().min(device.length()) {
            let answer = device.read(block, &ground.disks, false);
            let stale = || self.stale(device, block, ground);
            if let Some(wrong) = self.assess(block, answer, told).or_else(stale) {
                return Some(wrong);
            }
        }
        None
    }

    /// Whether the leg that reads and copying come from lacks what was acknowledged,
    /// whether it answers or not.
    fn stale(&self, device: &Device, block: usize, ground: &Ground) -> Option<String> {
        let (disk, at) = match device.live.as_ref()?.at(block) {
            Target::Mirror(mirror) => {
                let (disk, offset) = mirror.legs[mirror.faults.default];
                (disk, block - mirror.start + offset)
            }
            Target::Linear { start, leg, .. } => (leg.0, block - start + leg.1),
        };
        let (there, cell) = (ground.disks[disk].blocks[at], &self.cells[block]);
        let lost = !cell.allows(there);
        lost.then(|| {
            format!(
                "the device stands on disk {disk}, of which block {block} holds {there}: {cell:?}"
            )
        })
    }

    /// Whether a leg holds all that was acknowledged, from the device's beginning on.
    pub fn is_good(&self, leg: Leg, ground: &Ground) -> bool {
        let mut cells = self.cells.iter().enumerate();
        cells.all(|(block, cell)| {
            let there = ground.disks[leg.0].blocks.get(block + leg.1);
            there.is_some_and(|there| cell.allows(*there))
        })
    }

    /// A block of which the legs of a mirror differ; what is under way does not count.
    pub fn differing(&self, live: &Loaded, ground: &Ground) -> Option<usize> {
        live.mirrors().find_map(|mirror| {
            let here = mirror.start..mirror.start + mirror.length;
            here.into_iter().find(|block| {
                let cell = &self.cells[*block];
                let counts = cell.under_way.is_none() && !cell.unsure;
                let mut there = mirror.legs.iter().map(|(disk, offset)| {
                    ground.disks[*disk].blocks[block - mirror.start + offset]
                });
                let first = there.next();
                counts && there.any(|other| Some(other) != first)
            })
        })
    }
}

/// Whether something says that a read may fail: a letter, or a disk itself.
pub fn is_told(device: &Device, ground: &Ground) -> bool {
    let live = device.live.iter().flat_map(|live| &live.targets);
    let mut told = live.map(|target| match target {
        Target::Mirror(mirror) => {
            let mut legs = mirror.legs.iter();
            mirror.faults.any || legs.any(|(disk, _)| !ground.disks[*disk].works())
        }
        Target::Linear { leg, .. } => !ground.disks[leg.0].works(),
    });
    told.any(|told| told)
}

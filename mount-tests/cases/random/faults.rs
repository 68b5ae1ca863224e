//! The errors of a mirror target's legs, and which leg is read from
//! (drivers/md/dm-raid1.c: `fail_mirror`, `choose_mirror`).

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Flush,
    Write,
    Sync,
    Read,
}

/// The letters of the kinds, the gravest first.
const LETTERS: [(Kind, char); 4] = [
    (Kind::Flush, 'F'),
    (Kind::Write, 'D'),
    (Kind::Sync, 'S'),
    (Kind::Read, 'R'),
];

/// The errors of all legs.
#[derive(Debug, Clone)]
pub struct Faults {
    legs: Vec<[bool; 4]>,
    /// The leg that reads and copying come from.
    pub default: usize,
    /// The target's own word for it: no bit of the log takes it back.
    pub in_sync: bool,
    /// Whether any leg had any error since all was in sync.
    pub any: bool,
    handled: bool,
    /// Events that were raised.
    pub events: u32,
    /// A read has moved the default while regions were not in sync: hazard 15.
    pub strayed: bool,
}

impl Faults {
    pub fn new(legs: usize, handled: bool) -> Faults {
        Faults {
            legs: vec![[false; 4]; legs],
            default: 0,
            in_sync: false,
            any: false,
            handled,
            events: 0,
            strayed: false,
        }
    }

    /// Note an error.
    pub fn fail(&mut self, leg: usize, kind: Kind) {
        self.any = true;
        if std::mem::replace(&mut self.legs[leg][kind as usize], true) || !self.handled {
            return;
        }
        if leg == self.default && self.in_sync {
            self.default = self.valid().unwrap_or(leg);
        }
        self.events += 1;
    }

    /// Nothing has an error any more (`reset_ms_flags`).
    pub fn reset(&mut self) {
        self.legs.fill([false; 4]);
        self.any = false;
    }

    pub fn has(&self, leg: usize) -> bool {
        self.legs[leg].contains(&true)
    }

    /// The lowest leg without an error.
    pub fn valid(&self) -> Option<usize> {
        (0..self.legs.len()).find(|leg| !self.has(*leg))
    }

    /// The leg to read from where all have the same.
    pub fn choose(&self) -> Option<usize> {
        let count = self.legs.len();
        let downwards = (0..count).map(|step| (self.default + count - step) % count);
        downwards.into_iter().find(|leg| !self.has(*leg))
    }

    pub fn letters(&self) -> String {
        let letter = |leg: &[bool; 4]| {
            let mut found = LETTERS.iter().filter(|(kind, _)| leg[*kind as usize]);
            found.next().map_or('A', |(_, letter)| *letter)
        };
        self.legs.iter().map(letter).collect()
    }
}

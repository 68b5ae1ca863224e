//! What the bytes of a file lie on, and whether that is a device that is about to be
//! held: who writes a file that lies on what he holds waits for himself.

use crate::text::device::DevNo;

/// What the bytes of a file, or of a device, lie on. Without a part they are in
/// memory only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// All that they may lie on.
    pub parts: Vec<Part>,
}

/// One of the things that bytes lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A block device.
    Device(DevNo),
    /// All devices of the mounted btrfs with this UUID. Which they are is asked each
    /// time: some may have come or gone.
    Btrfs(String),
    /// Something that does not say on which devices it lies; a clause that says what.
    Unknown(String),
}

/// Whether something lies on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lying {
    /// Some of it does.
    OnIt,
    /// None of it does.
    Elsewhere,
    /// It may; a clause that says why that is not known.
    Unknown(String),
}

impl Home {
    /// Enter a part, once.
    pub fn add(&mut self, part: Part) {
        if !self.parts.contains(&part) {
            self.parts.push(part);
        }
    }
}

impl Lying {
    /// Of several things at once: one that lies there decides, then one that may.
    pub fn of_all(all: impl IntoIterator<Item = Lying>) -> Lying {
        let mut known = Lying::Elsewhere;
        for lying in all {
            match (&known, lying) {
                (_, Lying::OnIt) => return Lying::OnIt,
                (Lying::Elsewhere, Lying::Unknown(why)) => known = Lying::Unknown(why),
                _ => {}
            }
        }
        known
    }
}

//! The regions that an order has to do with.

/// Some regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// All of them.
    All,
    /// These.
    Some(Vec<u64>),
}

impl Default for Touched {
    fn default() -> Self {
        Touched::Some(Vec::new())
    }
}

impl Touched {
    /// These and those.
    pub fn join(&mut self, other: Touched) {
        match (&mut *self, other) {
            (Touched::Some(own), Touched::Some(others)) => own.extend(others),
            (own, Touched::All) => *own = Touched::All,
            (Touched::All, _) => {}
        }
    }

    pub(super) fn add(&mut self, region: u64) {
        if let Touched::Some(regions) = self {
            regions.push(region);
        }
    }
}

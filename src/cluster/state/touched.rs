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
    pub(super) fn add(&mut self, region: u64) {
        if let Touched::Some(regions) = self {
            regions.push(region);
        }
    }
}

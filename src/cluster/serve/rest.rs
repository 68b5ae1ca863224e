//! How long a device is left alone after it was cured: a cure holds its writers for a
//! moment, and may not help.

use crate::cluster::state::cure::Cure;

/// How many ticks pass before the next cure, at least and at most.
const SHORT: u32 = 2;
const LONG: u32 = 64;

/// Between two cures.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    under_way: bool,
    left: u32,
    last: u32,
}

impl Rest {
    /// A tick: the cure that is to be done now, if it is wanted. One that is wanted again
    /// and again has not helped, and is tried less often.
    pub fn due(&mut self, wanted: Option<Cure>) -> Option<Cure> {
        self.left = self.left.saturating_sub(1);
        if self.under_way || self.left > 0 {
            return None;
        }
        let Some(cure) = wanted else {
            self.last = 0;
            return None;
        };
        self.under_way = true;
        self.last = (self.last * 2).clamp(SHORT, LONG);
        Some(cure)
    }

    /// It is done, or could not be.
    pub fn over(&mut self) {
        self.under_way = false;
        self.left = self.last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_help_is_tried_less_and_less() {
        let mut rest = Rest::default();
        let mut at = Vec::new();
        for tick in 0..300_u32 {
            if rest.due(Some(Cure::Read)).is_some() {
                at.push(tick);
                rest.over();
            }
        }
        let between: Vec<u32> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(between, [2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(rest.due(None), None);
        for _ in 0..LONG {
            rest.due(None);
        }
        assert_eq!(rest.due(Some(Cure::Reload)), Some(Cure::Reload));
        assert_eq!(rest.due(Some(Cure::Reload)), None);
    }
}

//! What a target did not take: such a spot is set aside, tried once more by itself when all
//! else is copied, and set aside again it waits for somebody's word.

use crate::model::spots::{Spot, common, union};
use crate::text::device::DeviceRef;

/// What the target of these legs did not take, once and once more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused {
    legs: Vec<DeviceRef>,
    once: Vec<Spot>,
    twice: Vec<Spot>,
}

impl Refused {
    /// These spots are set aside since a target did not take them.
    pub(crate) fn note<'a>(
        &mut self,
        legs: impl Iterator<Item = &'a DeviceRef> + Clone,
        spots: &[Spot],
    ) {
        if !self.legs.iter().eq(legs.clone()) {
            *self = Refused {
                legs: legs.cloned().collect(),
                ..Refused::default()
            };
        }
        self.twice = union(&self.twice, &common(spots, &self.once));
        self.once = union(&self.once, spots);
    }

    /// What these legs are not to try again by themselves.
    pub(crate) fn twice<'a>(&self, legs: impl Iterator<Item = &'a DeviceRef>) -> &[Spot] {
        if self.legs.iter().eq(legs) {
            &self.twice
        } else {
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_twice_by_the_same_legs_is_not_tried_again() {
        let spots = |start| vec![Spot::between(start, start + 8).unwrap()];
        let legs = |names: [&str; 2]| names.map(|name| DeviceRef::Path(name.into()));
        let (old, new) = (legs(["/dev/a", "/dev/b"]), legs(["/dev/a", "/dev/c"]));
        let mut refused = Refused::default();
        refused.note(old.iter(), &spots(0));
        refused.note(old.iter(), &spots(64));
        assert!(refused.twice(old.iter()).is_empty());
        refused.note(old.iter(), &spots(64));
        assert_eq!(refused.twice(old.iter()), spots(64));
        assert!(refused.twice(new.iter()).is_empty());
        refused.note(new.iter(), &spots(64));
        assert!(refused.twice(new.iter()).is_empty() && refused.twice(old.iter()).is_empty());
    }
}

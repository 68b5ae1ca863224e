//! Whether the legs of one table are those of another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order::NodeId;

/// What begins the name of a leg that only its own machine calls so, until it is booted.
pub const HERE: &str = "here:";

/// The legs that the state is of, as each machine calls them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known(BTreeMap<NodeId, Vec<String>>);

/// What some legs are beside those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same in the same order.
    Same,
    /// Some of them: what is equal on all stays so.
    Fewer,
    /// At least one is another one.
    Other,
}

impl Known {
    /// From now on these legs alone.
    pub(super) fn become_of(&mut self, node: NodeId, legs: &[String]) {
        self.0.clear();
        self.add(node, legs);
    }

    /// These are what a machine calls them.
    pub(super) fn add(&mut self, node: NodeId, legs: &[String]) {
        self.0.insert(node, legs.to_vec());
    }

    /// What a machine has called them is not so any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        if self.0.len() > 1 {
            self.0.remove(&node);
        }
    }

    /// What these legs of a machine are beside them.
    pub(super) fn relation(&self, node: NodeId, legs: &[String]) -> Relation {
        let own = self.0.get(&node);
        let Some(known) = own.or_else(|| self.0.values().next()) else {
            return Relation::Other;
        };
        let same = |one: &String, other: &String| match own {
            Some(_) => one == other,
            None => one == other || one.starts_with(HERE) || other.starts_with(HERE),
        };
        let pairs = known.iter().zip(legs);
        if known.len() == legs.len() && pairs.fold(true, |all, (a, b)| all && same(a, b)) {
            return Relation::Same;
        }
        // A name that only another machine understands is not looked for among others.
        let among = |leg: &String| match own {
            None if leg.starts_with(HERE) => false,
            _ => known.contains(leg),
        };
        if !legs.is_empty() && legs.iter().all(among) {
            return Relation::Fewer;
        }
        Relation::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legs(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn legs_are_the_same_fewer_or_other_ones() {
        let mut known = Known::default();
        assert_eq!(known.relation(1, &legs("a b")), Relation::Other);
        known.become_of(1, &legs("a b here:8:16"));
        for (node, words, relation) in [
            (1, "a b here:8:16", Relation::Same),
            (1, "a b here:8:32", Relation::Other),
            (1, "a here:8:16", Relation::Fewer),
            (1, "b a here:8:16", Relation::Fewer),
            (1, "a c", Relation::Other),
            (2, "a b here:7:0", Relation::Same),
            (2, "a b c", Relation::Same),
            (2, "a c here:7:0", Relation::Other),
            (2, "b", Relation::Fewer),
            (2, "here:8:16", Relation::Other),
        ] {
            assert_eq!(
                known.relation(node, &legs(words)),
                relation,
                "{node} {words}"
            );
        }
        known.add(2, &legs("a b here:7:0"));
        assert_eq!(known.relation(2, &legs("a b here:8:16")), Relation::Other);
        known.forget(2);
        assert_eq!(known.relation(2, &legs("a b here:8:16")), Relation::Same);
    }
}

//! How many events of each kind there were, by mirror. It keeps no more names than
//! there are mirrors, however many come, go and are renamed.

use std::collections::BTreeMap;

use super::kind::Kind;

/// What events are told of that belong to no mirror.
pub const NONE: &str = "-";

/// How many events of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tally([u64; Kind::ALL.len()]);

impl Tally {
    /// How many of this kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(kind as usize) {
            *count += 1;
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Life {
    tally: Tally,
    /// How often the name was given: a new mirror may be told of before the end of
    /// the one that had its name.
    times: u32,
}

/// The counts of all mirrors, and of what belongs to none.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    mirrors: BTreeMap<String, Life>,
    others: Tally,
}

impl Counts {
    /// A mirror is there, or is recorded: its events count by its name.
    pub(super) fn enter(&mut self, name: &str) {
        if name != NONE {
            let life = self.mirrors.entry(name.into()).or_default();
            life.times = life.times.max(1);
        }
    }

    /// A mirror has another name, and takes its counts along.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let life = self.mirrors.remove(from).unwrap_or_default();
        self.enter(to);
        if let Some(entry) = self.mirrors.get_mut(to) {
            entry.tally = life.tally;
        }
    }

    /// Count an event. What happens to a name that no mirror has counts as
    /// nobody's: whoever writes nonsense could otherwise fill the memory.
    pub(super) fn count(&mut self, name: &str, kind: Kind) {
        match kind {
            Kind::Adopted | Kind::Restored => self.enter(name),
            Kind::Created => self.enter_once_more(name),
            Kind::Removed => return self.leave(name),
            _ => {}
        }
        match self.mirrors.get_mut(name) {
            Some(life) => life.tally.add(kind),
            None => self.others.add(kind),
        }
    }

    /// The counts of a mirror, by its name; of what belongs to none, by [`NONE`].
    pub fn of(&self, name: &str) -> Tally {
        match self.mirrors.get(name) {
            Some(life) => life.tally,
            None if name == NONE => self.others,
            None => Tally::default(),
        }
    }

    fn enter_once_more(&mut self, name: &str) {
        let before = self.mirrors.get(name).map_or(0, |life| life.times);
        self.enter(name);
        if let Some(life) = self.mirrors.get_mut(name) {
            life.times = before + 1;
        }
    }

    /// The removal itself counts as nobody's, or no one would ever see it.
    fn leave(&mut self, name: &str) {
        self.others.add(Kind::Removed);
        if let Some(life) = self.mirrors.get_mut(name) {
            life.times = life.times.saturating_sub(1);
        }
        self.mirrors.retain(|_, life| life.times > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_counts_of_its_own_until_it_is_removed() {
        let mut counts = Counts::default();
        for kind in [Kind::Created, Kind::Leg, Kind::Leg, Kind::Error] {
            counts.count("a", kind);
        }
        counts.count("b", Kind::Adopted);
        counts.count(NONE, Kind::Set);
        let figures = |name| [Kind::Created, Kind::Leg, Kind::Error].map(|k| counts.of(name).of(k));
        assert_eq!(figures("a"), [1, 2, 1]);
        assert_eq!(figures("b"), [0, 0, 0]);
        assert_eq!(counts.of("b").of(Kind::Adopted), 1);
        assert_eq!(counts.of(NONE).of(Kind::Set), 1);
        counts.count("a", Kind::Removed);
        assert_eq!(counts.of("a"), Tally::default());
        assert_eq!(counts.of(NONE).of(Kind::Removed), 1);
        assert_eq!(counts.of(NONE).of(Kind::Leg), 0);
    }

    #[test]
    fn counts_go_with_a_rename() {
        let mut counts = Counts::default();
        counts.count("a", Kind::Created);
        counts.rename("a", "b");
        counts.count("b", Kind::Renamed);
        assert_eq!(counts.of("b").of(Kind::Created), 1);
        assert_eq!(counts.of("b").of(Kind::Renamed), 1);
        assert_eq!(counts.of("a"), Tally::default());
    }

    #[test]
    fn what_was_recorded_and_comes_back_goes_at_one_removal() {
        let mut counts = Counts::default();
        counts.enter("a");
        counts.count("a", Kind::Error);
        counts.count("a", Kind::Restored);
        assert_eq!(counts.of("a").of(Kind::Error), 1);
        counts.count("a", Kind::Removed);
        assert!(counts.mirrors.is_empty());
    }

    #[test]
    fn a_late_removal_is_not_taken_for_the_next_one_of_that_name() {
        let mut counts = Counts::default();
        counts.count("a", Kind::Created);
        counts.count("a", Kind::Created);
        counts.count("a", Kind::Removed);
        counts.count("a", Kind::Synced);
        assert_eq!(counts.of("a").of(Kind::Synced), 1);
        counts.count("a", Kind::Removed);
        assert!(counts.mirrors.is_empty());
    }

    #[test]
    fn no_more_names_are_kept_than_there_are_mirrors() {
        let mut counts = Counts::default();
        for number in 0..10_000 {
            let [name, other] = ["m", "n"].map(|letter| format!("{letter}{number}"));
            counts.count(&name, Kind::Created);
            counts.count(&format!("nonsense{number}"), Kind::Error);
            counts.rename(&name, &other);
            counts.count(&other, Kind::Renamed);
            counts.count(&other, Kind::Removed);
            counts.count(&other, Kind::Leg);
        }
        assert!(counts.mirrors.is_empty(), "{}", counts.mirrors.len());
        assert_eq!(counts.of(NONE).of(Kind::Error), 10_000);
    }
}

//! Kinds of events: the word that each has in its line, and whether it alarms.

/// The third word of an event's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The mirror ran already when the daemon started.
    Adopted,
    /// A mirror was made.
    Created,
    /// A mirror was made again from its record.
    Restored,
    /// A log is not believed: everything is copied again.
    Distrusted,
    /// A mirror is gone.
    Removed,
    /// It has another name.
    Renamed,
    /// It has another table.
    Reloaded,
    /// Its I/O is held.
    Suspended,
    /// Its I/O goes on.
    Resumed,
    /// All regions are in sync.
    Synced,
    /// A leg's health letter changed.
    Leg,
    /// The log's health letter changed.
    Log,
    /// Its health became, or is no longer, degraded or failed.
    Health,
    /// A leg or the log was taken out because it had failed.
    Dropped,
    /// Writes wait for somebody to act.
    Held,
    /// It was cut over to a leg.
    Finished,
    /// It went back to its source.
    Aborted,
    /// A leg was brought in.
    Added,
    /// A range is left to the source alone, since something in it cannot be read.
    Aside,
    /// A range of the source cannot be read.
    Bad,
    /// Zeros are on the copy, where the source could not be read.
    Lossy,
    /// What failed is tried again.
    Retried,
    /// Its legs are compared, or no more.
    Check,
    /// They differ, or something of one cannot be read.
    Differs,
    /// What differed was copied.
    Repaired,
    /// A setting was changed.
    Set,
    /// A command was refused or failed.
    Error,
}

impl Kind {
    /// All of them, each at its own number.
    pub const ALL: [Kind; 27] = [
        Kind::Adopted,
        Kind::Created,
        Kind::Restored,
        Kind::Distrusted,
        Kind::Removed,
        Kind::Renamed,
        Kind::Reloaded,
        Kind::Suspended,
        Kind::Resumed,
        Kind::Synced,
        Kind::Leg,
        Kind::Log,
        Kind::Health,
        Kind::Dropped,
        Kind::Held,
        Kind::Finished,
        Kind::Aborted,
        Kind::Added,
        Kind::Aside,
        Kind::Bad,
        Kind::Lossy,
        Kind::Retried,
        Kind::Check,
        Kind::Differs,
        Kind::Repaired,
        Kind::Set,
        Kind::Error,
    ];

    /// The word of a line.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// Whether somebody has to look.
    pub fn is_alarming(self) -> bool {
        self.row().1
    }

    fn row(self) -> (&'static str, bool) {
        match self {
            Kind::Adopted => ("adopted", false),
            Kind::Created => ("created", false),
            Kind::Restored => ("restored", false),
            Kind::Distrusted => ("distrusted", true),
            Kind::Removed => ("removed", false),
            Kind::Renamed => ("renamed", false),
            Kind::Reloaded => ("reloaded", false),
            Kind::Suspended => ("suspended", false),
            Kind::Resumed => ("resumed", false),
            Kind::Synced => ("synced", false),
            Kind::Leg => ("leg", true),
            Kind::Log => ("log", true),
            Kind::Health => ("health", true),
            Kind::Dropped => ("dropped", true),
            Kind::Held => ("held", true),
            Kind::Finished => ("finished", false),
            Kind::Aborted => ("aborted", false),
            Kind::Added => ("added", false),
            Kind::Aside => ("aside", false),
            Kind::Bad => ("bad", true),
            Kind::Lossy => ("lossy", true),
            Kind::Retried => ("retried", false),
            Kind::Check => ("check", false),
            Kind::Differs => ("differs", true),
            Kind::Repaired => ("repaired", false),
            Kind::Set => ("set", false),
            Kind::Error => ("error", true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_number_and_a_word_of_its_own() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
        let words: BTreeSet<&str> = Kind::ALL.map(Kind::word).into();
        assert_eq!(words.len(), Kind::ALL.len());
        assert_eq!(Kind::Error as usize + 1, Kind::ALL.len());
    }
}

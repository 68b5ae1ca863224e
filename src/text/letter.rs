//! Health letters, by which the kernel says what has failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The health of a leg or a log in one letter (`device_status_char`, dm-raid1.c;
/// `disk_status`, dm-log.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "char", into = "char")]
pub enum Letter {
    /// `A`: no error is known.
    Alive,
    /// `F`: a flush failed.
    FlushFailed,
    /// `D`: a write failed; of a log also a read.
    WriteFailed,
    /// `S`: copying to it failed.
    SyncFailed,
    /// `R`: a read failed.
    ReadFailed,
    /// `U`: the kernel does not say what failed.
    Unknown,
    /// One that a later kernel may bring.
    Other(char),
}

/// Each with its letter, and what it means for a leg.
const ROWS: &[(Letter, char, &str)] = &[
    (Letter::Alive, 'A', "alive, no error"),
    (Letter::FlushFailed, 'F', "flush failed"),
    (Letter::WriteFailed, 'D', "write failed"),
    (Letter::SyncFailed, 'S', "sync failed"),
    (Letter::ReadFailed, 'R', "read failed"),
    (Letter::Unknown, 'U', "unknown error"),
];

impl Letter {
    /// What it means for a leg, in words.
    pub fn leg_words(self) -> &'static str {
        let row = ROWS.iter().find(|(letter, ..)| *letter == self);
        row.map_or("unknown health letter", |(_, _, words)| words)
    }

    /// What it means for a log, in words.
    pub fn log_words(self) -> &'static str {
        match self {
            Letter::WriteFailed => "read or write failed",
            Letter::Alive | Letter::FlushFailed => self.leg_words(),
            _ => "unknown health letter",
        }
    }
}

impl From<char> for Letter {
    fn from(c: char) -> Letter {
        let row = ROWS.iter().find(|(_, known, _)| *known == c);
        row.map_or(Letter::Other(c), |(letter, ..)| *letter)
    }
}

impl From<Letter> for char {
    fn from(letter: Letter) -> char {
        if let Letter::Other(c) = letter {
            return c;
        }
        let row = ROWS.iter().find(|(known, ..)| *known == letter);
        row.map_or('?', |(_, c, _)| *c)
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_is_printed_as_it_was_read() {
        for c in ['A', 'F', 'D', 'S', 'R', 'U', 'X', '\u{e9}'] {
            assert_eq!(char::from(Letter::from(c)), c);
        }
        assert_eq!(Letter::from('X'), Letter::Other('X'));
        assert_eq!(Letter::from('D').leg_words(), "write failed");
        assert_eq!(Letter::from('D').log_words(), "read or write failed");
        assert_eq!(Letter::from('S').log_words(), "unknown health letter");
        assert_eq!(Letter::from('X').leg_words(), "unknown health letter");
    }
}

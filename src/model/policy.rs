//! What is done when a leg or the log of a mirror fails.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::letter::Letter;
use crate::text::words::quote;

/// What `on_failure` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// What failed is taken out at once, and I/O goes on.
    #[default]
    Drop,
    /// Writes wait for the administrator.
    Hold,
}

/// The words of the interface.
const WORDS: &[(OnFailure, &str)] = &[(OnFailure::Drop, "drop"), (OnFailure::Hold, "hold")];

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = WORDS.iter().find(|(policy, _)| policy == self);
        row.map_or(Ok(()), |(_, word)| f.write_str(word))
    }
}

impl FromStr for OnFailure {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let row = WORDS.iter().find(|(_, known)| *known == word);
        row.map(|(policy, _)| *policy).ok_or_else(|| {
            let word = quote(word);
            Error::invalid(format!("on_failure is drop or hold, not {word}"))
        })
    }
}

/// A leg or a log that was taken out because it had failed: it is not used again
/// until somebody says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The leg's number in the table that it was taken out of; none of a log.
    pub leg: Option<usize>,
    /// How a person finds it: its node, or the file.
    pub node: String,
    /// The kernel's health letter.
    pub letter: Letter,
}

impl Dropped {
    /// What it is, how to find it, its letter, and what that means.
    pub fn line(&self) -> String {
        let (node, letter) = (&self.node, self.letter);
        match self.leg {
            Some(leg) => format!("leg {leg} {node} {letter} {}", letter.leg_words()),
            None => format!("log {node} {letter} {}", letter.log_words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_read_as_they_are_printed() {
        for (policy, _) in WORDS {
            assert_eq!(policy.to_string().parse(), Ok(*policy));
        }
        let error = "Drop".parse::<OnFailure>().expect_err("no word");
        assert!(error.sentence().contains("Drop"), "{error}");
    }
}

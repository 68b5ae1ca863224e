//! The one error of mirrorfs: an errno for the caller of `write(2)` and a
//! sentence for the person who reads it. Owns nothing else and imports nothing
//! of this crate.

use std::fmt;

pub use nix::errno::Errno;

/// What every fallible operation of mirrorfs returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An errno and one sentence that names the offending word, device or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    sentence: String,
}

impl Error {
    /// An error whose `write(2)` answers `errno`. The sentence is one line, whatever
    /// names it repeats: it is printed among lines of others.
    pub fn new(errno: Errno, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        let sentence = if sentence.contains(breaks_a_line) {
            one_line(&sentence)
        } else {
            sentence
        };
        Error { errno, sentence }
    }

    /// The line does not parse, or asks for what cannot be (`EINVAL`).
    pub fn invalid(sentence: impl Into<String>) -> Self {
        Error::new(Errno::EINVAL, sentence)
    }

    /// Somebody else uses it (`EBUSY`).
    pub fn busy(sentence: impl Into<String>) -> Self {
        Error::new(Errno::EBUSY, sentence)
    }

    /// An error of the operating system while doing `what`.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        Error::sys(what, errno)
    }

    /// The errno that a system call answered while doing `what`.
    pub fn sys(what: impl fmt::Display, errno: Errno) -> Self {
        Error::new(errno, format!("{what}: {}", errno.desc()))
    }

    /// The same error with `context` and a colon before its sentence.
    pub fn context(self, context: impl fmt::Display) -> Self {
        Error::new(self.errno, format!("{context}: {}", self.sentence))
    }

    /// What `write(2)` returns.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What the person reads.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

/// Text as it stands in a line: what would end it, or steer a terminal, is escaped.
pub fn one_line(text: &str) -> String {
    let pieces = text.chars().map(|c| {
        if breaks_a_line(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    });
    pieces.collect()
}

/// Controls, and what Unicode has besides to end a line.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sentence)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_one_line() {
        let error = Error::invalid("there is no /a\nb\u{1b}[2J\u{85}\u{2028}é");
        let sentence = "there is no /a\\nb\\u{1b}[2J\\u{85}\\u{2028}é";
        assert_eq!(error.sentence(), sentence);
        assert_eq!(
            error.context("x\ty").sentence(),
            format!("x\\ty: {sentence}")
        );
    }
}

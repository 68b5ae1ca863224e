//! The one word cursor, for tables, statuses and requests alike. It knows where
//! words end and what a number is, not what any word means.
//!
//! Words end where the kernel ends them (`dm_split_args`, drivers/md/dm-table.c):
//! at white space that no backslash stands before.

use std::str::FromStr;

use crate::error::{Error, Result};

/// Longest piece of somebody's text that a sentence repeats, in characters.
const SHOWN: usize = 40;

/// A cursor over the words of one line.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// A cursor before the first word of `text`.
    pub fn new(text: &'a str) -> Self {
        let rest = text.trim_start_matches(is_space);
        Words { rest }
    }

    /// The next word; `what` it is, for the sentence where the line ends.
    pub fn next(&mut self, what: &str) -> Result<&'a str> {
        let (word, rest) = split(self.rest).ok_or_else(|| missing(what))?;
        self.rest = rest;
        Ok(word)
    }

    /// The next word as a number: decimal digits only, so that `-1`, `+1`,
    /// `0x10` and what does not fit are refused instead of guessed.
    pub fn number<N: FromStr>(&mut self, what: &str) -> Result<N> {
        number(self.next(what)?, what)
    }

    /// The next word without taking it.
    pub fn peek(&self) -> Option<&'a str> {
        split(self.rest).map(|(word, _)| word)
    }

    /// How many words are left.
    pub fn left(&self) -> usize {
        let mut words = self.clone();
        std::iter::from_fn(|| words.next("").ok()).count()
    }

    /// All that is left, without white space around it; takes it.
    pub fn rest(&mut self) -> &'a str {
        let text = trim_end(self.rest);
        self.rest = "";
        text
    }

    /// Refuse another word; `what` the line is complete with.
    pub fn end(&self, what: &str) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(Error::invalid(format!(
                "unexpected {} after {what}",
                quote(word)
            ))),
        }
    }
}

/// `word` as a number of decimal digits; `what` it is, for the sentence.
pub fn number<N: FromStr>(word: &str, what: &str) -> Result<N> {
    if !is_digits(word) {
        return Err(Error::invalid(format!(
            "expected {what} (unsigned decimal), found {}",
            quote(word)
        )));
    }
    word.parse().map_err(|_| {
        Error::invalid(format!(
            "{} is too large for {what}: write a smaller number",
            quote(word)
        ))
    })
}

/// Whether `word` is one or more decimal digits.
pub fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Somebody's text as a sentence repeats it: in quotes, escaped and cut, so
/// that no garbage breaks the line or the terminal.
pub fn quote(text: &str) -> String {
    format!("\"{}\"", cut(text))
}

/// [`quote`] without the quotes.
pub fn cut(text: &str) -> String {
    // Behind these words of a table a key follows.
    let ends = [" crypt ", " integrity "].map(|word| text.find(word).map(|at| at + word.len()));
    let end = ends.into_iter().flatten().min().unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text);
    let mut shown = String::new();
    let mut length = 0;
    for piece in text.chars().map(escape) {
        length += piece.chars().count();
        if length > SHOWN {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

/// What the kernel takes for white space (`isspace`, lib/ctype.c), as far as
/// it is ASCII.
pub fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// The byte positions of the characters that no backslash stands before, and
/// the characters; a backslash that quotes is not among them.
pub fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut quoted = false;
    text.char_indices().filter(move |&(_, c)| {
        let plain = !quoted && c != '\\';
        quoted = !quoted && c == '\\';
        plain
    })
}

/// `text` without its quoting: a backslash gives way to the character behind
/// it, unless `keep` says that the two stand for themselves.
pub fn unescape(text: &str, keep: fn(char) -> bool) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let behind = if c == '\\' { chars.next() } else { None };
        if behind.is_none_or(keep) {
            plain.push(c);
        }
        plain.extend(behind);
    }
    plain
}

fn escape(c: char) -> String {
    match c {
        '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    }
}

/// The error of a word that may be the rest of a path with a space in it.
pub fn with_spaces(error: Error) -> Error {
    let sentence = format!("{error}; a space in a path is written `\\ `");
    Error::new(error.errno(), sentence)
}

/// Columns of a terminal, which text for people fits.
pub const COLUMNS: usize = 80;

/// A line broken between words, so that it fits a terminal; `indent` begins all lines
/// but the first. Each ends with a newline.
pub fn wrapped(line: &str, indent: &str) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in line.split(' ') {
        let size = word.chars().count();
        if width > 0 && width + 1 + size > COLUMNS {
            text.push('\n');
            text.push_str(indent);
            width = indent.len();
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += size;
    }
    text + "\n"
}

/// The known word that one which is not known was meant to be, as ` (NAME?)`; nothing
/// where none is near.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = |known: &&str| strsim::damerau_levenshtein(word, known) <= 1 + known.len() / 6;
    let mut near = known.into_iter().filter(|_| word.len() <= 32).filter(near);
    near.next()
        .map_or_else(String::new, |name| format!(" ({name}?)"))
}

/// Text without the white space around it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn missing(what: &str) -> Error {
    Error::invalid(format!("the line ends too early: expected {what}"))
}

fn split(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    let end = unquoted(text).find(|&(_, c)| is_space(c));
    let (word, rest) = text.split_at_checked(end.map_or(text.len(), |(at, _)| at))?;
    Some((word, rest.trim_start_matches(is_space)))
}

/// White space behind a backslash belongs to the last word and stays.
fn trim_end(text: &str) -> &str {
    let short = text.trim_end_matches(is_space);
    let backslashes = short.bytes().rev().take_while(|&b| b == b'\\').count();
    let quoted = if backslashes % 2 == 1 { 1 } else { 0 };
    text.get(..short.len() + quoted).unwrap_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_to_the_end() {
        let mut words = Words::new("  0 100\tmirror  core 1 8 \n");
        assert_eq!(words.left(), 6);
        assert_eq!(words.number::<u64>("the start").unwrap(), 0);
        assert_eq!(words.number::<u8>("the length").unwrap(), 100);
        assert_eq!(words.peek(), Some("mirror"));
        assert_eq!(words.next("the kind").unwrap(), "mirror");
        assert_eq!(words.rest(), "core 1 8");
        assert_eq!(words.left(), 0);
        words.end("the line").unwrap();
        let error = words.next("the region size").unwrap_err();
        assert_eq!(
            error.sentence(),
            "the line ends too early: expected the region size"
        );
    }

    #[test]
    fn numbers_are_digits_and_fit() {
        for word in [
            "-1",
            "+1",
            "0x10",
            "1k",
            "1.5",
            "٣",
            "256",
            "99999999999999999999999",
        ] {
            let error = Words::new(word).number::<u8>("the minor").unwrap_err();
            assert!(error.sentence().contains(word), "{error}");
            assert!(error.sentence().contains("the minor"), "{error}");
        }
        assert!(!is_digits(""));
        assert_eq!(Words::new("255").number::<u8>("x").unwrap(), 255);
        assert_eq!(Words::new("007").number::<u8>("x").unwrap(), 7);
    }

    #[test]
    fn an_extra_word_is_named() {
        let error = Words::new("surplus more").end("the table").unwrap_err();
        assert!(error.sentence().contains("\"surplus\""), "{error}");
    }

    #[test]
    fn a_backslash_keeps_a_word_together() {
        let mut words = Words::new(r"/my\ disk\\ 0 end\ ");
        assert_eq!(words.left(), 3);
        assert_eq!(words.next("").unwrap(), r"/my\ disk\\");
        assert_eq!(words.clone().rest(), r"0 end\ ");
        assert_eq!(Words::new("a\\").next("").unwrap(), "a\\");
        assert_eq!(Words::new(r"a\\ ").rest(), r"a\\");
        assert_eq!(unescape(r"a\,b\x\\\", |c| c == 'x'), r"a,b\x\\");
    }

    #[test]
    fn garbage_is_shown_escaped_and_cut() {
        assert_eq!(quote("a\u{1b}[2J\n\0'"), "\"a\\u{1b}[2J\\n\\0'\"");
        assert_eq!(cut(&"x".repeat(40)), "x".repeat(40));
        assert_eq!(cut(&"x".repeat(41)), format!("{}…", "x".repeat(40)));
        assert!(cut(&"\u{1b}".repeat(99)).chars().count() <= SHOWN + 1);
        assert_eq!(cut("0 8 crypt aes c0de"), "0 8 crypt ");
    }
}

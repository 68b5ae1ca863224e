//! What one `write(2)` holds: lines, each a command. Pure.

use std::borrow::Cow;
use std::iter::from_fn;

use crate::error::{Error, Result};
use crate::text::words::{Words, is_digits};

/// A table of several lines holds at most this many bytes: some thousand targets.
const LARGEST: usize = 256 * 1024;

/// A line holds at most this many bytes.
const LONGEST: usize = 64 * 1024;

/// A last line without a newline is whole in a write shorter than this: larger
/// ones are how programs cut a stream into pieces.
const WHOLE: usize = 4096;

/// A line of a write.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where the next one begins: what a short write up to here has written.
    pub end: usize,
    /// Its text, or why it is none.
    pub text: Result<&'a str>,
}

/// The lines of `data`, each made when it is asked for: a write may hold a million.
pub fn split(data: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut start = 0;
    from_fn(move || {
        let rest = data.get(start..).filter(|rest| !rest.is_empty())?;
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let length = newline.unwrap_or(rest.len());
        start += newline.map_or(length, |at| at + 1);
        let line = rest.get(..length).unwrap_or(rest);
        let cut = newline.is_none() && data.len() >= WHOLE;
        Some(Piece {
            end: start,
            text: if cut { Err(cut_line()) } else { text(line) },
        })
    })
}

/// The commands of `data`: its lines, or of `tables` those that go on from one another
/// together.
pub fn commands(tables: bool, data: &[u8]) -> impl Iterator<Item = (usize, Result<Cow<'_, str>>)> {
    let mut pieces = split(data).peekable();
    from_fn(move || {
        let first = pieces.next()?;
        let mut end = first.end;
        let mut text = first.text.map(Cow::Borrowed);
        while tables
            && text.is_ok()
            && let Some(next) = pieces.next_if(goes_on)
        {
            end = next.end;
            text = joined(text, next.text);
        }
        Some((end, text))
    })
}

/// A table and one more line of it, with a comma between them, as `dmsetup`'s concise
/// form has it.
fn joined<'d>(table: Result<Cow<'d, str>>, line: Result<&str>) -> Result<Cow<'d, str>> {
    let (mut table, line) = (table?.into_owned(), line?);
    if table.len() + line.len() >= LARGEST {
        return Err(Error::invalid(format!(
            "the table has more than {LARGEST} bytes: use fewer targets"
        )));
    }
    table.push(',');
    table.push_str(line);
    Ok(table.into())
}

fn cut_line() -> Error {
    Error::invalid("the last line has no newline and may be cut: end it with one")
}

fn text(line: &[u8]) -> Result<&str> {
    if line.len() > LONGEST {
        let length = line.len();
        return Err(Error::invalid(format!(
            "the line has {length} bytes, at most {LONGEST} are allowed"
        )));
    }
    std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to() + 1;
        Error::invalid(format!("byte {at} of the line is not valid text"))
    })
}

/// Whether a line does not start at sector 0, and so goes on from the one before.
fn goes_on(piece: &Piece<'_>) -> bool {
    let start = piece
        .text
        .as_ref()
        .ok()
        .and_then(|line| Words::new(line).peek());
    start.is_some_and(|word| is_digits(word) && word.bytes().any(|digit| digit != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(data: &[u8]) -> Vec<Option<&str>> {
        split(data).map(|piece| piece.text.ok()).collect()
    }

    fn first(data: &[u8]) -> Piece<'_> {
        split(data).next().expect("a line")
    }

    #[test]
    fn one_line_is_one_piece_with_or_without_its_newline() {
        assert_eq!(texts(b"resume\n"), [Some("resume")]);
        assert_eq!(texts(b"resume"), [Some("resume")]);
        assert_eq!(texts(b"a\nb"), [Some("a"), Some("b")]);
        assert_eq!(texts(b"\n"), [Some("")]);
        assert_eq!(texts(b""), []);
        let ends: Vec<usize> = split(b"a\nbc\n\n").map(|piece| piece.end).collect();
        assert_eq!(ends, [2, 5, 6]);
    }

    #[test]
    fn a_last_line_may_be_cut_in_a_large_write_only() {
        let mut data = vec![b'x'; WHOLE - 1];
        assert!(first(&data).text.is_ok());
        data.push(b'x');
        assert!(first(&data).text.is_err());
        data.push(b'\n');
        assert!(first(&data).text.is_ok());
        data.extend(b"resume");
        assert_eq!(texts(&data)[1], None);
    }

    #[test]
    fn too_long_and_no_text_are_refused_alone() {
        let mut data = vec![b'x'; LONGEST];
        data.push(b'\n');
        assert!(first(&data).text.is_ok());
        data.insert(0, b'x');
        data.extend(b"ok\n\xff\n");
        assert_eq!(texts(&data), [None, Some("ok"), None]);
    }

    #[test]
    fn targets_of_one_table_are_one_command() {
        let data = b"0 8 linear a 0\n8 8 error \n0 4 zero\nx\n";
        let tables: Vec<_> = commands(true, data)
            .map(|(end, text)| (end, text.expect("text").into_owned()))
            .collect();
        assert_eq!(
            tables,
            [
                (26, "0 8 linear a 0,8 8 error ".into()),
                (35, "0 4 zero".into()),
                (37, "x".to_string())
            ]
        );
    }

    #[test]
    fn a_table_has_an_end_and_what_comes_behind_it_is_another() {
        let data = "8 8 error\n".repeat(LARGEST);
        let mut tables = commands(true, data.as_bytes());
        let (end, text) = tables.next().expect("a table");
        assert!(text.is_err() && end <= LARGEST + 20);
        assert_eq!(commands(false, data.as_bytes()).count(), LARGEST);
        assert!(!goes_on(&first("1\u{2003}8 error".as_bytes())));
        assert!(goes_on(&first(b"\t08 8 error")));
    }
}

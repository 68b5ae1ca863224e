//! What one `write(2)` holds: lines, each a command. Pure.

use crate::error::{Error, Result};

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

/// The lines of `data`.
pub fn split(data: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(rest) = data.get(start..).filter(|rest| !rest.is_empty()) {
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let length = newline.unwrap_or(rest.len());
        start += newline.map_or(length, |at| at + 1);
        let line = rest.get(..length).unwrap_or(rest);
        let cut = newline.is_none() && data.len() >= WHOLE;
        pieces.push(Piece {
            end: start,
            text: if cut { Err(cut_line()) } else { text(line) },
        });
    }
    pieces
}

fn cut_line() -> Error {
    Error::invalid("the last line has no newline and may be cut: end it with one")
}

fn text(line: &[u8]) -> Result<&str> {
    if line.len() > LONGEST {
        let length = line.len();
        return Err(Error::invalid(format!(
            "the line has {length} bytes: {LONGEST} are the most"
        )));
    }
    std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to() + 1;
        Error::invalid(format!("byte {at} of the line is no text"))
    })
}

/// Join the lines of a table of several targets: a line that does not start at
/// sector 0 goes on from the one before. Joined by commas, as `dmsetup`'s
/// concise form has them.
pub fn join_targets(pieces: Vec<Piece<'_>>) -> Vec<(usize, Result<String>)> {
    let mut tables: Vec<(usize, Result<String>)> = Vec::new();
    for piece in pieces {
        match (piece.text, tables.last_mut()) {
            (Ok(line), Some((end, Ok(table)))) if goes_on(line) => {
                *end = piece.end;
                table.push(',');
                table.push_str(line);
            }
            (text, _) => tables.push((piece.end, text.map(Into::into))),
        }
    }
    tables
}

fn goes_on(line: &str) -> bool {
    let start = line.split_whitespace().next();
    start.is_some_and(|word| word.parse::<u64>().is_ok_and(|sector| sector > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(data: &[u8]) -> Vec<Option<&str>> {
        split(data)
            .into_iter()
            .map(|piece| piece.text.ok())
            .collect()
    }

    #[test]
    fn one_line_is_one_piece_with_or_without_its_newline() {
        assert_eq!(texts(b"resume\n"), [Some("resume")]);
        assert_eq!(texts(b"resume"), [Some("resume")]);
        assert_eq!(texts(b"a\nb"), [Some("a"), Some("b")]);
        assert_eq!(texts(b"\n"), [Some("")]);
        assert_eq!(texts(b""), []);
        let ends: Vec<usize> = split(b"a\nbc\n\n").iter().map(|piece| piece.end).collect();
        assert_eq!(ends, [2, 5, 6]);
    }

    #[test]
    fn a_last_line_may_be_cut_in_a_large_write_only() {
        let mut data = vec![b'x'; WHOLE - 1];
        assert!(split(&data)[0].text.is_ok());
        data.push(b'x');
        assert!(split(&data)[0].text.is_err());
        data.push(b'\n');
        assert!(split(&data)[0].text.is_ok());
        data.extend(b"resume");
        assert_eq!(texts(&data)[1], None);
    }

    #[test]
    fn too_long_and_no_text_are_refused_alone() {
        let mut data = vec![b'x'; LONGEST];
        data.push(b'\n');
        assert!(split(&data)[0].text.is_ok());
        data.insert(0, b'x');
        data.extend(b"ok\n\xff\n");
        assert_eq!(texts(&data), [None, Some("ok"), None]);
    }

    #[test]
    fn targets_of_one_table_are_one_command() {
        let joined = join_targets(split(b"0 8 linear a 0\n8 8 error \n0 4 zero\nx\n"));
        let tables: Vec<_> = joined
            .into_iter()
            .map(|(end, text)| (end, text.expect("text")))
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
}

//! The mapfile of GNU ddrescue: which bytes of a disk were read, and which cannot be
//! (ddrescue's manual, "Mapfile structure").

use std::fmt::Write;

use super::words::quote;
use crate::error::{Error, Result};

/// What a mapfile says of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// `+`: it was copied.
    Finished,
    /// `?`: it was not tried.
    Untried,
    /// `-`: it cannot be read. A mapfile that is read may say of such a range that it was
    /// not tried sector by sector (`/`), or not from its other end (`*`).
    Bad,
}

impl Status {
    /// Its character.
    pub fn letter(self) -> char {
        match self {
            Status::Finished => '+',
            Status::Untried => '?',
            Status::Bad => '-',
        }
    }
}

/// A range of bytes and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What is said of them.
    pub status: Status,
}

/// The text of a mapfile of these blocks, which leave out nothing.
pub fn print(blocks: &[Block]) -> String {
    let is = |status: Status| blocks.iter().find(move |block| block.status == status);
    // What is left is what a next run would do.
    let (at, word) = match (is(Status::Untried), is(Status::Bad)) {
        (Some(block), _) => (block.start, '?'),
        (None, Some(block)) => (block.start, '-'),
        (None, None) => (0, '+'),
    };
    let mut text = format!(
        "# Mapfile. Created by mirrorfs {}\n# current_pos  current_status  current_pass\n0x{at:08X}     {word}               1\n#      pos        size  status\n",
        env!("CARGO_PKG_VERSION")
    );
    for block in blocks {
        let letter = block.status.letter();
        let (start, size) = (block.start, block.size);
        // Into a string nothing can fail.
        let _ = writeln!(text, "0x{start:08X}  0x{size:08X}  {letter}");
    }
    text
}

/// The blocks of a mapfile, which follow each other.
///
/// # Errors
/// EINVAL names the line that is wrong.
pub fn parse(text: &str) -> Result<Vec<Block>> {
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.starts_with('#') && !line.trim().is_empty());
    let mut blocks: Vec<Block> = Vec::new();
    // The first says where ddrescue was.
    for (line, number) in lines.skip(1) {
        let wrong = |what: &str| {
            let line = quote(line);
            Error::invalid(format!("line {number} of the mapfile, {line}: {what}"))
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[start, size, status] = words.as_slice() else {
            return Err(wrong("not a position, a size and a status"));
        };
        let block = Block {
            start: number_of(start).ok_or_else(|| wrong("no position"))?,
            size: number_of(size).ok_or_else(|| wrong("no size"))?,
            status: match status {
                "+" => Status::Finished,
                "?" => Status::Untried,
                "-" | "*" | "/" => Status::Bad,
                _ => return Err(wrong("no status that ddrescue has")),
            },
        };
        let before = blocks.last().map_or(0, |last| last.start + last.size);
        let behind = block.start.checked_add(block.size);
        if block.start < before || behind.is_none() {
            return Err(wrong("it does not follow what stands before it"));
        }
        blocks.push(block);
    }
    if blocks.is_empty() {
        return Err(Error::invalid("the mapfile says nothing of any byte"));
    }
    Ok(blocks)
}

/// A number as ddrescue reads it: decimal, or hexadecimal behind `0x`.
fn number_of(word: &str) -> Option<u64> {
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let digits = |word: &str| word.starts_with(|c: char| c.is_ascii_hexdigit());
    match hex {
        Some(hex) => u64::from_str_radix(hex, 16).ok().filter(|_| digits(hex)),
        None => word.parse().ok().filter(|_| digits(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_and_what_is_wrong_is_named() {
        let blocks = [
            (0, 0x1000, Status::Finished),
            (0x1000, 512, Status::Bad),
            (0x1200, 1 << 40, Status::Untried),
        ];
        let blocks = blocks.map(|(start, size, status)| Block {
            start,
            size,
            status,
        });
        assert_eq!(parse(&print(&blocks)), Ok(blocks.to_vec()));
        let text = "# a comment\n0 ? 1\n0 4096 +\n0x1000 512 /\n\n8192 0x200 *\n";
        let parsed = parse(text).expect(text);
        let bad = parsed.iter().filter(|block| block.status == Status::Bad);
        assert_eq!((parsed.len(), bad.count()), (3, 2));
        for (line, word) in [
            ("", "says nothing"),
            ("0 512", "not a position"),
            ("0 512 + 1", "not a position"),
            ("zero 512 +", "no position"),
            ("0 -512 +", "no size"),
            ("0 +512 +", "no size"),
            ("0 0x+2 +", "no size"),
            ("0 512 !", "no status"),
            ("0 512 +\n256 512 +", "does not follow"),
            ("8 0xffffffffffffffff +", "does not follow"),
        ] {
            let error = parse(&format!("0 + 1\n{line}\n")).expect_err(line);
            assert!(error.sentence().contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn it_is_what_ddrescue_writes() {
        let block = |start, size, status| Block {
            start,
            size,
            status,
        };
        let text = print(&[
            block(0, 0x1000, Status::Finished),
            block(0x1000, 512, Status::Bad),
            block(0x1200, 1 << 40, Status::Untried),
        ]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let wanted = [
            "0x00001200     ?               1",
            "0x00000000  0x00001000  +",
            "0x00001000  0x00000200  -",
            "0x00001200  0x10000000000  ?",
        ];
        assert_eq!(lines, wanted);
    }
}

//! Sizes and offsets as people and numfmt(1) write them: `512s`, `64K`, `8M`, `8MiB`,
//! `100G`, `1T`, or plain bytes.

use super::words::{is_digits, quote};
use crate::error::{Error, Result};

/// Bytes of a sector, the unit of tables.
pub const SECTOR: u64 = 512;

/// What a number is multiplied by.
const UNITS: &[(char, u64)] = &[
    ('s', SECTOR),
    ('K', 1 << 10),
    ('M', 1 << 20),
    ('G', 1 << 30),
    ('T', 1 << 40),
];

/// Bytes.
///
/// # Errors
/// EINVAL for what is no size, or larger than any device.
pub fn bytes(word: &str, what: &str) -> Result<u64> {
    let short = word.strip_suffix("iB").or_else(|| word.strip_suffix('i'));
    let short = short.filter(|short| !short.ends_with('s')).unwrap_or(word);
    let unit = UNITS.iter().find_map(|(letter, factor)| {
        let lower = letter.to_ascii_lowercase();
        Some((short.strip_suffix([*letter, lower])?, *factor))
    });
    let (digits, factor) = unit.unwrap_or((word, 1));
    let number: Option<u64> = digits.parse().ok().filter(|_| is_digits(digits));
    let bytes = number.and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| {
        let advice = if word.ends_with('B') {
            "write M for 1048576 bytes, without B"
        } else {
            "write bytes, or a number with s, K, M, G or T"
        };
        let word = quote(word);
        Error::invalid(format!("{what} {word} is not a size: {advice}"))
    })
}

/// The same in sectors.
///
/// # Errors
/// EINVAL also for what is no whole number of sectors.
pub fn sectors(word: &str, what: &str) -> Result<u64> {
    let bytes = bytes(word, what)?;
    match bytes % SECTOR {
        0 => Ok(bytes / SECTOR),
        _ => Err(Error::invalid(format!(
            "{what} {} is not a multiple of {SECTOR} bytes",
            quote(word)
        ))),
    }
}

/// Bytes per second, or none for as many as can be.
///
/// # Errors
/// EINVAL for what is neither.
pub fn limit(word: &str, what: &str) -> Result<Option<u64>> {
    if word == "none" {
        return Ok(None);
    }
    let amount = bytes(word.strip_suffix("/s").unwrap_or(word), what);
    amount.map(Some).map_err(|_| {
        let word = quote(word);
        Error::invalid(format!(
            "{what} {word} is no limit: write none, 0 to pause, or bytes per second (50M)"
        ))
    })
}

/// The same as a word that is read as so many.
pub fn limit_word(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none".into(), |bytes| bytes.to_string())
}

/// Whether a word is a unit without a number.
pub fn is_unit(word: &str) -> bool {
    let mut units = UNITS.iter().map(|(letter, _)| letter.to_string());
    units.any(|unit| unit == word)
}

/// A number of bytes in the largest unit in which it is whole, with its letter; none for
/// less than the smallest.
pub fn exact(bytes: u64) -> (u64, Option<char>) {
    let whole = |(_, factor): &&(char, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    let units = UNITS.iter().filter(|(letter, _)| *letter != 's');
    match units.rev().find(whole) {
        Some((letter, factor)) => (bytes / factor, Some(*letter)),
        None => (bytes, None),
    }
}

/// Sectors as a person writes them: `2M`.
pub fn short(sectors: u64) -> String {
    match exact(sectors.saturating_mul(SECTOR)) {
        (number, Some(letter)) => format!("{number}{letter}"),
        (_, None) => word(sectors),
    }
}

/// Sectors as a word that is read as so many.
pub fn word(sectors: u64) -> String {
    format!("{sectors}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_a_power_of_1024() {
        for (word, wanted) in [
            ("0", 0),
            ("4096", 4096),
            ("3s", 1536),
            ("64K", 65_536),
            ("8M", 8 << 20),
            ("100G", 100 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(bytes(word, "the size"), Ok(wanted), "{word}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for word in [
            "",
            "K",
            "-1",
            "+1",
            "1.5G",
            "8MB",
            "8 M",
            "0x10",
            "99999999T",
        ] {
            let error = bytes(word, "the size").expect_err(word);
            assert!(error.sentence().contains("the size"), "{error}");
        }
        assert!(sectors("513", "the offset").is_err());
        assert_eq!(sectors("1K", "the offset"), Ok(2));
    }
}

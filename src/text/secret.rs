//! Tables as they are shown: without the keys that some kinds of targets have in their
//! parameters, as dmsetup(8) hides them unless it is told `--showkeys`.

use std::borrow::Cow;

use super::table::Line;
use super::words::is_space;

/// Words of an integrity target that may end with a key: `internal_hash:ALGORITHM:KEY`.
const KEYED: &[&str] = &["internal_hash:", "journal_crypt:", "journal_mac:"];

impl Line {
    /// The line without keys: as many zeros stand in their place.
    pub fn shown(&self) -> Cow<'_, Line> {
        let params = match self.kind.as_str() {
            "crypt" => of_crypt(&self.params),
            "integrity" => of_integrity(&self.params),
            _ => return Cow::Borrowed(self),
        };
        Cow::Owned(Line {
            params,
            ..self.clone()
        })
    }
}

/// `CIPHER KEY …`; a key that begins with a colon is the name of one that the kernel
/// keeps.
fn of_crypt(params: &str) -> String {
    each_word(params, |number, word| match number {
        1 if !word.starts_with(':') => zeros(word),
        _ => word.to_owned(),
    })
}

fn of_integrity(params: &str) -> String {
    each_word(params, |_, word| {
        let keyed = KEYED.iter().any(|name| word.starts_with(name));
        let key = word.match_indices(':').nth(1).map(|(at, _)| at + 1);
        match key.filter(|_| keyed).map(|at| word.split_at(at)) {
            Some((name, key)) => name.to_owned() + &zeros(key),
            None => word.to_owned(),
        }
    })
}

/// The words one after the other, with the white space that stands between them.
fn each_word(text: &str, shown: impl Fn(usize, &str) -> String) -> String {
    let mut words = 0;
    let pieces = text.split_inclusive(is_space).map(|piece| {
        let word = piece.trim_end_matches(is_space);
        let space = piece.get(word.len()..).unwrap_or_default();
        let shown = if word.is_empty() {
            String::new()
        } else {
            words += 1;
            shown(words - 1, word)
        };
        shown + space
    });
    pieces.collect()
}

fn zeros(key: &str) -> String {
    "0".repeat(key.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_zeros_and_nothing_else_is_changed() {
        for (kind, params, wanted) in [
            (
                "crypt",
                "aes-xts-plain64 0123ab 0 8:16 0",
                "aes-xts-plain64 000000 0 8:16 0",
            ),
            ("crypt", "aes  0123ab 0", "aes  000000 0"),
            ("crypt", "aes :32:logon:k 0", "aes :32:logon:k 0"),
            ("crypt", "", ""),
            (
                "integrity",
                "8:16 0 - J 3 internal_hash:hmac(sha256):c0de journal_mac:crc32c block_size:512",
                "8:16 0 - J 3 internal_hash:hmac(sha256):0000 journal_mac:crc32c block_size:512",
            ),
            ("mirror", "core 1 8 2 8:0 0 8:1 0", "core 1 8 2 8:0 0 8:1 0"),
        ] {
            let line = Line {
                start: 0,
                length: 8,
                kind: kind.into(),
                params: params.into(),
            };
            assert_eq!(line.shown().params, wanted);
        }
    }
}

//! What a mirror may be called, and what its UUID may be. Knows the rules of
//! device-mapper and of this tree, not which names are taken.

use std::borrow::Cow;

use crate::error::{Errno, Error, Result};
use crate::text::words::{cut, quote};

/// Names of the root's files: a mirror of that name would hide the file.
pub const RESERVED: &[&str] = &[
    "new",
    "status",
    "table",
    "progress",
    "health",
    "events",
    "metrics",
    "mirrors.json",
    "throttle",
    "version",
    "help",
];

/// Names that cannot be a directory, or are device-mapper's own node.
const TAKEN: &[&str] = &[".", "..", "control"];

/// What libdevmapper writes into `/dev/mapper` without mangling it, besides
/// letters and digits (`_is_whitelisted_char`, libdm-common.c).
const PUNCTUATION: &str = "#+-.:=@_";

/// Longest name in bytes (`DM_NAME_LEN` less its NUL, dm-ioctl.h).
const MAX_NAME: usize = 127;

/// Longest UUID in bytes (`DM_UUID_LEN` less its NUL, dm-ioctl.h).
pub const MAX_UUID: usize = 128;

/// Whether a mirror may be called `name`.
pub fn check(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(
            "the name is empty: write 1 to 127 characters",
        ));
    }
    if let Some(c) = name.chars().find(|&c| !is_allowed(c)) {
        return Err(bad_character(name, c));
    }
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "the name {} has {} characters: at most {MAX_NAME} fit",
            quote(name),
            name.len()
        )));
    }
    if TAKEN.contains(&name) || RESERVED.contains(&name) {
        return Err(Error::invalid(format!(
            "{} cannot be a mirror's name: it is reserved; choose another",
            quote(name)
        )));
    }
    Ok(())
}

/// Whether a device may be called `name` for which others have chosen it: by the kernel's
/// rules (`check_name`, dm-ioctl.c), and so that it can be reached as a folder.
pub fn check_any(name: &str) -> Result<()> {
    let odd = |c: char| c == '/' || c.is_control();
    let wrong = name.is_empty() || name.len() > MAX_NAME || name.contains(odd);
    if wrong || TAKEN.contains(&name) || RESERVED.contains(&name) {
        Err(Error::invalid(format!(
            "{} cannot be a mirror's name",
            quote(name)
        )))
    } else {
        Ok(())
    }
}

/// Whether a mirror may have the UUID `uuid`.
pub fn check_uuid(uuid: &str) -> Result<()> {
    if uuid.is_empty() {
        return Err(Error::invalid("the UUID is empty: write 1 to 128 bytes"));
    }
    if let Some(c) = uuid.chars().find(|&c| !c.is_ascii_graphic() || c == ',') {
        return Err(Error::invalid(format!(
            "the UUID {} has the character '{}' in it: write printable ASCII without spaces or commas",
            quote(uuid),
            cut(&c.to_string())
        )));
    }
    if uuid.len() > MAX_UUID {
        return Err(Error::invalid(format!(
            "the UUID {} has {} bytes: at most {MAX_UUID} fit",
            quote(uuid),
            uuid.len()
        )));
    }
    if uuid.starts_with("LVM-") {
        return Err(Error::new(
            Errno::EPERM,
            format!(
                "the UUID {} is LVM's: those that begin with LVM- belong to it",
                quote(uuid)
            ),
        ));
    }
    Ok(())
}

/// A name as it stands in a line: those of others' devices, and what was refused, may be
/// anything. What would part or end the line is written as dmsetup(8) mangles it, `\xHH`,
/// and what is longer than any name is cut.
pub fn shown(name: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if name.len() <= MAX_NAME && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut text = String::new();
    for c in name.chars() {
        if text.len() >= MAX_NAME {
            text.push('…');
            break;
        }
        if plain(c) {
            text.push(c)
        } else {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).bytes();
            bytes.for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        }
    }
    Cow::Owned(text)
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || PUNCTUATION.contains(c)
}

fn bad_character(name: &str, c: char) -> Error {
    Error::invalid(format!(
        "the name {} has the character '{}' in it: write A-Z a-z 0-9 # + - . : = @ _ only",
        quote(name),
        cut(&c.to_string())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "m0",
            "vg-pvmove0",
            "a#+-.:=@_Z9",
            "...",
            "news",
            &"x".repeat(127),
        ] {
            check(name).unwrap();
        }
        for (name, named) in [
            ("", "empty"),
            ("a b", "' '"),
            ("a/b", "'/'"),
            ("ä", "'ä'"),
            ("a\n", "'\\n'"),
            ("a,b", "','"),
            (".", "\".\""),
            ("..", "\"..\""),
            ("control", "\"control\""),
            ("mirrors.json", "\"mirrors.json\""),
            (&"x".repeat(128), "128 characters"),
        ] {
            let error = check(name).unwrap_err();
            assert_eq!(error.errno(), Errno::EINVAL);
            assert!(error.sentence().contains(named), "{error}");
        }
    }

    #[test]
    fn a_name_is_one_word_of_a_line() {
        for (name, wanted) in [
            ("m0", "m0"),
            ("a\\x20b", "a\\x20b"),
            ("größe", "größe"),
            ("a b\n", "a\\x20b\\x0a"),
            ("a\u{2028}b", "a\\xe2\\x80\\xa8b"),
        ] {
            assert_eq!(shown(name), wanted);
        }
        assert!(shown(&"x ".repeat(40_000)).len() < 2 * MAX_NAME);
    }

    #[test]
    fn uuids() {
        check_uuid("MIRRORFS-1234").unwrap();
        check_uuid(&"u".repeat(128)).unwrap();
        for (uuid, named, errno) in [
            ("", "empty", Errno::EINVAL),
            ("a b", "' '", Errno::EINVAL),
            ("a,b", "','", Errno::EINVAL),
            ("ü", "'ü'", Errno::EINVAL),
            (&"u".repeat(129), "129 bytes", Errno::EINVAL),
            ("LVM-abc", "LVM-abc", Errno::EPERM),
        ] {
            let error = check_uuid(uuid).unwrap_err();
            assert_eq!(error.errno(), errno);
            assert!(error.sentence().contains(named), "{error}");
        }
    }
}

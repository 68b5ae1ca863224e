//! What reading `new` shows: the forms of a line, and examples.

use crate::text::request_keys;
#[cfg(test)]
use crate::text::words::COLUMNS;
use crate::text::words::wrapped;

/// What can be written to `new`.
pub const FORMS: &[&str] = &[
    "[NAME: ]SOURCE[@OFFSET] TARGET[@OFFSET]... [KEY=VALUE...]",
    "[NAME: ]START LENGTH mirror LOG_TYPE #LOGARGS LOGARG... #DEVS DEVICE OFFSET... [#FEATURES FEATURE...] [force=yes]",
    "NAME,[UUID],[MINOR],[FLAGS],TABLE[,TABLE...] [force=yes]",
];

/// What the words of these forms are.
pub const WORDS: &str = "\
SOURCE, TARGET and DEVICE are a block device, a regular file or MAJOR:MINOR. The
first is copied to the others. Sizes and offsets of the first form are bytes, or
have the suffix s, K, M, G or T; in tables they are sectors of 512 bytes.";

/// Lines for `new`.
pub const EXAMPLES: &[&str] = &[
    "old: /dev/sdb /dev/sdc",
    "/dev/mapper/home /dev/sdc live=yes",
    "old: 0 2097152 mirror core 1 8192 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors",
    "a: 0 2097152 mirror disk 2 /a.log 8192 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors",
];

/// What reading `new` shows.
pub fn text() -> String {
    let forms: String = FORMS.iter().map(|form| wrapped(form, "    ")).collect();
    let (keys, examples) = (request_keys::help(), EXAMPLES.join("\n"));
    format!(
        "Write one line to create a mirror. Read on the same descriptor for its name, or\n\
         for the reason of a refusal.\n\
         \n{forms}\n{WORDS}\n\nKeys:\n\n{keys}\nExamples:\n\n{examples}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_terminal() {
        let text = text();
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }
}

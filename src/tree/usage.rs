//! What reading `new` shows: the forms of a line, and examples.

use crate::text::short;

/// What can be written to `new`.
pub const FORMS: &[&str] = &[
    "[NAME: ]SOURCE[@OFFSET] TARGET[@OFFSET]... [KEY=VALUE...]",
    "[NAME: ]START LENGTH mirror LOG_TYPE #LOGARGS LOGARG... #DEVS DEVICE OFFSET... [#FEATURES FEATURE...] [force=yes]",
    "NAME,[UUID],[MINOR],[FLAGS],TABLE[,TABLE...] [force=yes]",
];

/// What the words of these forms are.
pub const WORDS: &str = "\
SOURCE, TARGET and DEVICE are a block device, a regular file or MAJOR:MINOR; the first is
copied to the others. Sizes and offsets of the first form are bytes, or have s, K, M, G or T
behind them; in tables they are sectors of 512 bytes. force=yes: write over what is held.";

/// Lines for `new`.
pub const EXAMPLES: &[&str] = &[
    "old: /dev/sdb /dev/sdc",
    "/dev/mapper/home /dev/sdc live=yes",
    "old: 0 209715200 mirror core 1 16384 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors",
    "old: 0 209715200 mirror disk 2 /var/lib/meta.dat 16384 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors",
];

/// What reading `new` shows.
pub fn text() -> String {
    let (forms, keys, examples) = (FORMS.join("\n"), short::help(), EXAMPLES.join("\n"));
    format!(
        "Write one line to make a mirror; read on the same descriptor for its name, or the reason.\n\
         \n{forms}\n\n{WORDS} Keys:\n\n{keys}\nExamples:\n\n{examples}\n"
    )
}

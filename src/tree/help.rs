//! The texts that explain the tree, made from the rows that define it.

use super::row::Row;
use super::{mirror, root};
use crate::plan::verb;
use crate::text::short;

/// What reading `new` shows.
pub fn usage() -> String {
    let keys = short::help();
    format!(
        "Write one line to make a mirror; read on the same descriptor for its name, or the reason.\n\
         \n\
         [NAME: ]SOURCE[@OFFSET] TARGET[@OFFSET]... [KEY=VALUE...]\n\
         [NAME: ]START LENGTH mirror LOG_TYPE #LOGARGS LOGARG... #DEVS DEVICE OFFSET... [#FEATURES FEATURE...]\n\
         NAME,[UUID],[MINOR],[FLAGS],TABLE[,TABLE...]\n\
         \n\
         SOURCE, TARGET and DEVICE are a block device, a regular file or MAJOR:MINOR; the first is\n\
         copied to the others. Sizes and offsets of the first form are bytes, or have s, K, M, G or T\n\
         behind them; in tables they are sectors of 512 bytes. Keys:\n\
         \n\
         {keys}\n\
         Examples:\n\
         \n\
         old: /dev/sdb /dev/sdc\n\
         /dev/mapper/home /dev/sdc live=yes\n\
         old: 0 209715200 mirror core 1 16384 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors\n\
         old: 0 209715200 mirror disk 2 /var/lib/meta.dat 16384 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors\n"
    )
}

/// What reading `help` shows.
pub fn text() -> String {
    let mut text = String::from(
        "mirrorfs: device-mapper mirrors as files. cat a file to look, echo a line to act.\n",
    );
    section(&mut text, "At the top", "", root::ROWS);
    for (words, doc) in FOLDERS {
        text.push_str(&line(words, "w ", doc));
    }
    section(&mut text, "Of each mirror", "NAME/", mirror::ROWS);
    section(
        &mut text,
        "Of each leg, N from 0",
        "NAME/legs/N/",
        mirror::LEG_ROWS,
    );
    text.push_str("\nVerbs, written to NAME/ctl\n");
    text.extend(verb::help().lines().map(|line| format!("  {line}\n")));
    text.push_str("\nWhat was refused, and why, stands in events.\n");
    text
}

/// What can be done with the folders at the root.
const FOLDERS: &[(&str, &str)] = &[
    (
        "mkdir NAME",
        "a device without a table: write one to its NAME/table",
    ),
    ("rmdir NAME", "remove a mirror, as NAME/ctl does"),
    ("mv NAME NEW", "give a mirror another name"),
];

fn line(words: &str, access: &str, doc: &str) -> String {
    format!("  {words:<24} {access}  {doc}\n")
}

fn section<S>(text: &mut String, title: &str, prefix: &str, rows: &[Row<S>]) {
    text.push_str(&format!("\n{title}\n"));
    for row in rows {
        let path = format!("{prefix}{}", row.path);
        let access = if row.store.is_some() { "rw" } else { "r " };
        text.push_str(&line(&path, access, row.doc));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/files.md` has it in a block of its own.
    #[test]
    fn the_documentation_has_this_text() {
        let page = include_str!("../../docs/files.md");
        let block = page.split("```text\n").nth(1).unwrap_or_default();
        let block = block.split("```").next().unwrap_or_default();
        assert!(block == text(), "docs/files.md should have:\n{}", text());
    }
}

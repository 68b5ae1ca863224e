//! The texts that explain the tree, made from the rows that define it.

use std::sync::OnceLock;

use super::row::Row;
use super::{mirror, root};
use crate::plan::verb;

/// Files of one folder.
pub struct Section {
    /// Which.
    pub title: &'static str,
    /// They themselves.
    pub entries: Vec<Entry>,
}

/// One file, or what else can be done in a folder.
pub struct Entry {
    /// Its path, or the command.
    pub words: String,
    /// Whether it is read or written.
    pub access: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

/// All that there is in the tree.
pub fn sections() -> [Section; 3] {
    let folders = FOLDERS.iter().map(|(words, doc)| Entry {
        words: (*words).into(),
        access: "w ",
        doc,
    });
    let mut top = section("At the top", "", root::ROWS);
    top.entries.extend(folders);
    [
        top,
        section("Of each mirror", "NAME/", mirror::ROWS),
        section("Of each leg, N from 0", "NAME/legs/N/", mirror::LEG_ROWS),
    ]
}

/// What reading `help` shows.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(make)
}

fn make() -> String {
    let mut text = String::from(
        "mirrorfs: device-mapper mirrors as files. cat a file to look, echo a line to act\n",
    );
    for section in sections() {
        text.push_str(&format!("\n{}\n", section.title));
        for Entry { words, access, doc } in section.entries {
            text.push_str(&format!("  {words:<24} {access}  {doc}\n"));
        }
    }
    text.push_str("\nVerbs, written to NAME/ctl\n");
    text.extend(verb::help().lines().map(|line| format!("  {line}\n")));
    text.push_str("\nRejected commands and reasons are recorded in `events`.\n");
    text
}

/// What can be done with the folders at the root.
const FOLDERS: &[(&str, &str)] = &[
    ("mkdir NAME", "new device; write its NAME/table next"),
    ("rmdir NAME", "remove a mirror, as NAME/ctl does"),
    ("mv NAME NEW", "give a mirror another name"),
];

fn section<S>(title: &'static str, prefix: &str, rows: &'static [Row<S>]) -> Section {
    let entries = rows.iter().map(|row| Entry {
        words: format!("{prefix}{}", row.path),
        access: if row.store.is_some() { "rw" } else { "r " },
        doc: row.doc,
    });
    Section {
        title,
        entries: entries.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::COLUMNS;

    #[test]
    fn it_fits_a_terminal() {
        let text = text();
        let long = text.lines().filter(|line| line.chars().count() > COLUMNS);
        let long: Vec<&str> = long.collect();
        assert!(long.is_empty(), "{long:#?}");
    }

    /// `docs/files.md` has it in a block of its own.
    #[test]
    fn the_documentation_has_this_text() {
        let page = include_str!("../../docs/files.md");
        let block = page.split("```text\n").nth(1).unwrap_or_default();
        let block = block.split("```").next().unwrap_or_default();
        assert!(block == text(), "docs/files.md should have:\n{}", text());
    }
}

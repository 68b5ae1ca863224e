//! mirrorfs(8), made of the tables that define options, files, keys and verbs. Only
//! what no table knows is prose here.

use clap::Arg;
use roff::{Inline, Roff, bold, italic, roman};

use super::{mount_option, options};
use crate::plan::verb::VERBS;
use crate::text::request_keys::KEYS;
use crate::tree::{help, usage};

/// When the prose below was last changed.
const DATE: &str = "2026-11-25";

/// How it is called.
const SYNOPSIS: &[&str] = &[
    "mirrorfs [OPTIONS] MOUNTPOINT",
    "mirrorfs SOURCE MOUNTPOINT -o OPT[,OPT...]",
    "mount -t fuse.mirrorfs SOURCE MOUNTPOINT -o OPT[,OPT...]",
];

const DESCRIPTION: &[&str] = &[
    "mirrorfs mounts a tree of files by which the kernel's device-mapper mirrors are made, watched \
     and changed: a line written to `new` makes a mirror, each mirror is a folder, its `progress` \
     shows how far the copy is, and a verb written to its `ctl` acts.",
    "One line is one command. What the write(2) of a line returns is the line's own errno; the \
     reason, one sentence, is read on the same descriptor or stands at the end of `events`.",
    "A mirror lives in the kernel. It goes on when mirrorfs ends, and is there again at the next \
     mount; after a reboot those with `persist` are made again, and copy only what was missing.",
    "With --engine embedded mirrorfs does the mirroring by itself, on files and devices that are \
     not in use, without root and without device-mapper.",
];

const STATUS: &[(&str, &str)] = &[
    (
        "0",
        "without --foreground: the mount is usable; else, and for the daemon: it was unmounted, or \
         ended by SIGTERM, SIGINT or SIGHUP",
    ),
    ("1", "it could not mount; a line says why"),
    ("2", "the command line is invalid"),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "RUST_LOG",
        "what is logged, for each part of the program; wins over -v and -q",
    ),
    (
        "XDG_STATE_HOME",
        "where the embedded engine keeps its state directory",
    ),
    (
        "NOTIFY_SOCKET",
        "whom to tell that the mount is usable, as systemd does for Type=notify",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "/var/lib/mirrorfs/",
        "the state directory of the kernel engine; it belongs to one mirrorfs at a time",
    ),
    (
        "/var/lib/mirrorfs/mirrors/",
        "a record for each mirror that is to be there again after a reboot",
    ),
    (
        "/var/lib/mirrorfs/logs/",
        "log files of mirrors that were made with log=auto",
    ),
    (
        "/run/mirrorfs/",
        "where mirrorfs.service mounts, if it is enabled",
    ),
];

/// Commands, each with what it is for.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "Copy one disk to another, use it meanwhile, and cut over when all is copied:",
        "mirrorfs /mnt/mirrors\n\
         echo \"old: /dev/sdb /dev/sdc\" > /mnt/mirrors/new\n\
         cat /mnt/mirrors/old/follow && echo finish > /mnt/mirrors/old/ctl",
    ),
    ("Why was a line refused?", "tail -n 1 /mnt/mirrors/events"),
    (
        "A line of fstab(5):",
        "mirrorfs /mnt/mirrors fuse.mirrorfs defaults,nofail 0 0",
    ),
];

/// The page in the language of man(7).
pub fn page() -> String {
    let mut roff = Roff::new();
    let version = concat!("mirrorfs ", env!("CARGO_PKG_VERSION"));
    roff.control(
        "TH",
        ["MIRRORFS", "8", DATE, version, "System administration"],
    );
    roff.control("SH", ["NAME"]);
    let about = env!("CARGO_PKG_DESCRIPTION");
    roff.text([roman(format!("mirrorfs - {about}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    for (number, line) in SYNOPSIS.iter().enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
        roff.text([bold(program), roman(format!(" {rest}"))]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut roff, DESCRIPTION);
    roff.control("SH", ["OPTIONS"]);
    let mut table = options::table();
    // Until then there is neither --help nor --version.
    table.build();
    let shown = table.get_arguments();
    let shown = shown.filter(|option| !option.is_hide_set());
    shown.for_each(|row| option(&mut roff, row));
    mount_options(&mut roff);
    tree(&mut roff);
    requests(&mut roff);
    roff.control("SH", ["VERBS"]);
    roff.text([roman("Lines for NAME/ctl:")]);
    for verb in VERBS {
        let arguments = format!(" {}", verb.arguments);
        entry(&mut roff, verb.name, arguments.trim_end(), verb.doc);
    }
    for (title, rows) in [
        ("EXIT STATUS", STATUS),
        ("ENVIRONMENT", ENVIRONMENT),
        ("FILES", FILES),
    ] {
        roff.control("SH", [title]);
        rows.iter()
            .for_each(|(words, doc)| entry(&mut roff, words, "", doc));
    }
    roff.control("SH", ["EXAMPLES"]);
    for (number, (doc, lines)) in EXAMPLES.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*doc)]);
        example(&mut roff, lines.lines());
    }
    see_also(&mut roff);
    roff.render()
}

fn option(roff: &mut Roff, option: &Arg) {
    let short = option.get_short().map(|short| format!("-{short}"));
    let long = option.get_long().map(|long| format!("--{long}"));
    let words: Vec<String> = short.into_iter().chain(long).collect();
    let mut values = String::new();
    if option.get_action().takes_values() {
        let names = option.get_value_names().unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let space = if words.is_empty() { "" } else { " " };
        values = format!("{space}{}", names.join(" "));
    }
    let mut doc = option
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    for value in option.get_possible_values() {
        let meaning = value.get_help().map(ToString::to_string);
        doc += &format!("; {}: {}", value.get_name(), meaning.unwrap_or_default());
    }
    entry(roff, &words.join(", "), &values, &doc);
}

fn mount_options(roff: &mut Roff) {
    roff.control("SH", ["MOUNT OPTIONS"]);
    for row in mount_option::OWN {
        let sign = if row.values.is_empty() { "" } else { "=" };
        entry(roff, &format!("{}{sign}", row.name), row.values, row.doc);
    }
    roff.control("PP", []);
    roff.text([roman(
        "The usual ones of mount(8), as ro, nodev and noexec, mean what they mean there.",
    )]);
}

fn tree(roff: &mut Roff) {
    roff.control("SH", ["THE TREE"]);
    for section in help::sections() {
        roff.control("SS", [section.title]);
        for file in section.entries {
            let access = match file.access.trim() {
                "r" => "",
                "w" => " (a command)",
                _ => " (can be written)",
            };
            entry(roff, &file.words, access, file.doc);
        }
    }
}

fn see_also(roff: &mut Roff) {
    roff.control("SH", ["SEE ALSO"]);
    let others = [
        ("dmsetup", "8"),
        ("losetup", "8"),
        ("lvmraid", "7"),
        ("mount.fuse3", "8"),
        ("fstab", "5"),
        ("systemd.service", "5"),
    ];
    let words = others
        .iter()
        .enumerate()
        .flat_map(|(number, (name, part))| {
            let comma = if number > 0 { ", " } else { "" };
            [roman(comma), bold(*name), roman(format!("({part})"))]
        });
    roff.text(words.collect::<Vec<Inline>>());
}

fn requests(roff: &mut Roff) {
    roff.control("SH", ["REQUESTS"]);
    roff.text([roman("Lines for new, in one of these forms:")]);
    example(roff, usage::FORMS.iter().copied());
    roff.control("PP", []);
    roff.text([roman(usage::WORDS)]);
    roff.text([roman("For example:")]);
    example(roff, usage::EXAMPLES.iter().copied());
    roff.control("SH", ["KEYS"]);
    roff.text([roman("Words behind the devices of the first form:")]);
    for key in KEYS {
        entry(roff, &format!("{}=", key.name), key.values, key.doc);
    }
}

/// A tagged paragraph: what is typed, what stands for something else, and its meaning.
fn entry(roff: &mut Roff, words: &str, values: &str, doc: &str) {
    roff.control("TP", []);
    roff.text([bold(words), italic(values)]);
    roff.text(inlines(doc));
}

fn paragraphs(roff: &mut Roff, texts: &[&str]) {
    for (number, text) in texts.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text(inlines(text));
    }
}

/// Lines as they stand.
fn example<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("PP", []);
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

/// What stands between backticks is bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| match number % 2 {
        0 => roman(part),
        _ => bold(part),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as a reader sees it, line ends apart.
    fn plain() -> String {
        let text = page().replace("\\-", "-").replace("\\*(Aq", "'");
        let fonts = ["\\fB", "\\fI", "\\fR"];
        fonts.iter().fold(text, |text, font| text.replace(font, ""))
    }

    #[test]
    fn whatever_a_table_has_is_in_it() {
        let text = plain();
        let has = |words: &str| {
            assert!(text.contains(words), "{words:?} is missing in:\n{text}");
        };
        for option in options::table().get_arguments() {
            let long = option.get_long().unwrap_or_default();
            assert_eq!(
                text.contains(&format!("--{long}")),
                !option.is_hide_set(),
                "{long}"
            );
            if let Some(short) = option.get_short() {
                has(&format!("-{short}"));
            }
        }
        let docs = |doc: &str| has(&doc.replace('`', ""));
        for row in mount_option::OWN {
            has(row.name);
            docs(row.doc);
        }
        for file in help::sections().iter().flat_map(|s| &s.entries) {
            has(&format!(".TP\n{}", file.words));
            docs(file.doc);
        }
        for key in KEYS {
            has(&format!(".TP\n{}={}", key.name, key.values));
            docs(key.doc);
        }
        for verb in VERBS {
            has(&format!(".TP\n{}", verb.name));
            docs(verb.doc);
        }
        usage::FORMS
            .iter()
            .chain(usage::EXAMPLES)
            .for_each(|l| has(l));
    }

    #[test]
    fn no_line_is_taken_for_a_request() {
        let known = [
            "TH", "SH", "SS", "TP", "PP", "IP", "RS", "RE", "nf", "fi", "br", "ie", "el",
        ];
        for line in page().lines().filter(|line| line.starts_with(['.', '\''])) {
            let name = line[1..].split(' ').next().unwrap_or_default();
            assert!(known.contains(&name), "{line}");
        }
    }
}

//! Random text, and lines that are nearly right, to everything that reads text.

use std::time::{Duration, Instant};

use mirrorfs::daemon::records::record::Record;
use mirrorfs::plan::verb;
use mirrorfs::text::device::DeviceRef;
use mirrorfs::text::disklog::Header;
use mirrorfs::text::mirror::Mirror;
use mirrorfs::text::new_request::NewRequest;
use mirrorfs::text::request::{parse_tables, take_force};
use mirrorfs::text::status::MirrorStatus;
use mirrorfs::text::table::{Line, Table};
use mirrorfs::text::{name, size};
use mirrorfs::tree::lines::commands;

use super::{seed, time};
use crate::cases::differential::Random;
use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only};

pub const CASES: &[Case] = &[embedded_only("any_text", "it mounts nothing", any_text)];

/// Pieces of lines, right and nearly right.
const PIECES: &[&str] = &[
    "0 ",
    "8 ",
    "4096 ",
    "18446744073709551615 ",
    "-1 ",
    "mirror ",
    "linear ",
    "error",
    "zero",
    "striped ",
    "core ",
    "disk ",
    "userspace ",
    "1 ",
    "2 ",
    "3 ",
    "sync ",
    "nosync ",
    "handle_errors",
    "keep_log",
    "/dev/sda ",
    "/a,b ",
    "/my\\ disk ",
    "8:16 ",
    "4095:1048575 ",
    "m0: ",
    "m0,,,,",
    "m,U-1,7,ro,",
    ",",
    ";",
    "\\",
    "@",
    "@1M",
    "@2s",
    "=",
    "log=auto ",
    "log=/x ",
    "region=64K ",
    "length=1G ",
    "sync=no ",
    "force=yes",
    "live=yes ",
    "\t",
    "\n",
    "\0",
    "\u{2003}",
    "\u{85}",
    "é",
    "\u{1f4a9}",
    "add ",
    "replace ",
    "drop ",
    "finish ",
    "grow ",
    "suspend noflush",
    "remove deferred",
    "crypt ",
    "A",
    "AD",
    "4/4 ",
    "1 AA ",
];

/// The most of one input.
const LONGEST: u64 = 2000;

/// The longest that one may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lines that are right, nearly right, or were once read in the wrong way: by parser.
const CORPUS: &[(&str, &str)] = &[
    ("requests", include_str!("../../corpus/requests")),
    ("verbs", include_str!("../../corpus/verbs")),
    ("tables", include_str!("../../corpus/tables")),
    ("statuses", include_str!("../../corpus/statuses")),
    ("names", include_str!("../../corpus/names")),
    ("sizes", include_str!("../../corpus/sizes")),
    ("devices", include_str!("../../corpus/devices")),
    ("records", include_str!("../../corpus/records")),
];

fn input(random: &mut Random) -> String {
    if random.one_in(2) {
        return changed(random);
    }
    let mut text = String::new();
    let length = if random.one_in(50) { LONGEST } else { 12 };
    for _ in 0..random.below(length) {
        match random.below(12) {
            0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
            1 => text.push_str(&random.below(u64::MAX).to_string()),
            _ => text.push_str(PIECES[random.below(PIECES.len() as u64) as usize]),
        }
    }
    text
}

/// A line of the corpus, a few of its characters others, gone, or twice there.
fn changed(random: &mut Random) -> String {
    let (_, corpus) = CORPUS[random.below(CORPUS.len() as u64) as usize];
    let lines: Vec<&str> = corpus.lines().collect();
    let line = lines[random.below(lines.len() as u64) as usize];
    let mut chars: Vec<char> = line.chars().collect();
    for _ in 0..random.below(4) {
        let at = random.below(chars.len().max(1) as u64) as usize;
        let other = char::from_u32(random.below(0x250) as u32);
        match (random.below(3), chars.get(at).copied(), other) {
            (0, Some(_), Some(other)) => chars[at] = other,
            (1, Some(_), _) => drop(chars.remove(at)),
            (2, Some(c), _) => chars.insert(at, c),
            _ => {}
        }
    }
    chars.into_iter().collect()
}

fn read_all(text: &str) {
    let mut said = Vec::new();
    let mut note = |error: Option<mirrorfs::error::Error>| said.extend(error);
    match NewRequest::parse(text) {
        Ok(mut wish) => {
            for place in wish.places() {
                note(place.settle(|_| false).err());
            }
            assert!(wish.devices().len() < 70_000);
        }
        Err(error) => note(Some(error)),
    }
    note(verb::parse(text).err());
    match parse_tables(take_force(text).0) {
        // What was read is read again as it is printed.
        Ok(table) => {
            let lines: Vec<String> = table.to_lines().iter().map(Line::to_string).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(Table::parse(&lines).as_ref(), Ok(&table), "{text:?}");
        }
        Err(error) => note(Some(error)),
    }
    note(MirrorStatus::parse(text).err());
    note(Mirror::parse(text, 4096).err());
    note(text.parse::<DeviceRef>().err());
    note(name::check(text).err());
    note(name::check_uuid(text).err());
    note(size::sectors(text, "it").err());
    note(Record::parse(text).err());
    let _ = Header::parse(text.as_bytes());
    for tables in [false, true] {
        let mut last = 0;
        for (end, line) in commands(tables, text.as_bytes()) {
            assert!(end > last && end <= text.len(), "{text:?}");
            last = end;
            note(line.err());
        }
        assert_eq!(last, text.len());
    }
    for error in said {
        let sentence = error.sentence();
        assert!(
            !sentence.is_empty() && !sentence.contains(char::is_control),
            "{sentence:?}"
        );
    }
}

fn any_text(_: &Lab) {
    let (seed, start) = (seed(), Instant::now());
    let (mut random, mut count) = (Random::new(seed), 0_u64);
    println!("MIRRORFS_SEED={seed}");
    let corpus = CORPUS.iter().flat_map(|(_, lines)| lines.lines());
    corpus.for_each(read_all);
    while start.elapsed() < time() {
        let text = input(&mut random);
        let began = Instant::now();
        read_all(&text);
        let took = began.elapsed();
        assert!(took < PATIENCE, "{took:?} for {text:?}");
        count += 1;
    }
    println!("{count} inputs");
}

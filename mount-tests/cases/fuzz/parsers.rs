//! A target for each parser: random text, and the lines of its corpus, right, nearly
//! right, or once read in the wrong way. None panics, hangs, or refuses without a
//! sentence.

use std::time::{Duration, Instant};

use mirrorfs::daemon::records::record::Record;
use mirrorfs::error::Error;
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

use super::input::input;
use super::{seed, time};
use crate::cases::differential::Random;
use crate::lab::case::{Case, embedded_only};

pub const CASES: &[Case] = &[
    target("requests", |_| fuzz(REQUESTS, requests)),
    target("lines_of_a_write", |_| fuzz(REQUESTS, lines_of_a_write)),
    target("verbs", |_| fuzz(include_str!("../../corpus/verbs"), verbs)),
    target("tables", |_| fuzz(TABLES, tables)),
    target("mirrors", |_| fuzz(TABLES, mirrors)),
    target("statuses", |_| {
        fuzz(include_str!("../../corpus/statuses"), statuses)
    }),
    target("names", |_| fuzz(include_str!("../../corpus/names"), names)),
    target("sizes", |_| fuzz(include_str!("../../corpus/sizes"), sizes)),
    target("devices", |_| {
        fuzz(include_str!("../../corpus/devices"), devices)
    }),
    target("records", |_| fuzz(RECORDS, records)),
    target("log_headers", |_| fuzz(RECORDS, log_headers)),
];

const REQUESTS: &str = include_str!("../../corpus/requests");
const TABLES: &str = include_str!("../../corpus/tables");
const RECORDS: &str = include_str!("../../corpus/records");

/// The lines of every corpus.
const ALL: &str = concat!(
    include_str!("../../corpus/requests"),
    include_str!("../../corpus/verbs"),
    include_str!("../../corpus/tables"),
    include_str!("../../corpus/statuses"),
    include_str!("../../corpus/names"),
    include_str!("../../corpus/sizes"),
    include_str!("../../corpus/devices"),
    include_str!("../../corpus/records"),
);

/// The longest that one input may take.
const PATIENCE: Duration = Duration::from_millis(500);

const fn target(name: &'static str, body: fn(&crate::lab::Lab)) -> Case {
    embedded_only(name, "it mounts nothing", body)
}

/// What is said of a text.
type Refusals = Vec<Error>;

fn fuzz(corpus: &str, read: fn(&str) -> Refusals) {
    let (seed, start) = (seed(), Instant::now());
    let (mut random, mut count) = (Random::new(seed), 0_u64);
    println!("MIRRORFS_SEED={seed}");
    // What is right for one parser comes to the others too.
    ALL.lines().for_each(|line| check(line, read));
    let time = time() / CASES.len() as u32;
    while start.elapsed() < time {
        let from = if random.one_in(4) { ALL } else { corpus };
        check(&input(&mut random, from), read);
        count += 1;
    }
    println!("{count} inputs");
}

fn check(text: &str, read: fn(&str) -> Refusals) {
    let began = Instant::now();
    let refusals = read(text);
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?} for {text:?}");
    for error in refusals {
        let sentence = error.sentence();
        assert!(
            !sentence.is_empty() && !sentence.contains(char::is_control),
            "{sentence:?} for {text:?}"
        );
    }
}

fn refusal<T>(result: Result<T, Error>) -> Refusals {
    result.err().into_iter().collect()
}

fn requests(text: &str) -> Refusals {
    let mut request = match NewRequest::parse(text) {
        Ok(request) => request,
        Err(error) => return vec![error],
    };
    let places = request.places().into_iter();
    let refused = places
        .filter_map(|place| place.settle(|_| false).err())
        .collect();
    assert!(request.devices().len() < 70_000);
    refused
}

fn lines_of_a_write(text: &str) -> Refusals {
    let mut refused = Vec::new();
    for tables in [false, true] {
        let mut last = 0;
        for (end, line) in commands(tables, text.as_bytes()) {
            assert!(end > last && end <= text.len(), "{text:?}");
            last = end;
            refused.extend(line.err());
        }
        assert_eq!(last, text.len());
    }
    refused
}

fn verbs(text: &str) -> Refusals {
    refusal(verb::parse(text))
}

fn tables(text: &str) -> Refusals {
    let table = match parse_tables(take_force(text).0) {
        Ok(table) => table,
        Err(error) => return vec![error],
    };
    // What was read is read again as it is printed.
    let lines: Vec<String> = table.to_lines().iter().map(Line::to_string).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(Table::parse(&lines).as_ref(), Ok(&table), "{text:?}");
    Vec::new()
}

fn mirrors(text: &str) -> Refusals {
    refusal(Mirror::parse(text, 4096))
}

fn statuses(text: &str) -> Refusals {
    refusal(MirrorStatus::parse(text))
}

fn names(text: &str) -> Refusals {
    [name::check(text), name::check_uuid(text)]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

fn sizes(text: &str) -> Refusals {
    refusal(size::sectors(text, "it"))
}

fn devices(text: &str) -> Refusals {
    refusal(text.parse::<DeviceRef>())
}

fn records(text: &str) -> Refusals {
    refusal(Record::parse(text))
}

fn log_headers(text: &str) -> Refusals {
    let _ = Header::parse(text.as_bytes());
    Vec::new()
}

//! Tests of all text together: what is printed is read back, and no text makes
//! a reader panic or repeat a control character.

use std::time::Duration;

use nix::time::ClockId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::device::{DevNo, DeviceRef};
use super::disklog::{self, Header};
use super::log::{Log, Sync};
use super::mirror::{Features, Leg, Mirror};
use super::name;
use super::new_request::NewRequest;
use super::place::Place;
use super::request::{Request, parse_tables};
use super::simple_request::{LogAt, SimpleRequest};
use super::status::{LogStatus, MirrorStatus};
use super::table::{Line, Linear, Mapping, Table, Target};
use super::units;
use super::words::{Words, cut, unescape};
use crate::text::letter::Letter;

fn device() -> impl Strategy<Value = DeviceRef> {
    let number = (0..4096_u32, 0..1_u32 << 20);
    prop_oneof![
        number.prop_map(|(major, minor)| DeviceRef::Number(DevNo { major, minor })),
        r"/[a-z0-9 ,;:\\#é-]{0,20}".prop_map(|path| DeviceRef::Path(path.into())),
    ]
}

fn sync() -> impl Strategy<Value = Option<Sync>> {
    option::of(prop_oneof![Just(Sync::Sync), Just(Sync::NoSync)])
}

fn log() -> impl Strategy<Value = Log> {
    let region = (1..12_u32).prop_map(|power| 1 << power);
    prop_oneof![
        (region.clone(), sync()).prop_map(|(region, sync)| Log::Core { region, sync }),
        (device(), region, sync()).prop_map(|(device, region, sync)| Log::Disk {
            device,
            region,
            sync
        }),
        vec("[a-zA-Z0-9:_-]{1,12}", 3..7).prop_map(|args| Log::Userspace { args }),
    ]
}

fn features() -> impl Strategy<Value = Features> {
    prop_oneof![
        Just((false, false)),
        Just((true, false)),
        Just((true, true))
    ]
    .prop_map(|(handle_errors, keep_log)| Features {
        handle_errors,
        keep_log,
    })
}

fn mirror() -> impl Strategy<Value = Mirror> {
    let leg = (device(), 0..1_u64 << 50).prop_map(|(device, offset)| Leg { device, offset });
    (log(), vec(leg, 2..=9), features()).prop_map(|(log, legs, features)| Mirror {
        log,
        legs,
        features,
    })
}

fn mapping() -> impl Strategy<Value = Mapping> {
    let linear = (device(), 0..1_u64 << 50);
    prop_oneof![
        mirror().prop_map(Mapping::Mirror),
        linear.prop_map(|(device, offset)| Mapping::Linear(Linear { device, offset })),
        ("x[a-z-]{0,14}", r"([!-~é]([ -~]{0,9}[!-\[\]-~])?)?")
            .prop_map(|(kind, params)| Mapping::Other { kind, params }),
    ]
}

/// A table without gaps, its first target a mirror.
fn table() -> impl Strategy<Value = Table> {
    let mappings = (mirror(), vec(mapping(), 0..3));
    (mappings, vec(4096..1_u64 << 32, 3)).prop_map(|((mirror, others), lengths)| {
        let mut start = 0;
        let mappings = std::iter::once(Mapping::Mirror(mirror)).chain(others);
        let targets = mappings.zip(lengths).map(|(mapping, length)| {
            start += length;
            Target {
                start: start - length,
                length,
                mapping,
            }
        });
        Table {
            targets: targets.collect(),
        }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let minor = option::of(0..1_u32 << 20);
    let name = option::of(
        "[A-Za-z0-9#+.:=@_-]{1,30}".prop_filter("reserved", |name| name::check(name).is_ok()),
    );
    let uuid = option::of(r"M[!-+\--~]{0,30}");
    (name, uuid, minor, any::<bool>(), table()).prop_map(|(name, uuid, minor, read_only, table)| {
        Request {
            name,
            uuid,
            minor,
            read_only,
            table,
        }
    })
}

fn place() -> impl Strategy<Value = Place> {
    let named = r"/[a-z0-9@-]{0,20}".prop_map(|path| DeviceRef::Path(path.into()));
    let device = prop_oneof![device(), named];
    (device, 0..1_u64 << 50).prop_map(|(device, offset)| Place::at(device, offset))
}

fn short() -> impl Strategy<Value = SimpleRequest> {
    let log = prop_oneof![
        Just(LogAt::Auto),
        Just(LogAt::Core),
        device().prop_map(LogAt::Device)
    ];
    let size = || option::of(0..1_u64 << 50);
    let map = option::of(r"/[a-z0-9@-]{0,20}".prop_map(|path| DeviceRef::Path(path.into())));
    let places = (place(), vec(place(), 1..9), map);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let region = option::of((0..40_u32).prop_map(|power| 1_u64 << power));
    let sizes = (size(), size(), option::of(any::<u32>()));
    (places, sizes, region, log, flags).prop_map(
        |((source, targets, map), (length, limit, segments), region, log, flags)| {
            let (equal, hold, live, force) = flags;
            SimpleRequest {
                source,
                targets,
                length,
                region,
                log,
                equal,
                hold,
                live,
                limit,
                segments,
                map,
                force,
            }
        },
    )
}

fn status() -> impl Strategy<Value = MirrorStatus> {
    let word = "[a-zA-Z0-9:_-]{1,9}";
    let log = prop_oneof![
        Just(LogStatus::Core),
        (word, "[!-~]").prop_map(|(device, letter)| LogStatus::Disk {
            device,
            health: letter.chars().next().unwrap().into()
        }),
        vec("[a-z][a-z0-9:]{0,9}", 1..5).prop_map(|words| LogStatus::Other { words }),
        vec("[a-z][a-z0-9:]{0,9}", 4..6).prop_map(|mut words| {
            words.insert(0, words.len().to_string());
            LogStatus::Other { words }
        }),
    ];
    let legs = vec((word, proptest::char::range('?', 'Z')), 1..10);
    (legs, any::<u64>(), any::<u64>(), log).prop_map(|(legs, in_sync, total, log)| {
        let legs = legs
            .into_iter()
            .map(|(device, letter)| (device, Letter::from(letter)));
        let (devices, health) = legs.unzip();
        MirrorStatus {
            devices,
            in_sync,
            total,
            health,
            log,
        }
    })
}

/// Words that stand in tables, in no order: closer to the parsers' branches
/// than any random text.
fn soup() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "8",
        "1024",
        "4096",
        "4294967296",
        "18446744073709551615",
        "99999999999999999999",
        "-1",
        "mirror",
        "linear",
        "error",
        "core",
        "disk",
        "userspace",
        "sync",
        "nosync",
        "8:0",
        "8:1",
        "/dev/sda",
        "handle_errors",
        "keep_log",
        "clustered-core",
        "m0:",
        "m0,,,,0",
        ",",
        "\\",
        ";",
        "\\,",
        "1/2",
        "AA",
        "A",
        "\t",
        "\0",
        "é",
        "",
    ]);
    let gap = prop::sample::select(vec![" ", "  ", ",", "\\ ", ""]);
    vec((words, gap), 0..20).prop_map(|pairs| {
        let pieces = pairs.into_iter().map(|(word, gap)| format!("{word}{gap}"));
        pieces.collect()
    })
}

/// A line whose beginning is right, so that its end is reached.
fn nearly() -> impl Strategy<Value = String> {
    (request(), any::<prop::sample::Index>(), soup()).prop_map(|(request, at, soup)| {
        let line = request.to_string();
        let keep = at.index(line.chars().count() + 1);
        line.chars().take(keep).chain(soup.chars()).collect()
    })
}

/// Give `text` to everything that reads text.
fn read_all(text: &str) {
    let line = |kind: &str| Line {
        start: u64::MAX,
        length: u64::MAX,
        kind: kind.to_owned(),
        params: text.to_owned(),
    };
    let table = Table::from_lines(&[line("mirror"), line("linear"), line(text)]);
    let _ = (table.length(), table.mirrors().count(), table.to_lines());
    for length in [0, 1, 4096, u64::MAX] {
        if let Ok(mirror) = Mirror::parse(text, length) {
            let _ = (mirror.regions(length), mirror.sync(), mirror.to_string());
        }
    }
    let read: [Option<String>; 6] = [
        NewRequest::parse(text).map_err(|e| e.to_string()).err(),
        SimpleRequest::parse(text).map_err(|e| e.to_string()).err(),
        parse_tables(text).map_err(|e| e.to_string()).err(),
        MirrorStatus::parse(text).map_err(|e| e.to_string()).err(),
        name::check(text).map_err(|e| e.to_string()).err(),
        text.parse::<DeviceRef>().map_err(|e| e.to_string()).err(),
    ];
    for sentence in read.into_iter().flatten() {
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
    }
    let _ = (name::check_uuid(text), Target::parse(text), cut(text));
    let _ = (Words::new(text).rest(), unescape(text, |_| true));
}

proptest! {
    // What fails becomes a test by hand: no file appears in the checkout.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn devices_come_back(device in device()) {
        prop_assert_eq!(device.to_string().parse(), Ok(device));
    }

    #[test]
    fn mirrors_come_back(mirror in mirror()) {
        prop_assert_eq!(Mirror::parse(&mirror.to_string(), 4096), Ok(mirror));
    }

    #[test]
    fn tables_come_back(table in table()) {
        let lines = table.to_lines();
        prop_assert_eq!(&Table::from_lines(&lines), &table);
        let text: Vec<String> = lines.iter().map(Line::to_string).collect();
        let text: Vec<&str> = text.iter().map(String::as_str).collect();
        prop_assert_eq!(Table::parse(&text), Ok(table));
    }

    #[test]
    fn a_table_of_one_line_can_be_written_again(table in table()) {
        let one = Table { targets: table.targets.into_iter().take(1).collect() };
        let line = one.targets[0].to_string();
        prop_assert_eq!(parse_tables(&line), Ok(one.clone()));
        let request = Request::parse(&format!("m0: {line}\n")).unwrap();
        prop_assert_eq!(request.table, one);
    }

    #[test]
    fn requests_come_back(request in request()) {
        prop_assert_eq!(Request::parse(&request.to_string()), Ok(request));
    }

    #[test]
    fn short_forms_come_back(short in short()) {
        let line = format!("m0: {short}");
        prop_assert_eq!(NewRequest::parse(&line), Ok(NewRequest::SimpleRequest(Some("m0".into()), short)));
    }

    #[test]
    fn statuses_come_back(status in status()) {
        prop_assert_eq!(MirrorStatus::parse(&status.to_string()), Ok(status));
    }

    #[test]
    fn log_headers_come_back(version: u32, regions: u64, tail in vec(any::<u8>(), 0..9)) {
        let header = Header { version, regions };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(tail);
        prop_assert_eq!(Header::parse(&bytes), Some(header));
    }

    #[test]
    fn logs_are_counted_and_sized(bits in vec(any::<u8>(), 0..40), regions in 0..400_u64, block: u64) {
        let clean = |region: &u64| bits.get((region / 8) as usize).is_some_and(|b| b >> (region % 8) & 1 == 1);
        let counted = (0..regions).filter(clean).count() as u64;
        prop_assert_eq!(disklog::clean_regions(&bits, regions), counted);
        let size = disklog::size_for(regions, 512).unwrap();
        prop_assert!(size >= 1024 + regions.div_ceil(8) && size.is_multiple_of(512));
        let _ = (disklog::size_for(block, regions), Header::parse(&bits));
    }

    #[test]
    fn nothing_panics(text: String, soup in soup(), nearly in nearly()) {
        for text in [text, soup, nearly] {
            read_all(&text);
        }
    }

    #[test]
    fn figures_are_never_rounded_up(done: u64, total: u64) {
        let _ = (units::amounts(done, total), units::rate(done), units::duration(done));
        let complete = units::percent(done, total) == "100.00";
        prop_assert_eq!(complete, total > 0 && done >= total);
    }
}

/// Inputs that once took time by the square of their length, or could.
const WORST: &[(&str, &str)] = &[
    ("", ","),
    ("", "1\u{2003},,"),
    ("0 8 error", ",0 8 x"),
    ("0 8 mirror core 1 8 2 ", "/a 0 "),
    (
        "a,,,,0 8 mirror core 1 8 2 /a,b 0 /c 0",
        ",0 1 handle_errors",
    ),
    ("", "/a "),
    ("/a ", "@1"),
    ("/a /b ", "force=yes "),
    ("add /a", "\\ "),
    ("", "\\"),
    ("0 8 crypt ", "x "),
    ("0 ", " "),
];

/// The time that this thread has had a processor, which others do not lengthen.
fn worked() -> Duration {
    let worked = ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap();
    Duration::from(worked)
}

#[test]
fn what_is_longer_takes_no_more_than_it_is_longer() {
    let time = |(begin, piece): &(&str, &str), length: usize| {
        let text = (*begin).to_owned() + &piece.repeat(length / piece.len());
        let once = || {
            let start = worked();
            read_all(&text);
            worked().saturating_sub(start)
        };
        (0..5).map(|_| once()).min().unwrap_or_default()
    };
    for worst in WORST {
        let (short, long) = (time(worst, 8 << 10), time(worst, 64 << 10));
        // Eight times as much: by the square of its length it would be 64 times. What
        // takes no time at all is measured badly.
        let most = (short * 24).max(Duration::from_millis(5));
        assert!(long < most, "{worst:?}: {short:?} and {long:?}");
    }
}

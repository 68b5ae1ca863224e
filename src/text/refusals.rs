//! Tests that every reason for which the kernel refuses a mirror is found before
//! it is asked, with its words and the offending one.

use super::mirror::Mirror;
use crate::error::Errno;

/// The rows that the tests on a real kernel take too.
const SHARED: &str = include_str!("../../mount-tests/corpus/refused");

/// Sectors of the target.
const LENGTH: u64 = 8192;

/// Those that no kernel is asked: the parameters, the kernel's words, the word or number
/// that is named.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "Insufficient mirror log arguments", "LOG_TYPE"),
    (
        "core 4294967295 8",
        "Insufficient mirror log arguments",
        "4294967295",
    ),
    (
        "core 4294967296 8",
        "Invalid mirror log argument count",
        "4294967296",
    ),
    (
        "disk 4 /log 8 sync x 2 8:0 0",
        "wrong number of arguments to disk dirty region log",
        "found 4",
    ),
    (
        "disk 2 log 8 2 8:0 0 8:1 0",
        "Error creating mirror dirty log",
        "\"log\"",
    ),
    (
        "userspace 2 U clustered-core",
        "Too few arguments to userspace dirty log",
        "found 2",
    ),
    ("core 1 8 2 8:0 -8 8:1 0", "Invalid offset", "\"-8\""),
    (
        "core 1 8 2 8:0 0 8:1 18446744073709551616",
        "Invalid offset",
        "18446744073709551616",
    ),
    (
        "core 1 8 2 8:0 0 8:1 18014398509481983",
        "Invalid offset",
        "18014398509481983",
    ),
];

fn check(params: &str, kernel: &str, word: &str) {
    let error = Mirror::parse(params, LENGTH).unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    assert!(error.sentence().starts_with(kernel), "{params}: {error}");
    assert!(error.sentence().contains(word), "{params}: {error}");
}

#[test]
fn every_reason_of_the_kernel_is_found_and_named() {
    let rows = SHARED.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [kernel, word, params] = columns[..] else {
            panic!("three columns: {row}");
        };
        let params = params.replace("{a}", "8:0").replace("{b}", "8:1");
        check(&params.replace("{log}", "/log"), kernel, word);
        count += 1;
    }
    assert!(count > 30, "{count}");
    for &(params, kernel, word) in REFUSED {
        check(params, kernel, word);
    }
    let long = format!("userspace 3 {} clustered-core 8", "u".repeat(129));
    let error = Mirror::parse(&long, LENGTH).unwrap_err();
    assert!(error.sentence().starts_with("UUID argument too long"));
}

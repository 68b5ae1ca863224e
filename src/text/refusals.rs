//! Tests that every reason for which the kernel refuses a mirror is found before
//! it is asked, with its words and the offending one.

use super::mirror::Mirror;
use crate::error::Errno;

/// Each reason of `mirror_ctr` and what it calls, in a target of 4096 sectors:
/// the parameters, the kernel's words, the word or number that is named.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "Insufficient mirror log arguments", "LOG_TYPE"),
    ("core", "Insufficient mirror log arguments", "LOG_TYPE"),
    ("core x 8", "Invalid mirror log argument count", "\"x\""),
    ("core -1 8", "Invalid mirror log argument count", "\"-1\""),
    ("core 1", "Insufficient mirror log arguments", "core 1"),
    ("core 5 8 2", "Insufficient mirror log arguments", "core 5"),
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
        "cord 1 8 2 8:0 0 8:1 0",
        "Module for logging type \"cord\" not found",
        "cord",
    ),
    (
        "core 0 2 8:0 0 8:1 0",
        "wrong number of arguments to dirty region log",
        "found 0",
    ),
    (
        "core 3 8 sync x 2 8:0 0 8:1 0",
        "wrong number of arguments to dirty region log",
        "found 3",
    ),
    (
        "core 2 8 snyc 2 8:0 0 8:1 0",
        "unrecognised sync argument",
        "\"snyc\"",
    ),
    (
        "core 1 1000 2 8:0 0 8:1 0",
        "invalid region size 1000",
        "power of two",
    ),
    (
        "core 1 8192 2 8:0 0 8:1 0",
        "invalid region size 8192",
        "4096",
    ),
    ("core 1 1 2 8:0 0 8:1 0", "invalid region size 1", "from 2"),
    ("core 1 0 2 8:0 0 8:1 0", "invalid region size 0", "from 2"),
    ("core 1 +8 2 8:0 0 8:1 0", "invalid region size +8", "+8"),
    ("core 1 8k 2 8:0 0 8:1 0", "invalid region size 8k", "8k"),
    (
        "core 1 4294967296 2 8:0 0 8:1 0",
        "invalid region size 4294967296",
        "2147483648",
    ),
    (
        "disk 1 /log 2 8:0 0 8:1 0",
        "wrong number of arguments to disk dirty region log",
        "found 1",
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
    ("disk 2 /log 7 2 8:0 0 8:1 0", "invalid region size 7", "7"),
    (
        "disk 3 /log 8 no 2 8:0 0 8:1 0",
        "unrecognised sync argument",
        "\"no\"",
    ),
    (
        "userspace 2 U clustered-core",
        "Too few arguments to userspace dirty log",
        "found 2",
    ),
    ("core 1 8", "Invalid number of mirrors", "number of legs"),
    ("core 1 8 x", "Invalid number of mirrors", "\"x\""),
    ("core 1 8 1 8:0 0", "Invalid number of mirrors", "1 leg"),
    ("core 1 8 10 8:0 0", "Invalid number of mirrors", "10 legs"),
    (
        "core 1 8 2 8:0 0 8:1",
        "Too few mirror arguments",
        "2 legs need 4 words",
    ),
    ("core 1 8 2 8:0 0 8:1 x", "Invalid offset", "\"x\""),
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
    ("core 1 8 2 8:0 0 sdb 0", "Device lookup failure", "\"sdb\""),
    (
        "core 1 8 2 8:0 0 8:1 0 x",
        "Invalid number of features",
        "\"x\"",
    ),
    (
        "core 1 8 2 8:0 0 8:1 0 1",
        "Not enough arguments to support feature count",
        "1 feature",
    ),
    (
        "core 1 8 2 8:0 0 8:1 0 1 errors",
        "Unrecognised feature requested",
        "\"errors\"",
    ),
    (
        "core 1 8 2 8:0 0 8:1 0 1 keep_log",
        "keep_log feature requires the handle_errors",
        "keep_log",
    ),
    (
        "core 1 8 2 8:0 0 8:1 0 0 x",
        "Too many mirror arguments",
        "\"x\"",
    ),
    (
        "core 1 8 2 8:0 0 8:1 0 1 handle_errors x",
        "Too many mirror arguments",
        "\"x\"",
    ),
];

#[test]
fn every_reason_of_the_kernel_is_found_and_named() {
    for &(params, kernel, word) in REFUSED {
        let error = Mirror::parse(params, 4096).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
        assert!(error.sentence().starts_with(kernel), "{params}: {error}");
        assert!(error.sentence().contains(word), "{params}: {error}");
    }
    let long = format!("userspace 3 {} clustered-core 8", "u".repeat(129));
    let error = Mirror::parse(&long, 4096).unwrap_err();
    assert!(error.sentence().starts_with("UUID argument too long"));
}

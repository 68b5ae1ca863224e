//! Whether this is the virtual machine of the tests. Its devices are all theirs; on any
//! other machine nothing is that a test has not made.

use std::fs;

/// The word by which `mount-tests/vm` tells its guests.
const WORD: &str = "mirrorfs.tests";

/// Whether this machine is there for the tests.
pub fn is_guest() -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    line.split_whitespace().any(|word| word == WORD)
}

/// For tests that make devices of device-mapper.
pub fn no_guest() -> Option<&'static str> {
    (!is_guest()).then_some(
        "tests that make devices run in a virtual machine alone: `mount-tests/run` brings it up",
    )
}

//! A copy that goes on by steps: with a limit, paused, and a long one, of which an error
//! hurts little.

mod errors;
mod kept;
mod limits;
mod long_copies;

use std::time::Instant;

use super::failover::rig::NO_IO;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::mount::Mount;
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("limit", limits::limit),
    both("paused", limits::paused),
    both("paused_from_the_start", limits::paused_from_the_start),
    both("what_is_no_limit", limits::what_is_no_limit),
    both("in_memory", limits::in_memory),
    both("after_a_reboot", kept::after_a_reboot),
    both("verbs", kept::verbs),
    both("grown", kept::grown),
    kernel_only("killed_in_a_step", NO_IO, kept::killed_in_a_step),
    kernel_only(
        "an_error_hurts_little",
        NO_IO,
        errors::an_error_hurts_little,
    ),
    kernel_only("a_slow_disk", NO_IO, errors::a_slow_disk),
    kernel_only("a_slow_read", NO_IO, errors::a_slow_read),
    kernel_only(
        "a_long_copy",
        "its legs are mappings of zeros",
        long_copies::a_long_copy,
    ),
    kernel_only(
        "known_far_behind",
        "its legs are mappings of zeros",
        long_copies::known_far_behind,
    ),
    kernel_only(
        "rates",
        "its legs are mappings of zeros",
        long_copies::rates,
    ),
];

const SIZE: u64 = 48 * MIB;

/// A mirror of random bytes on noise, with these words.
struct Copied {
    mount: Mount,
    source: String,
    target: String,
}

impl Copied {
    fn new(lab: &Lab, mount: Mount, words: &str) -> Copied {
        let source = lab.random(0, SIZE);
        let (target, _) = lab.noise(1, SIZE);
        let line = format!("m: {source} {target} region=128K length=48M {words}");
        mount.write("new", &line);
        Copied {
            mount,
            source,
            target,
        }
    }

    fn m(&self, file: &str) -> String {
        self.mount.read(&format!("m/{file}"))
    }

    fn done(&self) -> u64 {
        done(&self.mount)
    }

    /// All of it is copied, and one target again.
    fn assert_whole(&self) {
        self.mount.wait_in_sync("m");
        wait_for("one target", || self.m("table").lines().count() == 1);
        // Its last switch may not be over.
        wait_for("it is healthy", || self.m("health").starts_with("ok\n"));
        assert_equal(&self.source, &self.target, SIZE);
    }

    fn remove(&self) {
        self.mount.write("m/ctl", "remove");
    }
}

pub(crate) fn done(mount: &Mount) -> u64 {
    let text = mount.read("m/sync/bytes_done");
    text.trim().parse().expect(&text)
}

/// When so much is copied.
fn when(mount: &Mount, bytes: u64) -> Instant {
    let mut at = Instant::now();
    wait_longer(120, "so much is copied", || {
        at = Instant::now();
        done(mount) >= bytes
    });
    at
}

//! `check` and `repair`: what differs is found, exactly, and mended, and nothing else is.

mod found;
mod kept;
mod load;
mod mended;
mod pace;

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libc::O_DIRECT;
use nix::errno::Errno;

use super::failover::rig::NO_IO;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("planted", found::planted),
    both("many_places", found::many_places),
    both("not_of_other_legs", found::not_of_other_legs),
    both("at_offsets", found::at_offsets),
    both("several_mirrors", found::several_mirrors),
    kernel_only(
        "large_blocks",
        "its leg is a loop device",
        found::large_blocks,
    ),
    both("grown_meanwhile", found::grown_meanwhile),
    both("refused", found::what_is_refused),
    both("polled", found::polled),
    both("mended", mended::mended),
    both("from_another_leg", mended::from_another_leg),
    both("without_a_check_before", mended::without_a_check_before),
    both("asked_for_meanwhile", mended::asked_for_meanwhile),
    both("stopped_and_paused", pace::stopped_and_paused),
    both("limited", pace::limited),
    both("killed_in_a_check", kept::killed_in_a_check),
    both("after_a_reboot", kept::after_a_reboot),
    kernel_only("killed_in_a_repair", NO_IO, kept::killed_in_a_repair),
    kernel_only(
        "killed_while_io_is_held",
        NO_IO,
        kept::killed_while_io_is_held,
    ),
    kernel_only("a_leg_fails", NO_IO, kept::a_leg_fails),
    kernel_only("bad_spots", NO_IO, kept::bad_spots),
    kernel_only("what_is_left_out", NO_IO, kept::what_is_left_out),
    kernel_only("under_writes", NO_IO, mended::under_writes),
    kernel_only("what_is_dirty", NO_IO, mended::what_is_dirty),
    kernel_only("beside_a_writer", NO_IO, pace::beside_a_writer),
    kernel_only("beside_cmp", "its legs are mappings", pace::beside_cmp),
    kernel_only("on_fio", NO_IO, load::on_fio)
        .within(4_000)
        .needing(super::load::programs),
    kernel_only("on_ext4", NO_IO, load::on_ext4)
        .within(4_000)
        .needing(super::load::programs),
    kernel_only("on_xfs", NO_IO, load::on_xfs)
        .within(4_000)
        .needing(super::load::programs),
    kernel_only("on_swap", NO_IO, load::on_swap).within(4_000),
];

/// Bytes of each mirror, and of its regions.
const SIZE: u64 = 64 * MIB;
const REGION: u64 = 128 << 10;

/// A mirror `m` of random bytes that is in sync.
struct Compared {
    mount: Mount,
    legs: Vec<String>,
}

impl Compared {
    fn new(lab: &Lab, legs: usize) -> Compared {
        Compared::on(lab, lab.mount(), legs)
    }

    /// Its source has random bytes, the others have others at first.
    fn on(lab: &Lab, mount: Mount, legs: usize) -> Compared {
        let leg = |number: usize| match number {
            0 => lab.random(0, SIZE),
            _ => lab.noise(number, SIZE).0,
        };
        let legs = (0..legs).map(leg).collect();
        Compared::made_of(mount, legs)
    }

    fn made_of(mount: Mount, legs: Vec<String>) -> Compared {
        Compared::made_of_length(mount, legs, SIZE / MIB)
    }

    /// The same of so many MiB.
    fn made_of_length(mount: Mount, legs: Vec<String>, length: u64) -> Compared {
        let line = format!(
            "m: {} region=128K length={length}M force=yes",
            legs.join(" ")
        );
        mount.write("new", &line);
        mount.wait_in_sync("m");
        Compared { mount, legs }
    }

    fn m(&self, file: &str) -> String {
        self.mount.read(&format!("m/{file}"))
    }

    fn ctl(&self, verb: &str) {
        self.mount.write("m/ctl", verb);
    }

    /// Set a limit; whoever moves the front of a copy may be at it.
    fn limit(&self, limit: &str) {
        let mut refused = String::new();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            match self.mount.try_write("m/sync/limit", limit) {
                // Its record takes as long as the disk does.
                Ok(_) | Err((Errno::EINPROGRESS, _)) => return,
                Err((_, why)) => refused = why,
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the limit is not set: {refused}");
    }

    /// The text of `check` once this verb has come to its end.
    fn compare(&self, verb: &str) -> String {
        self.ctl(verb);
        self.ended()
    }

    fn ended(&self) -> String {
        let mut text = self.m("check");
        for _ in 0..1200 {
            if !text.starts_with("running ") {
                return text;
            }
            sleep(Duration::from_millis(100));
            text = self.m("check");
        }
        let (status, events) = (self.m("status"), self.mount.read("events"));
        panic!("it does not end:\n{text}{status}{events}");
    }

    /// What the last check has found, without its first line.
    fn places(&self) -> Vec<String> {
        self.m("check").lines().skip(1).map(String::from).collect()
    }

    /// How far a check is that runs, in percent.
    fn percent(&self) -> f64 {
        let text = self.m("check");
        let word = text.split_whitespace().nth(1).expect("a word");
        let number = word.trim_end_matches([',', '%']);
        number.parse().unwrap_or(0.0)
    }

    /// Wait until it is as far as that.
    fn when(&self, percent: f64) {
        wait_longer(60, &format!("{percent} % are compared"), || {
            self.percent() >= percent || !self.m("check").starts_with("running")
        });
    }

    /// Have a leg differ in the sectors of these bytes.
    fn plant(&self, leg: usize, bytes: &[u64]) {
        plant(&self.legs[leg], bytes);
    }

    /// Wait until `events` has this.
    fn told(&self, event: &str) {
        wait_for(&format!("{event:?} in events"), || {
            self.mount.read("events").contains(event)
        });
    }

    fn remove(&self) {
        self.ctl("remove");
    }
}

/// A sector at an address that O_DIRECT takes.
#[repr(C, align(4096))]
struct Sector([u8; 512]);

/// Change these bytes of a disk, behind the back of everybody.
fn plant(disk: &str, bytes: &[u64]) {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(O_DIRECT);
    let file = options.open(disk).expect(disk);
    let mut sector = Box::new(Sector([0; 512]));
    for byte in bytes {
        let start = byte - byte % 512;
        file.read_exact_at(&mut sector.0, start).expect("a sector");
        sector.0[(byte % 512) as usize] ^= 0x5a;
        file.write_all_at(&sector.0, start).expect("written");
    }
}

/// Whether all was compared and nothing differs.
fn is_clean(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("done ")
        && first.contains(", 0 bytes differ in 0 places")
        && text.lines().count() == 1
}

/// The digest of a disk's bytes that are in the mirror, as others make it.
fn sum(leg: &str) -> String {
    let line = format!("blockdev --flushbufs {leg} 2>/dev/null; head -c {SIZE} {leg} | sha256sum");
    let text = output(&line);
    text.split_whitespace().next().expect("a digest").into()
}

/// A line of what differs, of so many sectors from this byte on.
fn differs(byte: u64, sectors: u64, legs: &str) -> String {
    let (start, size) = (byte - byte % 512, sectors * 512);
    format!("differs 0x{start:08X} 0x{size:08X} legs {legs}")
}

//! Targets whose disk fails after write(2) has succeeded: what is met by the
//! writeback must reach the count, the log and the letters, whoever meets it first.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::DiskLog;
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::engine::no_loops;
use crate::lab::guest::no_guest;
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::writeback::Late;
use crate::lab::{Lab, wait_longer};

const FILES: &str =
    "a file is a leg of the kernel's by way of a loop device, which has no page cache of its own";

pub const CASES: &[Case] = &[
    embedded_only("error_zone", FILES, error_zone).needing(no_mappings),
    embedded_only("late_allocation", FILES, late_allocation).needing(no_loops),
    embedded_only("large_regions", FILES, large_regions).needing(no_loops),
    embedded_only("stopped_in_between", FILES, stopped_in_between).needing(no_loops),
    embedded_only("restarted_in_between", FILES, restarted_in_between).needing(no_loops),
];

/// Bytes of these mirrors: three times what may be on its way to a disk.
const SIZE: u64 = 96 * MIB;

/// What a disk that runs full still takes: less than may be on its way.
const ROOM: u64 = 8 * MIB;

fn no_mappings() -> Option<&'static str> {
    // The disk below is a mapping that breaks.
    no_guest().or_else(no_loops)
}

/// A mirror of a source of noise and this target; its regions have `region` bytes.
fn mirror(lab: &Lab, target: &Late, region: u64) -> (Mount, String) {
    let (source, _) = lab.noise(0, SIZE);
    let mount = lab.mount();
    let (log, sectors, region) = (mount.scratch("log"), SIZE / 512, region / 512);
    let path = &target.path;
    target.fail();
    mount.write(
        "new",
        &format!(
            "m: 0 {sectors} mirror disk 2 {log} {region} 2 {source} 0 {path} 0 1 handle_errors"
        ),
    );
    (mount, source)
}

/// Wait until nothing more is copied. After a resume the state stays as it was for a
/// moment.
fn wait_ended(mount: &Mount) {
    let mut last = (String::new(), Instant::now());
    wait_longer(60, "the copy ends", || {
        let now = mount.read("m/status") + &mount.read("m/sync/state");
        if now != last.0 {
            last = (now, Instant::now());
        }
        let still = last.1.elapsed() > Duration::from_millis(2500);
        still && !last.0.ends_with("\nsyncing\n")
    });
}

/// The regions of which the disk has other bytes than the source, or none.
fn differing(mount: &Mount, source: &str, target: &str, region: u64) -> Vec<u64> {
    // What the page cache has is not what the disk has.
    output(&format!("dd if={target} iflag=nocache count=0 2>/dev/null"));
    let [one, other] = [source, target].map(|path| File::open(path).expect(path));
    let part = |file: &File, number: u64| {
        let start = number * region;
        let mut bytes = vec![0; region.min(SIZE - start) as usize];
        let read = file.read_exact_at(&mut bytes, start);
        read.map(|()| bytes).ok()
    };
    let regions = SIZE.div_ceil(region);
    let differ = (0..regions).filter(|number| {
        let (one, other) = (part(&one, *number), part(&other, *number));
        one.is_none() || one != other
    });
    let differ: Vec<u64> = differ.collect();
    let log = DiskLog::read(&mount.scratch("log"));
    let lies = differ
        .iter()
        .filter(|region| log.is_clean(**region as usize));
    let lies: Vec<&u64> = lies.collect();
    assert!(lies.is_empty(), "the log calls {lies:?} clean");
    differ
}

/// The copy has ended, and what the disk does not have is told.
fn assert_told(mount: &Mount, source: &str, target: &str, region: u64) {
    let differ = differing(mount, source, target, region);
    let (status, health) = (mount.read("m/status"), mount.read("m/health"));
    assert!(!differ.is_empty(), "the disk has all of it: {status}");
    let done: u64 = mount
        .read("m/sync/regions_done")
        .trim()
        .parse()
        .expect("a number");
    let (all, lost) = (SIZE.div_ceil(region), differ.len() as u64);
    assert!(done <= all - lost, "{lost} regions differ: {status}");
    assert_eq!(mount.read("m/sync/state"), "stopped\n", "{status}");
    assert!(
        status.contains(" 1 AF ") || status.contains(" 1 AS "),
        "{status}"
    );
    assert!(!health.starts_with("ok\n"), "{health}");
    let events = mount.read("events");
    assert!(events.contains(" m leg 1 "), "{events}");
}

/// After a repair what is missing is copied, and is on the disk.
fn assert_mended(mount: &Mount, source: &str, target: &str, region: u64) {
    mount.write("m/ctl", "suspend");
    mount.write("m/ctl", "resume");
    let all = || mount.read("m/sync/state") == "in_sync\n";
    wait_longer(30, "all is copied", all);
    assert_eq!(differing(mount, source, target, region), [0; 0]);
    assert_equal(source, target, SIZE);
    let (status, health) = (mount.read("m/status"), mount.read("m/health"));
    assert!(status.contains(" 1 AA 3 disk "), "{status}");
    assert!(health.starts_with("ok\n"), "{health}");
    mount.write("m/ctl", "remove");
}

fn told_and_mended(lab: &Lab, target: &Late, region: u64) {
    let (mount, source) = mirror(lab, target, region);
    wait_ended(&mount);
    assert_told(&mount, &source, &target.path, region);
    target.repair();
    assert_mended(&mount, &source, &target.path, region);
}

/// A bad zone under a file that has all its blocks.
fn error_zone(lab: &Lab) {
    let target = lab.late_zone(SIZE);
    told_and_mended(lab, &target, MIB / 8);
}

/// A disk that runs full under a file that gets its blocks late.
fn late_allocation(lab: &Lab) {
    let target = lab.late_full(SIZE, ROOM);
    told_and_mended(lab, &target, MIB / 8);
}

/// Regions of which one lasts longer than what may be on its way, and all but the
/// last pieces are written long before it ends.
fn large_regions(lab: &Lab) {
    let target = lab.late_full(SIZE, ROOM);
    told_and_mended(lab, &target, 64 * MIB);
}

/// Stopped and started while the disk fails, again and again: no region comes to
/// count by that.
fn stopped_in_between(lab: &Lab) {
    let target = lab.late_full(SIZE, ROOM);
    let (mount, source) = mirror(lab, &target, MIB / 8);
    for _ in 0..3 {
        sleep(Duration::from_millis(150));
        mount.write("m/ctl", "suspend");
        differing(&mount, &source, &target.path, MIB / 8);
        mount.write("m/ctl", "resume");
    }
    wait_ended(&mount);
    assert_told(&mount, &source, &target.path, MIB / 8);
    target.repair();
    assert_mended(&mount, &source, &target.path, MIB / 8);
}

/// The daemon ends and comes again: what it could not write is still missing.
fn restarted_in_between(lab: &Lab) {
    let target = lab.late_full(SIZE, ROOM);
    let (mount, source) = mirror(lab, &target, MIB / 8);
    wait_ended(&mount);
    mount.stop();
    differing(&mount, &source, &target.path, MIB / 8);
    mount.mount("");
    wait_ended(&mount);
    assert_told(&mount, &source, &target.path, MIB / 8);
    target.repair();
    assert_mended(&mount, &source, &target.path, MIB / 8);
}

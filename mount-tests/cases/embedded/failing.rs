//! Files that fail under a copy: a full file system, a limit, files that are cut.
//! The letters and counts are the kernel's; repaired, all is tried again.

use std::fs::{self, OpenOptions};
use std::time::{Duration, Instant};

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::assert_clean_is_equal;
use crate::lab::disks::{assert_equal, bytes};
use crate::lab::engine::no_root;
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::{Lab, wait_for, wait_longer};

const FILES: &str = "only the embedded engine copies from and to files";

pub const CASES: &[Case] = &[
    embedded_only("full_target", FILES, full_target).needing(no_root),
    embedded_only("full_target_ignored", FILES, full_target_ignored).needing(no_root),
    embedded_only("limited_target", FILES, limited_target),
    embedded_only("one_target_of_two", FILES, one_target_of_two).needing(no_root),
    embedded_only("cut_source", FILES, cut_source),
    embedded_only("cut_source_ignored", FILES, cut_source_ignored),
    embedded_only("cut_target", FILES, cut_target),
    embedded_only("full_log", FILES, full_log).needing(no_root),
];

/// Bytes of a region, and how many regions these mirrors have.
const REGION: usize = 128 << 10;
const REGIONS: u64 = 512;

/// Bytes of these mirrors: much more than is copied at once.
const SIZE: u64 = REGIONS * REGION as u64;

/// The table of a mirror with its log in the mount's folder.
fn table(mount: &Mount, source: &str, target: &str, features: &str) -> String {
    let (log, sectors) = (mount.scratch("log"), SIZE / 512);
    format!("0 {sectors} mirror disk 2 {log} 256 2 {source} 0 {target} 0{features}")
}

fn regions(mount: &Mount) -> u64 {
    let done = mount.read("m/sync/regions_done");
    done.trim().parse().expect("a number")
}

/// Wait until all is tried and nothing more is copied; answers whether all is
/// said to be in sync.
fn wait_tried(mount: &Mount) -> bool {
    // Regions are counted in turns of a second or more.
    let mut last = (regions(mount), Instant::now());
    let mut state = String::new();
    wait_longer(40, "the copy ends", || {
        let done = regions(mount);
        if done != last.0 {
            last = (done, Instant::now());
        }
        state = mount.read("m/sync/state");
        let ended = state == "stopped\n" || state == "in_sync\n";
        ended && last.1.elapsed() > Duration::from_secs(4)
    });
    state == "in_sync\n"
}

/// Wait until nothing more is copied, with this letter for this leg and not all
/// regions in sync; answers how many are.
fn wait_stopped(mount: &Mount, leg: usize, letter: &str) -> u64 {
    assert!(!wait_tried(mount), "all is said to be in sync");
    let status = mount.read("m/status");
    let mut letters = ["A", "A"];
    letters[leg] = letter;
    let done = regions(mount);
    assert!(
        status.contains(&format!(" {done}/{REGIONS} 1 {} ", letters.concat())),
        "{status}"
    );
    assert_eq!(
        mount.read(&format!("m/legs/{leg}/health")),
        format!("{letter}\n")
    );
    assert!(done < REGIONS, "all is said to be in sync: {status}");
    let health = mount.read("m/health");
    assert!(!health.starts_with("ok\n"), "{health}");
    let events = mount.read("events");
    assert!(events.contains(&format!(" m leg {leg} ")), "{events}");
    done
}

/// Wait until every region is in sync and, a moment later, the letters are well.
fn wait_whole(mount: &Mount) {
    let all = format!(" {REGIONS}/{REGIONS} 1 AA 3 disk ");
    wait_longer(30, &all, || mount.read("m/status").contains(&all));
}

/// After a repair: all is tried again, and is there.
fn assert_retried(mount: &Mount, source: &str, target: &str) {
    mount.write("m/ctl", "suspend noflush");
    mount.write("m/ctl", "resume");
    wait_whole(mount);
    assert!(mount.read("m/health").starts_with("ok\n"));
    assert_equal(source, target, SIZE);
}

/// A disk of which the upper half fails.
fn half(lab: &Lab, number: usize) -> Fragile {
    let sectors = SIZE / 512;
    let fragile = lab.holed(number, sectors, (sectors / 2, sectors / 2));
    fragile.fail();
    fragile
}

/// With handle_errors what does not fit stays out of the count and of the log.
fn full_target(lab: &Lab) {
    let (source, _) = lab.noise(0, SIZE);
    let target = half(lab, 1);
    let mount = lab.mount();
    let table = table(&mount, &source, &target.path, " 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
    let done = wait_stopped(&mount, 1, "S");
    assert_eq!(done, REGIONS / 2, "the half that has room is copied");
    let legs = [source.as_str(), &target.path];
    let clean = assert_clean_is_equal(&mount.scratch("log"), legs, REGION);
    assert_eq!(clean as u64, done, "the log");
    target.repair();
    assert_retried(&mount, &source, &target.path);
    mount.write("m/ctl", "remove");
}

/// Without handle_errors it is counted all the same, as the kernel does it, and
/// all letters are well at the end; what has room is there.
fn full_target_ignored(lab: &Lab) {
    let (source, _) = lab.noise(0, SIZE);
    let target = half(lab, 1);
    let mount = lab.mount();
    let table = table(&mount, &source, &target.path, "");
    mount.write("new", &format!("m: {table}"));
    wait_whole(&mount);
    let health = mount.read("m/health");
    assert!(
        health.contains("warning ") && health.contains("handle_errors"),
        "{health}"
    );
    assert_equal(&source, &target.path, SIZE / 2);
    let other = bytes(&target.path, SIZE / 2, SIZE / 2);
    assert!(other.iter().all(|byte| *byte == 0), "it had room after all");
    mount.write("m/ctl", "remove");
}

/// A limit on the size of files (setrlimit(2)): its signal does not end the
/// daemon. Lifted, the rest is copied.
fn limited_target(lab: &Lab) {
    let ((source, _), target) = (lab.noise(0, SIZE), lab.disk(1));
    let mount = lab.mount();
    let pid = mount.pid();
    output(&format!("prlimit --pid {pid} --fsize={}:", SIZE / 4));
    let table = table(&mount, &source, &target, " 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
    let done = wait_stopped(&mount, 1, "S");
    assert_eq!(done, REGIONS / 4, "what is below the limit is copied");
    assert_eq!(mount.pid(), pid);
    output(&format!("prlimit --pid {pid} --fsize=unlimited:"));
    assert_retried(&mount, &source, &target);
    mount.write("m/ctl", "remove");
}

/// Of three legs one fails: the other target gets everything.
fn one_target_of_two(lab: &Lab) {
    let ((source, _), other) = (lab.noise(0, SIZE), lab.disk(2));
    let target = half(lab, 1);
    let mount = lab.mount();
    let path = &target.path;
    mount.write(
        "new",
        &format!(
            "m: 0 {} mirror core 1 256 3 {source} 0 {path} 0 {other} 0 1 handle_errors",
            SIZE / 512
        ),
    );
    assert!(!wait_tried(&mount), "all is said to be in sync");
    let status = mount.read("m/status");
    let half = format!(" {}/{REGIONS} 1 ASA 1 core\n", REGIONS / 2);
    assert!(status.contains(&half), "{status}");
    assert_equal(&source, &other, SIZE);
    assert_equal(&source, path, SIZE / 2);
    mount.write("m/ctl", "remove");
}

/// A mirror that copies slowly, of which some regions are done.
fn copying(lab: &Lab, features: &str) -> (Mount, [String; 2], Vec<u8>) {
    let ((source, from), target) = (lab.noise(0, SIZE), lab.disk(1));
    let mount = lab.mount();
    mount.write("throttle", "1");
    let table = table(&mount, &source, &target, features);
    mount.write("new", &format!("m: {table}"));
    (mount, [source, target], from)
}

fn cut(path: &str, size: u64) {
    let file = OpenOptions::new().write(true).open(path).expect(path);
    file.set_len(size).expect("cut");
}

/// A source that is cut while it is copied from: what cannot be read is not in
/// sync, and is not written as zeros.
fn cut_source(lab: &Lab) {
    let (mount, [source, target], from) = copying(lab, " 1 handle_errors");
    cut(&source, SIZE / 2);
    mount.write("throttle", "100");
    let done = wait_stopped(&mount, 0, "S");
    let log = mount.scratch("log");
    let whole = mount.scratch("whole");
    fs::write(&whole, &from).expect("a file");
    let clean = assert_clean_is_equal(&log, [&whole, &target], REGION);
    assert_eq!(clean as u64, done, "the log");
    assert!(done >= REGIONS / 2, "only {done} of what can be read");
    fs::write(&source, &from).expect("written back");
    assert_retried(&mount, &source, &target);
    mount.write("m/ctl", "remove");
}

/// Without handle_errors it counts, as the kernel does it.
fn cut_source_ignored(lab: &Lab) {
    let (mount, [source, target], from) = copying(lab, "");
    cut(&source, SIZE / 2);
    mount.write("throttle", "100");
    wait_whole(&mount);
    assert_equal(&source, &target, SIZE / 2);
    // Each region of the rest was copied before the cut, or is as it was.
    let rest = bytes(&target, SIZE / 2, SIZE / 2);
    let whole = &from[SIZE as usize / 2..];
    for (copied, wanted) in rest.chunks(REGION).zip(whole.chunks(REGION)) {
        let untouched = copied.iter().all(|byte| *byte == 0);
        assert!(copied == wanted || untouched, "half a region");
    }
    mount.write("m/ctl", "remove");
}

/// A target that is cut while it is copied to has lost what was counted, and
/// writes behind the cut must not hide that.
fn cut_target(lab: &Lab) {
    let (mount, [source, target], _) = copying(lab, " 1 handle_errors");
    wait_for("something is copied", || regions(&mount) > 0);
    cut(&target, 0);
    mount.write("throttle", "100");
    wait_tried(&mount);
    let log = mount.scratch("log");
    assert_clean_is_equal(&log, [&source, &target], REGION);
    let status = mount.read("m/status");
    assert!(status.contains(&format!("/{REGIONS} 1 AS ")), "{status}");
    assert!(regions(&mount) < REGIONS, "{status}");
    cut(&target, SIZE);
    assert_retried(&mount, &source, &target);
    mount.write("m/ctl", "remove");
}

/// A log whose file system is full: told as failed; the mirror can be removed.
fn full_log(lab: &Lab) {
    let ((source, _), target) = (lab.noise(0, SIZE), lab.disk(1));
    let log = lab.fragile(2, 64);
    let mount = lab.mount();
    mount.write("throttle", "1");
    let (path, sectors) = (&log.path, SIZE / 512);
    let legs = format!("2 {source} 0 {target} 0 1 handle_errors");
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror disk 2 {path} 256 {legs}"),
    );
    log.fail();
    mount.write("throttle", "100");
    wait_for("the failure", || mount.read("m/log/health") != "A\n");
    let health = mount.read("m/health");
    assert!(health.starts_with("failed\n"), "{health}");
    wait_for("the event", || mount.read("events").contains(" m log "));
    // With a log that works all is well again.
    let other = mount.scratch("log");
    mount.write(
        "m/table",
        &format!("0 {sectors} mirror disk 2 {other} 256 {legs}"),
    );
    wait_whole(&mount);
    assert!(mount.read("m/health").starts_with("ok\n"));
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

//! Who decides where a leg contradicts the log, and what contradicts it.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;

use super::{away, events, lasting, of_files, records, refused, with_files};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{MIB, assert_equal, bytes, put, turn};
use crate::lab::mount::Mount;
use crate::lab::shell::output;

pub const CASES: &[Case] = &[
    both("finish_decides", finish_decides),
    both("finish_of_half_a_copy", half_a_copy),
    both("finish_where_the_source_is_gone", source_gone),
    both("an_older_copy_in_the_same_file", older_copy),
    both("swap_that_differs", swap_that_differs),
];

/// A mirror of two disks, 4 MiB, in sync and away, of which the target was written to.
fn contradicting(lab: &Lab) -> (Mount, [String; 2]) {
    let mount = lasting(lab);
    mount.mount("");
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed_start(1));
    mount.write("new", &format!("m: {source} {target} length=4M"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    turn(&target, 3 * MIB, 20);
    mount.mount("");
    let health = mount.read("m/health");
    let words = format!("differ at byte {}", 3 * MIB);
    assert!(
        health.starts_with("failed\n") && health.contains(&words),
        "{health}"
    );
    (mount, [source, target])
}

fn finish_decides(lab: &Lab) {
    let (mount, [source, target]) = contradicting(lab);
    let before = [&source, &target].map(|path| bytes(path, 0, 4 * MIB));
    refused(
        mount.try_write("m/ctl", "finish"),
        Errno::EINVAL,
        "say by its number",
    );
    refused(
        mount.try_write("m/ctl", "finish 2"),
        Errno::EINVAL,
        "no leg 2",
    );
    let log = mount.read("m/log/file").trim().to_string();
    mount.write("m/ctl", "finish 1");
    assert_eq!(mount.read("m/health").lines().next(), Some("finished"));
    assert_eq!(mount.read("m/sync/state"), "none\n");
    assert!(mount.read("m/table").contains(" linear "));
    assert_eq!(events(&mount, "finished").len(), 1);
    assert!(
        log.is_empty() || fs::metadata(&log).is_err(),
        "its log stays: {log}"
    );
    if lab.is_kernel() {
        assert_equal("/dev/mapper/m", &target, 4 * MIB);
    }
    assert!([&source, &target].map(|path| bytes(path, 0, 4 * MIB)) == before);
    // It is what comes back from now on.
    away(&mount, &["m"]);
    mount.mount("");
    assert_eq!(mount.read("m/health").lines().next(), Some("finished"));
    mount.write("m/ctl", "remove");
    assert!(records(&mount).is_empty());
}

/// What the log does not call copied is not taken for whole without a word.
fn half_a_copy(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed_start(1));
    let log = mount.scratch("log");
    mount.write(
        "new",
        &format!("m: 0 8192 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors"),
    );
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    // Only the first four of its 32 regions are clean.
    put(&log, 1024, &[0x0f, 0, 0, 0]);
    put(&target, 0, b"not what was copied");
    mount.mount("");
    assert!(mount.read("m/health").starts_with("failed\n"));
    let answer = mount.try_write("m/ctl", "finish 1");
    refused(answer, Errno::EBUSY, "4 of 32 regions were in sync");
    assert!(mount.read("m/health").starts_with("failed\n"));
    mount.write("m/ctl", "finish 1 lossy");
    assert_eq!(mount.read("m/health").lines().next(), Some("finished"));
    refused(
        mount.try_write("m/ctl", "finish 0 lossy"),
        Errno::EINVAL,
        "lossy",
    );
    mount.write("m/ctl", "remove");
}

fn source_gone(lab: &Lab) {
    let (mount, source) = of_files(lab);
    fs::remove_file(&source).expect("removed");
    mount.mount("");
    let health = mount.read("m/health");
    assert!(health.contains("No such file"), "{health}");
    mount.write("m/ctl", "finish 1");
    assert_eq!(mount.read("m/health").lines().next(), Some("finished"));
    mount.write("m/ctl", "remove");
}

/// Too large to be compared as a whole, and changed where nobody looks: its time tells.
fn older_copy(lab: &Lab) {
    let (mount, [source, target]) = with_files(lab, 160 * MIB);
    put(&source, 33 * MIB + 4096, b"newer");
    mount.write("new", &format!("m: {source} {target} region=1M"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    sleep(Duration::from_millis(100));
    let time = output(&format!("stat -c %y {target}"));
    put(&target, 33 * MIB + 4096, b"older");
    // As `cp --preserve` of a backup leaves it.
    output(&format!("touch -d '{}' {target}", time.trim()));
    mount.mount("");
    let health = mount.read("m/health");
    let words = format!("differ at byte {}", 33 * MIB + 4096);
    assert!(health.contains(&words), "{health}");
    assert_eq!(bytes(&target, 33 * MIB + 4096, 5), b"older");
    mount.write("m/ctl", "resync");
    mount.wait_in_sync("m");
    assert_eq!(bytes(&target, 33 * MIB + 4096, 5), b"newer");
    // What was only looked at is no reason.
    away(&mount, &["m"]);
    output(&format!("chmod 600 {target}"));
    mount.mount("");
    mount.wait_in_sync("m");
    mount.write("m/ctl", "remove");
}

/// What the kernel wrote twice, changed in between, is no reason.
fn swap_that_differs(lab: &Lab) {
    let (mount, [source, target]) = with_files(lab, 4 * MIB);
    output(&format!("chmod 600 {source} {target}; mkswap -q {source}"));
    mount.write("new", &format!("m: {source} {target}"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    put(&target, 2 * MIB, b"of another moment");
    mount.mount("");
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    // Its header is another matter.
    turn(&target, 1024, 14);
    mount.mount("");
    let health = mount.read("m/health");
    assert!(health.contains("differ at byte 1024"), "{health}");
    mount.write("m/ctl", "remove");
}

//! Loop devices, log files and what else a mirror makes: they go with the mirror,
//! whichever way it goes, and what the user made stays.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::prctl::set_thp_disable;

use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::dm::{dm, run};
use crate::lab::mount::{Mount, errno};
use crate::lab::{long, wait_for};

/// Why some of these are the kernel's.
const LOOPS: &str = "the embedded engine needs no loop devices";

pub const CASES: &[Case] = &[
    kernel_only("free_themselves", LOOPS, free_themselves),
    kernel_only("of_another_table", LOOPS, of_another_table),
    kernel_only("of_the_user", LOOPS, of_the_user),
    kernel_only(
        "and_logs_of_the_deferred",
        "an embedded mirror is never open",
        of_the_deferred,
    ),
    both("deferred_at_once", deferred_at_once),
    both("logs_of_another_table", logs_of_another_table),
    both("one_file_twice", one_file_twice),
    both("hundred_rounds", hundred_rounds),
];

/// The loop devices that have a file, each with its file; on a machine that
/// others use too, those of the lab.
fn loops(lab: &Lab) -> Vec<(String, String)> {
    let mut loops = Vec::new();
    for entry in fs::read_dir("/sys/block").expect("sysfs").flatten() {
        if let Ok(file) = fs::read_to_string(entry.path().join("loop/backing_file")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            loops.push((name, file.trim().to_string()));
        }
    }
    loops.retain(|(_, file)| lab.is_kernel() || Path::new(file).starts_with(lab.folder()));
    loops.sort();
    loops
}

fn no_loops(lab: &Lab, when: &str) {
    // udev may hold what has just lost its last user for a moment.
    wait_for(&format!("no loop device after {when}"), || {
        loops(lab).is_empty()
    });
}

/// Files of a mebibyte each, in the folder of the mount.
fn files<const COUNT: usize>(mount: &Mount, names: [&str; COUNT]) -> [String; COUNT] {
    names.map(|name| {
        let path = mount.scratch(name);
        fs::write(&path, vec![0; 1 << 20]).expect("a file");
        path
    })
}

fn table(log: &str, one: &str, other: &str) -> String {
    format!("0 2048 mirror disk 3 {log} 128 nosync 2 {one} 0 {other} 0 1 handle_errors")
}

/// Every way in which a mirror goes frees its loop devices.
fn free_themselves(lab: &Lab) {
    let mount = lab.mount();
    let [one, other] = files(&mount, ["one", "other"]);
    for way in ["remove", "rmdir", "dmsetup", "daemon gone"] {
        let log = mount.scratch(&format!("log of {way}").replace(' ', "-"));
        mount.write("new", &format!("m: {}", table(&log, &one, &other)));
        let mut have: Vec<String> = loops(lab).into_iter().map(|(_, file)| file).collect();
        have.sort();
        let mut want = [log.clone(), one.clone(), other.clone()];
        want.sort();
        assert_eq!(have, want);
        for (name, _) in loops(lab) {
            let flag = fs::read_to_string(format!("/sys/block/{name}/loop/autoclear"));
            assert_eq!(flag.expect("a flag"), "1\n", "{name} stays");
        }
        match way {
            "remove" => mount.write("m/ctl", "remove"),
            "rmdir" => fs::remove_dir(mount.path("m")).expect("removed"),
            "dmsetup" => drop(dm("remove --retry m")),
            _ => {
                // It holds none of them: they live as long as the mirror.
                mount.stop();
                assert_eq!(loops(lab).len(), 3);
                dm("remove --retry m");
            }
        }
        no_loops(lab, way);
        if way == "remove" || way == "rmdir" {
            assert!(!Path::new(&log).exists(), "{way}: the log stays");
        }
        for file in [&one, &other] {
            assert_eq!(fs::metadata(file).expect("a leg").len(), 1 << 20);
        }
    }
}

/// Another table frees what only the one before used, and keeps what both use;
/// one that is refused changes nothing.
fn of_another_table(lab: &Lab) {
    let mount = lab.mount();
    let [one, other, third] = files(&mount, ["one", "other", "third"]);
    let log = mount.scratch("log");
    mount.write("new", &format!("m: {}", table(&log, &one, &other)));
    let first = loops(lab);
    let held = |file: &str| {
        let all = loops(lab);
        let device = all.into_iter().find(|(_, path)| path == file);
        device.map(|(name, _)| name)
    };
    let before = held(&one);
    let small = mount.scratch("small");
    fs::write(&small, [0; 512]).expect("a file");
    let (error, _) = mount
        .try_write("m/table", &table(&log, &one, &small))
        .expect_err("too small");
    assert_eq!(error, Errno::ENOSPC);
    assert_eq!(loops(lab), first, "a refused table left something");
    mount.write("m/table", &table(&log, &one, &third));
    wait_for("the old leg is free", || held(&other).is_none());
    assert_eq!(
        held(&one),
        before,
        "the leg that stays has another loop device"
    );
    assert!(
        held(&third).is_some() && held(&log).is_some(),
        "{:?}",
        loops(lab)
    );
    assert_eq!(mount.read("m/legs/1/path").trim(), third);
    let core = format!(
        "0 2048 mirror core 2 128 nosync 2 {} 0 {} 0",
        lab.disk(0),
        lab.disk(1)
    );
    mount.write("m/table", &core);
    no_loops(lab, "another table");
    assert!(!Path::new(&log).exists(), "the log stays");
    assert_eq!(mount.read("m/table"), dm("table m"));
    mount.write("m/ctl", "remove");
}

/// What the user attached stays attached, and its file stays.
fn of_the_user(lab: &Lab) {
    let mount = lab.mount();
    let paths = files(&mount, ["one", "other", "log"]);
    let devices = paths.each_ref().map(|path| {
        let device = run("losetup", &["--find", "--show", path]);
        device.trim().to_string()
    });
    let before = loops(lab);
    let [one, other, log] = &devices;
    mount.write("new", &format!("m: {}", table(log, one, other)));
    assert_eq!(loops(lab), before, "attached once more");
    assert_eq!(mount.read("m/legs/0/path").trim(), paths[0]);
    assert_eq!(mount.read("m/log/file").trim(), paths[2]);
    mount.write("m/ctl", "remove");
    // Long enough for udev to let go of what would go.
    run("udevadm", &["settle"]);
    assert_eq!(loops(lab), before);
    for path in &paths {
        assert_eq!(fs::metadata(path).expect("a file").len(), 1 << 20);
    }
    run("losetup", &["--detach", one, other, log]);
    no_loops(lab, "losetup --detach");
}

/// Open, a mirror stays; deferred, it goes with its last user, and its loops and
/// log with it.
fn of_the_deferred(lab: &Lab) {
    let mount = lab.mount();
    let [one, other] = files(&mount, ["one", "other"]);
    let log = mount.scratch("log");
    mount.write("new", &format!("m: {}", table(&log, &one, &other)));
    let held = fs::File::open("/dev/mapper/m").expect("the device");
    let (error, reason) = mount.try_write("m/ctl", "remove").expect_err("open");
    assert_eq!(error, Errno::EBUSY, "{reason}");
    assert!(reason.contains('m') && reason.contains("open"), "{reason}");
    let error = fs::remove_dir(mount.path("m")).expect_err("open");
    assert_eq!(errno(&error), Errno::EBUSY);
    assert!(Path::new(&log).exists(), "the log went before the mirror");
    assert_eq!(mount.read("m/status"), dm("status m"));
    mount.write("m/ctl", "remove deferred");
    assert!(mount.exists("m"), "it went before its last user");
    assert_eq!(mount.read("m/status"), dm("status m"));
    let health = mount.read("m/health");
    let warning = health.lines().find(|line| line.starts_with("warning "));
    assert!(
        warning.is_some_and(|line| line.contains("removed")),
        "{health}"
    );
    assert_eq!(loops(lab).len(), 3);
    drop(held);
    wait_for("it goes", || !mount.exists("m"));
    assert_eq!(dm("ls"), "No devices found\n");
    no_loops(lab, "the last close");
    wait_for("the log goes", || !Path::new(&log).exists());
}

/// Where nobody has it open, deferred is at once.
fn deferred_at_once(lab: &Lab) {
    let mount = lab.mount();
    let [one, other] = files(&mount, ["one", "other"]);
    let log = mount.scratch("log");
    mount.write("new", &format!("m: {}", table(&log, &one, &other)));
    mount.write("m/ctl", "remove deferred");
    assert!(!mount.exists("m"), "it stays");
    no_loops(lab, "it is removed");
    assert!(!Path::new(&log).exists(), "the log stays");
}

/// Another table takes the log along that only the one before had.
fn logs_of_another_table(lab: &Lab) {
    let mount = lab.mount();
    let [one, other] = files(&mount, ["one", "other"]);
    let [first, second] = ["first", "second"].map(|log| mount.scratch(log));
    mount.write("new", &format!("m: {}", table(&first, &one, &other)));
    let (error, _) = mount
        .try_write("m/table", &table(&first, &one, &mount.scratch("none")))
        .expect_err("missing");
    assert_eq!(error, Errno::ENOENT);
    assert!(Path::new(&first).exists(), "a refused table took the log");
    mount.write("m/table", &table(&second, &one, &other));
    assert!(!Path::new(&first).exists(), "the first log stays");
    assert_eq!(mount.read("m/log/file").trim(), second);
    let core = format!("0 2048 mirror core 2 128 nosync 2 {one} 0 {other} 0");
    mount.write("m/table", &core);
    assert!(!Path::new(&second).exists(), "the second log stays");
    lab.assert_in_sync(&mount, "m", &[&core]);
    mount.write("m/ctl", "remove");
}

/// A file is one device, however often it is named: two mirrors cannot have it,
/// two ranges of one mirror can.
fn one_file_twice(lab: &Lab) {
    let mount = lab.mount();
    let [one, other] = files(&mount, ["one", "other"]);
    let halves = format!(
        "m,,,,0 1024 mirror core 2 128 nosync 2 {one} 0 {other} 0,1024 1024 mirror core 2 128 nosync 2 {one} 1024 {other} 1024"
    );
    mount.write("new", &halves);
    let before = loops(lab);
    let each = if lab.is_kernel() { 2 } else { 0 };
    assert_eq!(before.len(), each, "{before:?}");
    let core =
        |one: &str, other: &str| format!("0 1024 mirror core 2 128 nosync 2 {one} 0 {other} 0");
    for line in [core(&one, &lab.disk(0)), core(&lab.disk(0), &other)] {
        let (error, reason) = mount.try_write("new", &line).expect_err("in use");
        assert_eq!(error, Errno::EBUSY, "{reason}");
    }
    let (error, reason) = mount
        .try_write("new", &core(&lab.disk(0), &lab.disk(0)))
        .expect_err("twice");
    assert_eq!(error, Errno::EINVAL, "{reason}");
    assert_eq!(loops(lab), before);
    mount.write("m/ctl", "remove");
    no_loops(lab, "remove");
}

/// Memory of the daemon, in KiB.
fn memory(mount: &Mount) -> i64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.pid())).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.expect("VmRSS").split_whitespace().nth(1);
    words.expect("a number").parse().expect("a number")
}

/// Descriptors of the daemon.
fn descriptors(mount: &Mount) -> usize {
    let folder = format!("/proc/{}/fd", mount.pid());
    fs::read_dir(folder).expect("descriptors").count()
}

/// Names in the folder of the mount.
fn left(mount: &Mount) -> Vec<String> {
    let folder = mount.at.parent().expect("a folder");
    let names = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = names
        .map(|entry| entry.file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

/// Many mirrors made and removed: nothing is left, nothing grows.
fn hundred_rounds(lab: &Lab) {
    // The kernel makes huge pages of small ones at times of its own, each 2 MiB
    // of memory for one page that is used; the daemon inherits that it may not.
    set_thp_disable(true).expect("no huge pages");
    let mount = lab.mount();
    set_thp_disable(false).expect("huge pages");
    let [one] = files(&mount, ["one"]);
    let (log, other) = (mount.scratch("log"), lab.disk(1));
    let before = left(&mount);
    let mut early = (0, 0);
    let (warm, rounds) = if long() { (20, 100) } else { (10, 30) };
    for round in 1..=rounds {
        mount.write("new", &format!("m: {}", table(&log, &one, &other)));
        mount.read("m/health");
        mount.write("m/ctl", "remove");
        if round == warm {
            early = (memory(&mount), descriptors(&mount));
        }
    }
    let late = (memory(&mount), descriptors(&mount));
    assert!(
        late.0 - early.0 < 1024,
        "VmRSS: {} KiB after {warm} rounds, {} after {rounds}",
        early.0,
        late.0
    );
    assert_eq!(early.1, late.1, "descriptors");
    assert!(lab.devices(&mount).is_empty());
    no_loops(lab, "many rounds");
    assert_eq!(left(&mount), before);
    assert_eq!(mount.read("table"), "");
}

//! A mount that ends and comes again: what its records and its logs say.

use std::fs;

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::{DiskLog, assert_clean_is_equal};
use crate::lab::disks::{MIB, assert_equal, bytes, put, turn};
use crate::lab::mount::Mount;
use crate::lab::{Lab, wait_for, wait_longer};

const RECORDS: &str = "the kernel's mirrors go on without a daemon";

pub const CASES: &[Case] = &[
    embedded_only("goes_on_by_its_log", RECORDS, goes_on_by_its_log),
    embedded_only("a_leg_written_meanwhile", RECORDS, a_leg_written_meanwhile),
    embedded_only("begins_anew_without", RECORDS, begins_anew_without),
    embedded_only("as_it_was", RECORDS, as_it_was),
    embedded_only("without_restore", RECORDS, without_restore),
    embedded_only("a_leg_that_is_away", RECORDS, a_leg_that_is_away),
];

const SIZE: u64 = 128 * MIB;
const REGION: u64 = 64 << 10;

/// What is written to a target to see whether it is copied over.
const MARK: &[u8] = b"not copied again";

/// The bytes that the daemon has written so far (proc_pid_io(5)).
fn written(mount: &Mount) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", mount.pid())).expect("its figures");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|text| text.parse().ok()).expect("a number")
}

fn regions(mount: &Mount) -> u64 {
    let done = mount.read("m/sync/regions_done");
    done.trim().parse().expect("a number")
}

/// A mirror `m` with this log, stopped in the middle of its copy.
fn stopped(lab: &Lab, log: &str) -> (Mount, [String; 2], u64) {
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let mount = lab.mount();
    mount.write("throttle", "1");
    let sectors = SIZE / 512;
    let log = log.replace("FILE", &mount.scratch("log"));
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror {log} 2 {source} 0 {target} 0 1 handle_errors"),
    );
    wait_for("something is copied", || regions(&mount) > 0);
    let done = regions(&mount);
    mount.stop();
    assert!(done < SIZE / REGION, "the copy was too fast for this test");
    (mount, [source, target], done)
}

/// What the disk log calls clean is not copied again, the rest is.
fn goes_on_by_its_log(lab: &Lab) {
    let (mount, [source, target], done) = stopped(lab, "disk 2 FILE 128");
    let log = mount.scratch("log");
    let clean = assert_clean_is_equal(&log, [&source, &target], REGION as usize);
    assert!(
        clean as u64 >= done,
        "{done} were counted, {clean} are clean"
    );
    let copied = DiskLog::read(&log).clean().len() as u64 * REGION;
    assert!(copied >= MIB, "only the beginning is copied");
    mount.mount("");
    assert!(regions(&mount) >= done, "it begins anew");
    wait_longer(60, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    let written = written(&mount);
    let left = SIZE - copied;
    assert!(
        (left..left + copied / 2).contains(&written),
        "{left} were left to copy, {written} bytes were written"
    );
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// Where the legs differ that the log calls equal, nothing is copied before somebody says
/// what he wants.
fn a_leg_written_meanwhile(lab: &Lab) {
    let (mount, [source, target], _) = stopped(lab, "disk 2 FILE 128");
    assert!(DiskLog::read(&mount.scratch("log")).is_clean(0));
    let other = turn(&target, 4096, 16);
    mount.mount("");
    let health = mount.read("m/health");
    assert!(
        health.starts_with("failed\n") && health.contains("differ at byte 4096"),
        "{health}"
    );
    assert_eq!(bytes(&target, 4096, 16), other);
    mount.write("m/ctl", "resync");
    wait_longer(60, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// A core log is gone with the daemon: everything is copied again.
fn begins_anew_without(lab: &Lab) {
    let (mount, [source, target], _) = stopped(lab, "core 1 128");
    put(&target, 0, MARK);
    mount.mount("");
    wait_longer(60, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

/// Names, UUIDs, tables, what is suspended and what is empty come back as they
/// were; what was removed does not.
fn as_it_was(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a,OWN-UUID,7,,{}", lab.equal(0, 1)));
    mount.write("new", &format!("b: {}", lab.equal(2, 3)));
    mount.write("new", &format!("gone: {}", lab.equal(4, 5)));
    fs::create_dir(mount.path("empty")).expect("made");
    fs::rename(mount.path("b"), mount.path("c")).expect("renamed");
    mount.write("c/ctl", "suspend");
    mount.write("a/table", &lab.equal(0, 6));
    mount.write("gone/ctl", "remove");
    let names = ["a", "c", "empty"];
    let files = [
        "uuid",
        "suspended",
        "size",
        "table",
        "legs/1/path",
        "health",
    ];
    let all = || {
        let file = |name: &str, file: &str| {
            fs::read_to_string(mount.path(&format!("{name}/{file}"))).unwrap_or_default()
        };
        names.map(|name| files.map(|path| file(name, path).lines().next().map(String::from)))
    };
    let before = all();
    for _ in 0..2 {
        mount.stop();
        mount.mount("");
        assert_eq!(lab.devices(&mount), names);
        wait_for("they are as they were", || all() == before);
    }
    for name in names {
        mount.write(&format!("{name}/ctl"), "remove");
    }
    mount.stop();
    assert!(!mount.state().exists(), "the state directory stays");
    mount.mount("");
    assert!(lab.devices(&mount).is_empty());
}

/// Panics unless a mirror is shown that does not run, with the reason.
fn assert_absent(mount: &Mount, name: &str, why: &str) {
    assert_eq!(mount.read(&format!("{name}/status")), "\n");
    let health = mount.read(&format!("{name}/health"));
    assert!(health.starts_with("failed\n"), "{health}");
    let warning = health.lines().find(|line| line.starts_with("warning "));
    assert!(
        warning.is_some_and(|line| line.contains(why)),
        "no {why:?} in {health}"
    );
}

/// `--no-restore` starts nothing and forgets nothing: `resume` does it later.
fn without_restore(lab: &Lab) {
    let mount = lab.mount();
    for (name, disks) in [("m", [0, 1]), ("n", [2, 3])] {
        mount.write("new", &format!("{name}: {}", lab.equal(disks[0], disks[1])));
    }
    mount.stop();
    mount.mount("--no-restore");
    assert_eq!(lab.devices(&mount), ["m", "n"]);
    assert_absent(&mount, "m", "--no-restore");
    assert_absent(&mount, "n", "--no-restore");
    // Its disks are free for others until then.
    mount.write("m/ctl", "resume");
    lab.assert_in_sync(&mount, "m", &[&lab.equal(0, 1)]);
    mount.write("n/ctl", "remove");
    assert!(!mount.exists("n"));
    mount.stop();
    mount.mount("");
    assert_eq!(lab.devices(&mount), ["m"]);
    lab.assert_in_sync(&mount, "m", &[&lab.equal(0, 1)]);
    mount.write("m/ctl", "remove");
}

/// A leg that is not there at a mount: it is told, the others are made, and when
/// it is back `resume` starts the mirror. Another file in its place is none.
fn a_leg_that_is_away(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount.write("new", &format!("n: {}", lab.equal(2, 3)));
    let table = mount.read("m/table");
    mount.stop();
    let (leg, away) = (lab.disk(1), lab.path("away"));
    fs::rename(&leg, &away).expect("away");
    mount.mount("");
    assert_eq!(lab.devices(&mount), ["m", "n"]);
    assert_absent(&mount, "m", &leg);
    assert_eq!(mount.read("n/sync/state"), "in_sync\n");
    let events = mount.read("events");
    assert!(
        events.contains(" m error ENODEV: ") || events.contains(" m error ENOENT: "),
        "{events}"
    );
    // The same name is not the same file.
    assert_eq!(lab.disk(1), leg);
    let (_, reason) = mount.try_write("m/ctl", "resume").expect_err("another");
    assert!(reason.contains(&leg), "{reason}");
    fs::rename(&away, &leg).expect("back");
    mount.write("m/ctl", "resume");
    assert_eq!(mount.read("m/table"), table);
    assert_eq!(mount.read("m/sync/state"), "in_sync\n");
    for name in ["m", "n"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

//! What hangs below a mirror holds up that mirror alone: its command is told
//! EINPROGRESS and goes on, everything else answers at once.

use std::fs;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::races::Outcome;
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{self, MIB};
use crate::lab::engine::no_loops;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("a_verb", a_verb_that_hangs).needing(no_loops),
    both("an_rmdir", an_rmdir_that_hangs).needing(no_loops),
    both("a_create", a_create_that_hangs).needing(no_loops),
    kernel_only(
        "killed_inside_a_suspend",
        "only the kernel's suspend is a call that a signal can break",
        killed_inside_a_suspend,
    ),
];

/// A disk on which I/O can be made to wait: on the kernel's engine a mapping
/// that is suspended, on the embedded one a file on a file system that is frozen.
struct Below {
    path: String,
    hold: String,
    release: String,
    _undo: Undo,
}

impl Below {
    fn new(lab: &Lab) -> Below {
        let (disk, sectors) = (lab.disk(1), disks::SIZE / 512);
        if lab.is_kernel() {
            output(&format!(
                "dmsetup create below --table '0 {sectors} linear {disk} 0'"
            ));
            return Below {
                path: "/dev/mapper/below".into(),
                hold: "dmsetup suspend below".into(),
                release: "dmsetup resume below".into(),
                _undo: Undo("dmsetup remove --retry below".into()),
            };
        }
        let at = lab.path("below").display().to_string();
        output(&format!(
            "mkfs.ext4 -q -F {disk} && mkdir {at} && mount -o loop {disk} {at} && truncate -s 64M {at}/disk"
        ));
        Below {
            path: format!("{at}/disk"),
            hold: format!("fsfreeze -f {at}"),
            release: format!("fsfreeze -u {at}"),
            _undo: Undo(format!("umount -l {at}; rmdir {at}")),
        }
    }

    /// From now on I/O waits, until what is answered is dropped.
    fn hold(&self) -> Undo {
        output(&self.hold);
        Undo(self.release.clone())
    }

    /// A mirror `m0` to it that writes to it while it is held; its table.
    fn mirror(&self, lab: &Lab, mount: &Mount) -> (String, Undo) {
        let path = &self.path;
        if lab.is_kernel() {
            let table = format!("0 8192 mirror core 1 1024 2 {} 0 {path} 0", lab.disk(0));
            let held = self.hold();
            mount.write("new", &format!("m0: {table}"));
            return (table, held);
        }
        // It must not be done before it is held.
        let source = lab.random(0, 64 * MIB);
        let table = format!("0 131072 mirror core 1 128 2 {source} 0 {path} 0");
        mount.write("throttle", "1");
        mount.write("new", &format!("m0: {table}"));
        let held = self.hold();
        mount.write("throttle", "100");
        // Soon each of its writes waits.
        sleep(Duration::from_millis(500));
        (table, held)
    }
}

/// A mirror of two other disks.
fn bystander(lab: &Lab, mount: &Mount) {
    let (one, other) = (lab.disk(2), lab.disk(3));
    let table = format!("0 8192 mirror core 2 1024 nosync 2 {one} 0 {other} 0");
    mount.write("new", &format!("m1: {table}"));
}

const WRITE: &str = "timeout 60 dd if=/dev/zero of=/dev/mapper/m0 bs=4k count=1 oflag=direct";

fn a_verb_that_hangs(lab: &Lab) {
    let below = Below::new(lab);
    let mount = lab.mount();
    bystander(lab, &mount);
    let (table, held) = if lab.is_kernel() {
        in_sync(lab, &mount, &below)
    } else {
        below.mirror(lab, &mount)
    };
    thread::scope(|scope| {
        let write = scope.spawn(|| write_through(lab));
        sleep(Duration::from_millis(1000));
        let verb = scope.spawn(|| timed(|| mount.try_write("m0/ctl", "suspend")));
        sleep(Duration::from_millis(1500));
        let second = scope.spawn(|| timed(|| mount.try_write("m0/ctl", "resume")));
        let before = while_it_hangs(&mount, &table);
        let (end, time) = verb.join().expect("no panic");
        let after = while_it_hangs(&mount, &table);
        let (second, waited) = second.join().expect("no panic");
        drop(held);
        let written = write.join().expect("no panic");
        println!("EINPROGRESS after {time:?}, a second writer of the same ctl waited {waited:?}");
        assert_eq!((before, after), (Vec::new(), Vec::new()));
        assert_refused(&end, Errno::EINPROGRESS, "events");
        assert!(
            (10..14).contains(&time.as_secs()),
            "EINPROGRESS after {time:?}"
        );
        assert_refused(&second, Errno::EBUSY, "suspend");
        assert_eq!(written.0, 0, "{}", written.1);
    });
    wait_for("the verb ends", || {
        mount.read("events").contains(" m0 suspended ")
    });
    wait_for("no warning is left", || {
        !mount.read("m0/health").contains("running")
    });
    assert_eq!(mount.read("m0/suspended"), "1\n");
    mount.write("m0/ctl", "resume");
    assert_eq!(write_through(lab).0, 0);
    mount.wait_in_sync("m0");
    mount.write("m0/ctl", "remove");
    mount.write("m1/ctl", "remove");
}

/// A mirror `m0` that copies nothing: only a write through it waits.
fn in_sync(lab: &Lab, mount: &Mount, below: &Below) -> (String, Undo) {
    let (disk, path) = (lab.disk(0), &below.path);
    let table = format!("0 8192 mirror core 2 1024 nosync 2 {disk} 0 {path} 0");
    mount.write("new", &format!("m0: {table}"));
    (table, below.hold())
}

/// A write through the kernel's mirror; nothing is written through another.
fn write_through(lab: &Lab) -> (i32, String) {
    if lab.is_kernel() {
        attempt(WRITE)
    } else {
        (0, String::new())
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

fn assert_refused(end: &Outcome, wanted: Errno, word: &str) {
    let right = matches!(end, Err((errno, reason)) if *errno == wanted && reason.contains(word));
    assert!(right, "{end:?} is not {wanted:?} with `{word}`");
}

const OTHERS: &[&str] = &[
    "m1/status",
    "m1/health",
    "m1/progress",
    "m0/status",
    "m0/table",
    "m0/health",
    "m0/ctl",
    "m0/sync/state",
    "m0/legs/1/path",
    "status",
    "health",
    "events",
    "help",
    "new",
];

/// What is wrong while the verb waits: every file answers at once, so does every
/// other mirror, another verb is refused, `health` warns.
fn while_it_hangs(mount: &Mount, table: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut at_once = |what: &str, (right, time): (bool, Duration)| {
        if !right || time > Duration::from_secs(1) {
            wrong.push(format!("{what}: right {right} after {time:?}"));
        }
    };
    for file in OTHERS {
        at_once(file, timed(|| fs::read_to_string(mount.path(file)).is_ok()));
    }
    at_once("ls", timed(|| fs::read_dir(mount.path("")).is_ok()));
    at_once(
        "suspend m1",
        timed(|| mount.try_write("m1/ctl", "suspend").is_ok()),
    );
    at_once(
        "resume m1",
        timed(|| mount.try_write("m1/ctl", "resume").is_ok()),
    );
    let busy = |end: Outcome| end.is_err_and(|(errno, _)| errno == Errno::EBUSY);
    at_once(
        "table m0",
        timed(|| busy(mount.try_write("m0/table", table))),
    );
    let moved = || fs::rename(mount.path("m0"), mount.path("m2"));
    at_once(
        "mv m0",
        timed(|| moved().is_err_and(|error| errno(&error) == Errno::EBUSY)),
    );
    let health = mount.read("m0/health");
    if !health.contains("warning `suspend`") {
        wrong.push(format!("health: {health}"));
    }
    wrong
}

/// The kernel locks a folder while something is removed from it: others must get
/// at the mirrors nonetheless.
fn an_rmdir_that_hangs(lab: &Lab) {
    let below = Below::new(lab);
    let mount = lab.mount();
    bystander(lab, &mount);
    let (_, held) = below.mirror(lab, &mount);
    thread::scope(|scope| {
        let removed = scope.spawn(|| timed(|| fs::remove_dir(mount.path("m0"))));
        sleep(Duration::from_millis(1500));
        let (_, read) = timed(|| mount.read("m1/status"));
        let (_, list) = timed(|| mount.list(""));
        let (_, verb) = timed(|| mount.write("m1/ctl", "suspend"));
        drop(held);
        let (end, time) = removed.join().expect("no panic");
        println!(
            "rmdir: {end:?} after {time:?}; beside it a read took {read:?}, ls {list:?}, a verb {verb:?}"
        );
        let longest = read.max(list).max(verb);
        assert!(time > Duration::from_millis(1500), "rmdir did not hang");
        assert!(
            longest < Duration::from_secs(2),
            "something waited {longest:?}"
        );
    });
    wait_for("m0 is gone", || !mount.exists("m0"));
    mount.write("m1/ctl", "resume");
    mount.write("m1/ctl", "remove");
}

/// A request that waits for its log must not hold up other requests.
fn a_create_that_hangs(lab: &Lab) {
    let below = Below::new(lab);
    let mount = lab.mount();
    let held = below.hold();
    let ([a, b, c, d], log) = ([0, 2, 3, 4].map(|number| lab.disk(number)), &below.path);
    let slow = format!("m0: 0 64 mirror disk 2 {log} 8 2 {a} 0 {b} 0");
    let quick = format!("m1: 0 64 mirror core 1 8 2 {c} 0 {d} 0");
    thread::scope(|scope| {
        let first = scope.spawn(|| timed(|| mount.try_write("new", &slow)));
        sleep(Duration::from_millis(1000));
        let (end, time) = timed(|| mount.try_write("new", &quick));
        drop(held);
        let (hung, waited) = first.join().expect("no panic");
        println!("the first: {hung:?} after {waited:?}; the second: {end:?} after {time:?}");
        assert_eq!(end.map(|name| name.trim().to_owned()), Ok("m1".into()));
        assert!(time < Duration::from_secs(5), "the second waited {time:?}");
    });
    wait_for("m0 is made", || mount.exists("m0"));
    mount.write("m0/ctl", "remove");
    mount.write("m1/ctl", "remove");
}

/// A signal inside the kernel's suspend wedges a mirror until the next boot, and
/// nobody can block SIGKILL: the child that waits must outlive the daemon.
fn killed_inside_a_suspend(lab: &Lab) {
    let below = Below::new(lab);
    let mount = lab.mount();
    let (_, held) = in_sync(lab, &mount, &below);
    thread::scope(|scope| {
        let write = scope.spawn(|| attempt(WRITE));
        sleep(Duration::from_millis(1000));
        let verb = scope.spawn(|| mount.try_write("m0/ctl", "suspend"));
        wait_for("the suspend waits", || {
            attempt("pgrep -x dm-suspend").0 == 0
        });
        sleep(Duration::from_millis(500));
        output(&format!("pgrep -x dm-suspend && kill -9 {}", mount.pid()));
        assert!(verb.join().expect("no panic").is_err());
        drop(held);
        let written = write.join().expect("no panic");
        assert_eq!(written.0, 0, "{}", written.1);
    });
    wait_for("the child ends", || attempt("pgrep -x dm-suspend").0 == 1);
    assert_eq!(
        output("dmsetup info -c --noheadings -o suspended m0").trim(),
        "Active"
    );
    output("timeout 20 dmsetup suspend --noflush m0 && dmsetup resume m0");
    output(WRITE);
    mount.mount("");
    mount.write("m0/ctl", "remove");
}

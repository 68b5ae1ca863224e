//! A file or device belongs to one mirror at a time, whoever asks.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only};
use crate::lab::engine::no_loops;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};

const PROCESSES: &str = "two daemons of the kernel's engine share one device-mapper";

pub const CASES: &[Case] = &[
    embedded_only("of_another_daemon", PROCESSES, of_another_daemon),
    embedded_only("of_a_killed_daemon", PROCESSES, of_a_killed_daemon),
    embedded_only("of_another_program", PROCESSES, of_another_program),
    embedded_only("on_a_device", PROCESSES, on_a_device).needing(no_loops),
];

/// A mirror of disks 0 and 1 with its log in a file that both mounts can name.
fn table(lab: &Lab) -> String {
    let (one, other, log) = (lab.disk(0), lab.disk(1), log(lab));
    format!("0 2048 mirror disk 3 {log} 128 nosync 2 {one} 0 {other} 0 1 handle_errors")
}

fn log(lab: &Lab) -> String {
    lab.path("log").display().to_string()
}

/// Panics unless a request is refused because of this file or device.
fn assert_busy(mount: &Mount, line: &str, what: &str) {
    let before = mount.list("");
    let (errno, reason) = mount.try_write("new", line).expect_err(line);
    assert_eq!(errno, Errno::EBUSY, "{line}: {reason}");
    assert!(
        reason.contains(what) && reason.lines().count() == 1,
        "`{reason}` does not name {what}"
    );
    assert_eq!(mount.list(""), before);
}

/// Every role of a file keeps every role of another mount's mirror off.
fn of_another_daemon(lab: &Lab) {
    let (mount, second) = (lab.mount(), lab.mount());
    mount.write("new", &format!("m: {}", table(lab)));
    let [a, b, c, d] = [0, 1, 2, 3].map(|number| lab.disk(number));
    let log = log(lab);
    let core = |one: &str, other: &str| format!("0 2048 mirror core 1 128 2 {one} 0 {other} 0");
    assert_busy(&second, &core(&a, &c), &a);
    assert_busy(&second, &core(&c, &b), &b);
    assert_busy(&second, &core(&c, &log), &log);
    assert_busy(
        &second,
        &format!("0 2048 mirror disk 2 {log} 128 2 {c} 0 {d} 0"),
        &log,
    );
    // What was refused holds nothing: the rest is still free for the first.
    mount.write("new", &format!("n: {}", core(&c, &d)));
    mount.wait_in_sync("n");
    mount.write("n/ctl", "remove");
    mount.write("m/ctl", "remove");
    second.write("new", &format!("m: {}", table(lab)));
    assert_busy(&mount, &core(&a, &c), &a);
    second.write("m/ctl", "remove");
}

/// The kernel frees what a killed daemon held; who comes first has it then.
fn of_a_killed_daemon(lab: &Lab) {
    let (mount, second) = (lab.mount(), lab.mount());
    mount.write("new", &format!("m: {}", table(lab)));
    mount.kill(Signal::SIGKILL);
    second.write("new", &format!("m: {}", table(lab)));
    // The first finds its files taken, says so, and keeps its record.
    mount.mount("");
    let health = mount.read("m/health");
    assert!(health.starts_with("failed\n"), "{health}");
    let events = mount.read("events");
    assert!(events.contains(" m error EBUSY"), "{events}");
    second.write("m/ctl", "remove");
    // The log was given to the second, and made by the first: it is there still.
    assert!(std::path::Path::new(&log(lab)).exists());
    mount.write("m/ctl", "resume");
    mount.write("m/ctl", "remove");
    assert!(!std::path::Path::new(&log(lab)).exists());
    mount.write("new", &format!("m: {}", table(lab)));
    mount.write("m/ctl", "remove");
}

/// Whoever locks a file (flock(2)) keeps mirrors off it.
fn of_another_program(lab: &Lab) {
    let mount = lab.mount();
    let (one, line) = (lab.disk(0), table(lab));
    let file = File::open(&one).expect("a disk");
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).expect("a lock");
    assert_busy(&mount, &line, &one);
    drop(lock);
    mount.write("new", &format!("m: {line}"));
    let file = File::open(&one).expect("a disk");
    let refused = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    assert!(refused.is_err(), "a leg can be locked by others");
    mount.write("m/ctl", "remove");
    let file = File::open(&one).expect("a disk");
    let free = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    assert!(free.is_ok(), "a leg stays locked");
}

/// A device that is a leg cannot be mounted, and is free after `remove`.
fn on_a_device(lab: &Lab) {
    let (disk, other) = (lab.disk(0), lab.disk(1));
    let device = output(&format!(
        "mkfs.ext4 -q -F {disk} && losetup --show -f {disk}"
    ));
    let device = device.trim();
    let _undo = Undo(format!("losetup -d {device}"));
    let at = lab.path("ext4").display().to_string();
    output(&format!("mkdir {at}"));
    let _at = Undo(format!("umount {at}; rmdir {at}"));
    let mount = lab.mount();
    let core = format!("0 2048 mirror core 2 128 nosync 2 {device} 0 {other} 0");
    mount.write("new", &format!("m: {core}"));
    let (status, said) = attempt(&format!("mount {device} {at}"));
    assert!(
        status != 0 && said.contains("already mounted or mount point busy"),
        "{said}"
    );
    // The file behind it is the device's.
    let line = format!("0 2048 mirror core 1 128 2 {disk} 0 {} 0", lab.disk(2));
    assert_busy(&mount, &line, &disk);
    mount.write("m/ctl", "remove");
    output(&format!("mount {device} {at}"));
    let mounted = format!("mounted on {at}");
    assert_busy(&mount, &core, &mounted);
}

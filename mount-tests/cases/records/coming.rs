//! Coming back: what holds up whom, what starts by itself, and what others took away.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{away, events, lasting, of_files, records, refused};
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, bytes, put};
use crate::lab::dm::dm;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("a_file_system_that_is_mounted_later", mounted_later).needing(crate::lab::engine::no_root),
    kernel_only("a_hung_disk_holds_up_nobody", MADE, hung),
    kernel_only("a_device_that_comes_later", MADE, comes_later),
    kernel_only(
        "removed_by_another_program",
        NOBODY_ELSE,
        removed_by_another,
    ),
    kernel_only("made_again_by_another_program", NOBODY_ELSE, made_again),
    kernel_only(
        "a_record_of_the_other_engine",
        "it is mounted on both",
        other_engine,
    ),
];

const MADE: &str = "devices are made in the guest, for the kernel's engine";
const NOBODY_ELSE: &str = "the embedded engine's mirrors are no devices";

fn mounted_later(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let folder = mount.scratch("fs");
    output(&format!("mkdir {folder} && mount -t tmpfs none {folder}"));
    let other = format!("{folder}.other");
    output(&format!("mkdir {other} && mount --bind {folder} {other}"));
    let _undo = Undo(format!("umount -l {folder}; umount -l {other}; true"));
    let [source, target] = [mount.scratch("source"), format!("{folder}/target")];
    for path in [&source, &target] {
        fs::write(path, vec![7; 4 << 20]).expect("a leg");
    }
    mount.write("new", &format!("m: {source} {target}"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    output(&format!("umount {folder}"));
    mount.mount("");
    let health = mount.read("m/health");
    assert!(
        health.contains("once its file system is mounted"),
        "{health}"
    );
    output(&format!("mount --bind {other} {folder}"));
    mount.wait_in_sync("m");
    assert_eq!(events(&mount, "error").len(), 1, "{}", mount.read("events"));
    mount.write("m/ctl", "remove");
    output(&format!("umount {folder}; umount {other}"));
}

/// A mapping `name` of all of a disk.
fn mapped(name: &str, disk: &str) -> Undo {
    let sectors = output(&format!("blockdev --getsz {disk}"));
    let table = format!("0 {} linear {disk} 0", sectors.trim());
    output(&format!(
        "dmsetup create {name} -u MAP-{name} --table '{table}'"
    ));
    // What udev was told of while it hung it looks at now.
    Undo(format!(
        "dmsetup resume {name}; udevadm settle; dmsetup remove --retry {name}"
    ))
}

fn hung(lab: &Lab) {
    let mount = lasting(lab);
    let below = mapped("below", &lab.zeroed_start(1));
    mount.mount("");
    let source = lab.random(0, 4 * MIB);
    mount.write("new", &format!("a: {source} /dev/mapper/below length=4M"));
    let (one, other) = (lab.random(2, 4 * MIB), lab.zeroed_start(3));
    mount.write("new", &format!("b: {one} {other} length=4M"));
    let (one, other) = (lab.disk(4), lab.disk(5));
    mount.write(
        "new",
        &format!("runs: 0 2048 mirror core 2 512 nosync 2 {one} 0 {other} 0 1 handle_errors"),
    );
    mount.wait_in_sync("a");
    mount.wait_in_sync("b");
    away(&mount, &["a", "b"]);
    output("dmsetup suspend below");
    let begun = Instant::now();
    let mut command = Command::new("bash");
    let command = command.args(["-c", &mount.command("")]);
    let mut child = command.stdin(Stdio::null()).spawn().expect("the command");
    wait_for("the tree is there", || mount.exists("new"));
    assert!(mount.read("runs/health").starts_with("ok\n"));
    mount.wait_in_sync("b");
    let soon = begun.elapsed();
    println!("the others were there after {soon:?}");
    assert!(soon < Duration::from_secs(8), "{soon:?}");
    let health = mount.read("a/health");
    assert!(
        health.starts_with("empty\n") && health.contains("not started yet"),
        "{health}"
    );
    // A verb there is refused, and one elsewhere is done.
    refused(mount.try_write("a/ctl", "suspend"), Errno::EBUSY, "start");
    mount.write("b/ctl", "suspend");
    mount.write("b/ctl", "resume");
    let ended = child.wait().expect("its end");
    let late = begun.elapsed();
    println!("the command returned after {late:?}");
    assert!(
        ended.success() && (25..40).contains(&late.as_secs()),
        "{late:?}"
    );
    assert!(mount.read("a/health").starts_with("failed\n"));
    output("dmsetup resume below");
    mount.wait_in_sync("a");
    for name in ["a", "b", "runs"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
    drop(below);
}

fn comes_later(lab: &Lab) {
    let mount = lasting(lab);
    let disk = lab.zeroed_start(1);
    let below = mapped("below", &disk);
    mount.mount("");
    let source = lab.random(0, 4 * MIB);
    mount.write("new", &format!("m: {source} /dev/mapper/below length=4M"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    drop(below);
    mount.mount("");
    let health = mount.read("m/health");
    assert!(
        health.contains("no device here is /dev/mapper/below"),
        "{health}"
    );
    // Others come and go: it is told of once.
    drop(mapped("other", &lab.disk(2)));
    sleep(Duration::from_secs(1));
    assert_eq!(events(&mount, "error").len(), 1, "{}", mount.read("events"));
    let below = mapped("below", &disk);
    mount.wait_in_sync("m");
    wait_for("it is told", || events(&mount, "restored").len() == 1);
    // Once it contradicts, nothing is started by itself.
    away(&mount, &["m"]);
    drop(below);
    put(&disk, MIB, b"used meanwhile");
    mount.mount("");
    assert!(mount.read("m/health").starts_with("failed\n"));
    let below = mapped("below", &disk);
    wait_longer(10, "it is looked at", || {
        mount.read("m/health").contains("differ at byte")
    });
    assert_eq!(bytes(&disk, MIB, 14), b"used meanwhile");
    mount.write("m/ctl", "remove");
    drop(below);
}

/// Wait until `m` is seen to be gone.
fn wait_failed(mount: &Mount) {
    wait_for("it is seen", || {
        mount.read("m/health").starts_with("failed\n")
    });
}

fn removed_by_another(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed_start(1));
    let line = format!("m: {source} {target} length=4M");
    mount.write("new", &line);
    mount.wait_in_sync("m");
    dm("remove --retry m");
    wait_failed(&mount);
    let health = mount.read("m/health");
    assert!(health.contains("another program removed it"), "{health}");
    refused(mount.try_write("new", &line), Errno::EEXIST, "m");
    assert_eq!(records(&mount).len(), 1);
    put(&target, 2 * MIB, b"made on the target");
    for _ in 0..2 {
        mount.stop();
        mount.mount("");
        let health = mount.read("m/health");
        assert!(health.contains("another program removed it"), "{health}");
    }
    assert_eq!(bytes(&target, 2 * MIB, 18), b"made on the target");
    refused(
        mount.try_write("m/ctl", "resume"),
        Errno::ENOTEMPTY,
        "differ",
    );
    let same = bytes(&source, 2 * MIB, 18);
    put(&target, 2 * MIB, &same);
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    // From now on it comes back again.
    away(&mount, &["m"]);
    mount.mount("");
    mount.wait_in_sync("m");
    dm("remove --retry m");
    wait_failed(&mount);
    mount.write("m/ctl", "remove");
    assert!(records(&mount).is_empty() && !mount.exists("m"));
    // One that does not come back after a reboot goes for good.
    mount.write("new", &format!("n: {}", lab.equal(2, 3)));
    dm("remove --retry n");
    wait_for("it is gone", || !mount.exists("n"));
    wait_for("its record too", || records(&mount).is_empty());
}

fn made_again(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed_start(1));
    mount.write("new", &format!("m: {source} {target} length=4M"));
    mount.wait_in_sync("m");
    let (uuid, table) = (mount.read("m/uuid"), mount.read("m/table"));
    let log = mount.read("m/log/file");
    dm("remove --retry m");
    wait_failed(&mount);
    // As a script does that makes it again, with a log of its own.
    let (start, _) = table.split_once(" disk ").expect("a log");
    let legs = table.trim().rsplit(" 2 ").next().expect("legs");
    let table = format!("{start} core 1 256 2 {legs}");
    attempt(&format!(
        "dmsetup create m -u {} --table '{table}'",
        uuid.trim()
    ));
    wait_for("it runs", || mount.read("m/status").contains(" mirror "));
    mount.wait_in_sync("m");
    wait_for("it is told", || {
        mount
            .read("events")
            .contains("m created by another program")
    });
    let listed = mount.list("").into_iter().filter(|name| name == "m");
    assert_eq!(listed.count(), 1);
    assert_eq!(records(&mount).len(), 1);
    mount.stop();
    mount.mount("");
    assert!(mount.read("m/health").starts_with("ok\n"));
    mount.write("m/ctl", "remove");
    assert!(records(&mount).is_empty());
    let _ = fs::remove_file(log.trim());
}

fn other_engine(lab: &Lab) {
    let (mount, _) = of_files(lab);
    let line = mount.command("").replace("-e kernel", "-e embedded");
    output(&line);
    let health = mount.read("m/health");
    assert!(health.contains("a mirror of the kernel engine"), "{health}");
    assert!(mount.try_write("m/ctl", "resume").is_err());
    mount.stop();
    mount.mount("");
    mount.wait_in_sync("m");
    mount.write("m/ctl", "remove");
}

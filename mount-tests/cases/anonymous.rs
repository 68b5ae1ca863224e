//! Files whose stat(2) names no device: on btrfs, in subvolumes of it, over several
//! disks, on a loop device on it. What lies on the mirror itself must be known to.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::failover::rig::NO_IO;
use super::records::{events, refused};
use super::short::own_logs;
use crate::lab::bounded::Bounded;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};

use crate::lab::writer::Writer;
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("the_state_directory_on_it", NO_IO, on_it),
    kernel_only("in_a_subvolume", NO_IO, in_a_subvolume),
    kernel_only("on_its_second_disk", NO_IO, on_the_second_disk),
    kernel_only("in_a_loop_device_on_it", NO_IO, in_a_loop_device),
    kernel_only("in_an_overlay_of_it", NO_IO, in_an_overlay),
    kernel_only("with_its_journal_on_it", NO_IO, with_a_journal),
    kernel_only("on_another_btrfs", NO_IO, on_another),
    kernel_only("what_is_named_on_it", NO_IO, named),
    kernel_only("a_leg_fails_below_it", NO_IO, a_leg_fails),
    kernel_only("every_disk_of_it_is_used", NO_IO, members),
];

/// Of what is slid under: large enough for btrfs.
const SECTORS: u64 = 128 * MIB / 512;

/// How long one test may take, under emulation.
const PATIENCE: Duration = Duration::from_secs(300);

/// A linear device of a part of disk 0.
fn home(lab: &Lab) -> Undo {
    let disk = lab.zeroed_start(0);
    create("home", "", &format!("0 {SECTORS} linear {disk} 2048"));
    Undo("dmsetup resume --noflush home; dmsetup remove --retry home".into())
}

/// A btrfs over these devices, mounted by the first in a folder of this name.
fn btrfs(lab: &Lab, name: &str, devices: &[&str]) -> (String, Undo) {
    let at = lab.path(name).display().to_string();
    let all = devices.join(" ");
    output(&format!(
        "modprobe btrfs && mkfs.btrfs -q -f -d single -m single {all} && mkdir {at} \
         && btrfs device scan {all} && mount -o noatime {} {at}",
        devices[0]
    ));
    let undo = Undo(format!("umount {at}; rmdir {at}; wipefs -aq {all}"));
    (at, undo)
}

fn slide(mount: &Mount, rest: &str) {
    let started = Instant::now();
    let answer = mount.try_write("new", &format!("/dev/mapper/home {rest} live=yes"));
    assert_eq!(answer, Ok("home\n".into()));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    assert!(dm("info home").contains("ACTIVE"));
}

/// With its state directory there the log is in memory, and all goes on.
fn slides_with_its_log_in_memory(lab: &Lab, there: &str) {
    let target = lab.zeroed_start(1);
    let mount = Mount::new_in(lab, lab.engine, there);
    mount.mount("");
    slide(&mount, &format!("{target} force=yes"));
    assert_eq!(mount.read("home/log/type"), "core\n");
    assert_eq!(own_logs(&mount), [] as [PathBuf; 0]);
    let told = events(&mount, "set").concat();
    assert!(told.contains("its log is in memory"), "{told}");
    output(&format!("head -c 1M /dev/urandom >{there}/file; sync"));
    mount.write("home/ctl", "abort");
    output(&format!("head -c 1M /dev/urandom >>{there}/file; sync"));
    assert!(dm("table home").contains(" linear "));
}

fn on_it(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    slides_with_its_log_in_memory(lab, &at);
    drop((mounted, undo));
}

/// Its number stands in no line of mountinfo.
fn in_a_subvolume(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    output(&format!(
        "btrfs subvolume create {at}/sub && btrfs subvolume create {at}/sub/deep"
    ));
    slides_with_its_log_in_memory(lab, &format!("{at}/sub/deep"));
    // Mounted by itself, at a place that is a bind mount of another.
    let bound = lab.path("bound").display().to_string();
    output(&format!(
        "mkdir {bound} && mount -o subvol=sub /dev/mapper/home {bound} \
         && mount --bind {bound}/deep {bound}"
    ));
    let unmount = Undo(format!("umount {bound}; umount {bound}; rmdir {bound}"));
    slides_with_its_log_in_memory(lab, &bound);
    drop((unmount, mounted, undo));
}

/// Neither stat(2) nor the mount's source name it.
fn on_the_second_disk(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let first = lab.zeroed_start(2);
    let (at, mounted) = btrfs(lab, "at", &[&first, "/dev/mapper/home"]);
    slides_with_its_log_in_memory(lab, &at);
    drop((mounted, undo));
}

/// What stat(2) names is a loop device, whose file is on it.
fn in_a_loop_device(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    let inner = lab.path("inner").display().to_string();
    output(&format!(
        "truncate -s 32M {at}/image && mkfs.ext4 -q {at}/image && mkdir {inner} \
         && mount -o loop {at}/image {inner}"
    ));
    let unmount = Undo(format!("umount {inner}; rmdir {inner}"));
    slides_with_its_log_in_memory(lab, &inner);
    drop((unmount, mounted, undo));
}

fn in_an_overlay(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    let over = lab.path("over").display().to_string();
    output(&format!(
        "mkdir {over} {over}.low {at}/up {at}/work && mount -t overlay \
         -o lowerdir={over}.low,upperdir={at}/up,workdir={at}/work overlay {over}"
    ));
    let unmount = Undo(format!("umount {over}; rmdir {over} {over}.low"));
    slides_with_its_log_in_memory(lab, &over);
    drop((unmount, mounted, undo));
}

/// What stat(2) names is another disk, and each write goes to the journal too.
fn with_a_journal(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, disk) = (lab.path("at").display().to_string(), lab.zeroed_start(2));
    output(&format!(
        "mke2fs -q -F -b 4096 -O journal_dev /dev/mapper/home && mkdir {at} \
         && mkfs.ext4 -q -F -b 4096 -J device=/dev/mapper/home {disk} && mount {disk} {at}"
    ));
    let unmount = Undo(format!("umount {at}; rmdir {at}"));
    slides_with_its_log_in_memory(lab, &at);
    drop((unmount, undo));
}

/// What is not on it is not refused: the log is a file.
fn on_another(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    let (other, other_mounted) = btrfs(lab, "other", &[&lab.zeroed_start(2)]);
    output(&format!("btrfs subvolume create {other}/sub"));
    let there = format!("{other}/sub");
    let mount = Mount::new_in(lab, lab.engine, &there);
    mount.mount("");
    slide(&mount, &format!("{} force=yes", lab.zeroed_start(1)));
    assert_eq!(mount.read("home/log/type"), "disk\n");
    let logs = own_logs(&mount);
    assert!(logs.len() == 1 && logs[0].starts_with(&there), "{logs:?}");
    output(&format!("head -c 1M /dev/urandom >{at}/file; sync"));
    wait_longer(60, "in sync", || {
        mount.read("home/sync/state") == "in_sync\n"
    });
    mount.write("home/ctl", "finish");
    output(&format!("head -c 1M /dev/urandom >>{at}/file; sync"));
    assert_eq!(own_logs(&mount), [] as [PathBuf; 0]);
    its_file_system_is_known(lab, &mount, &there);
    drop((mount, other_mounted));
    output(&format!(
        "umount {at} && btrfs check --readonly /dev/mapper/home && mount /dev/mapper/home {at}"
    ));
    drop((mounted, undo));
}

/// A record tells a file in a subvolume from one of the same name elsewhere.
fn its_file_system_is_known(lab: &Lab, mount: &Mount, there: &str) {
    let (source, target) = (lab.disk(4), lab.disk(5));
    let table = format!("0 2048 mirror disk 2 {there}/log 512 2 {source} 0 {target} 0");
    mount.write("new", &format!("m0: {table}"));
    let record = output(&format!("cat {}/mirrors/*.json", mount.state().display()));
    let uuid = output(&format!("blkid -o value -s UUID {}", lab.disk(2)));
    assert!(record.contains(uuid.trim()), "{uuid}{record}");
    mount.write("m0/ctl", "remove");
}

/// A log or leg that a request names.
fn named(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "home");
    let undo = home(lab);
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/home"]);
    output(&format!(
        "btrfs subvolume create {at}/sub && truncate -s 256M {at}/sub/leg {at}/image \
         && truncate -s 1M {at}/sub/there.log"
    ));
    let device = output(&format!("losetup -f --show {at}/image"));
    let detach = Undo(format!("losetup -d {device}"));
    let (source, target) = (lab.disk(0), lab.zeroed_start(1));
    let mount = lab.mount();
    let on_itself = |file: &str, line: &str| {
        let answer = mount.try_write(file, line);
        refused(answer, Errno::EINVAL, "on the mirror itself");
        assert!(dm("info home").contains("ACTIVE"), "{line}");
    };
    for log in ["sub/new.log", "sub/there.log", "new.log"] {
        let line = format!("/dev/mapper/home {target} live=yes force=yes log={at}/{log}");
        on_itself("new", &line);
    }
    slide(&mount, &format!("{target} force=yes log=core"));
    wait_longer(60, "in sync", || {
        mount.read("home/sync/state") == "in_sync\n"
    });
    let table = format!(
        "0 {SECTORS} mirror disk 2 {at}/sub/new.log 8192 2 {source} 2048 {target} 0 1 handle_errors"
    );
    let (errno, _) = mount.try_write("home/table", &table).expect_err("refused");
    assert_eq!(errno, Errno::EINVAL);
    let told = events(&mount, "error").pop().expect("why");
    assert!(told.contains("on the mirror itself"), "{told}");
    for leg in [&format!("{at}/sub/leg"), device.trim()] {
        on_itself("home/ctl", &format!("add {leg}"));
        on_itself("home/ctl", &format!("replace 1 {leg}"));
    }
    assert!(!Path::new(&format!("{at}/sub/new.log")).exists());
    assert!(!Path::new(&format!("{at}/new.log")).exists());
    // A file elsewhere is a log, though the file system has no device either.
    let elsewhere = mount.scratch("log");
    let table = format!(
        "0 {SECTORS} mirror disk 2 {elsewhere} 8192 2 {source} 2048 {target} 0 1 handle_errors"
    );
    mount.write("home/table", &table);
    assert_eq!(mount.read("home/log/type"), "disk\n");
    // A log that it has already is not asked about again.
    mount.write("home/ctl", "resync");
    mount.write("home/ctl", "abort");
    output("sync");
    drop((mount, detach, mounted, undo));
}

/// The record is on what has failed: writes go on first.
fn a_leg_fails(lab: &Lab) {
    let _bounded = Bounded::to(PATIENCE, "root");
    let leg = lab.fragile(0, 262_144);
    let first = lab.mount();
    first.write(
        "new",
        &format!(
            "root: 0 262144 mirror core 2 128 nosync 2 {} 0 {} 0 1 handle_errors",
            leg.path,
            lab.disk(1)
        ),
    );
    first.stop();
    let (at, mounted) = btrfs(lab, "at", &["/dev/mapper/root"]);
    output(&format!("btrfs subvolume create {at}/sub"));
    let mount = Mount::new_in(lab, lab.engine, format!("{at}/sub"));
    mount.mount("");
    mount.write("root/persist", "yes");
    let file = format!("{at}/file");
    output(&format!("head -c 4M /dev/zero >{file}; sync"));
    let writer = Writer::start(&file, 4 << 20);
    writer.wait_for(20);
    leg.fail();
    wait_longer(30, "the leg is out", || {
        mount.read("root/health").starts_with("degraded\n")
    });
    writer.wait_for(50);
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    println!("the longest wait of a writer {:?}", written.longest);
    // Who waits for a record on what is held waits for three seconds in vain.
    assert!(written.longest < Duration::from_millis(2900));
    written.assert_on(&file);
    wait_for("its record", || {
        let records = output(&format!("cat {}/mirrors/*.json", mount.state().display()));
        records.contains("linear") && records.contains("\"dropped\"")
    });
    mount.stop();
    drop((mount, mounted));
    first.mount("");
    first.write("root/ctl", "remove");
}

/// A mounted btrfs uses all of its disks, whichever of them, and whatever of it, is
/// mounted.
fn members(lab: &Lab) {
    let disks: Vec<String> = (0..3).map(|number| lab.zeroed_start(number)).collect();
    let disks: Vec<&str> = disks.iter().map(String::as_str).collect();
    let (at, mounted) = btrfs(lab, "at", &disks);
    output(&format!("btrfs subvolume create {at}/sub"));
    output(&format!(
        "umount {at} && mount -o subvol=sub {} {at}",
        disks[1]
    ));
    let (mount, free) = (lab.mount(), lab.zeroed_start(4));
    for disk in &disks {
        for line in [
            format!("{disk} {free} log=core force=yes"),
            format!("{free} {disk} log=core force=yes"),
            format!("0 2048 mirror core 1 512 2 {free} 0 {disk} 0"),
        ] {
            let answer = mount.try_write("new", &line);
            let (errno, why) = answer.expect_err(&line);
            assert_eq!(errno, Errno::EBUSY, "{line}: {why}");
            assert!(why.contains("mounted"), "{line}: {why}");
        }
    }
    drop((mount, mounted));
}

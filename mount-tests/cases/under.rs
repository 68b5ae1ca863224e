//! Sliding a mirror under a device that is in use, and taking it out again.

use std::path::PathBuf;

use nix::errno::Errno;

use super::failover::rig::NO_IO;
use super::records::{away, events, lasting, records, refused};
use super::short::own_logs;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, assert_equal_at, put};
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::wait_longer;
use crate::lab::writer::Writer;

pub const CASES: &[Case] = &[
    kernel_only("finished", NO_IO, finished),
    kernel_only("aborted", NO_IO, aborted),
    kernel_only("several_targets", NO_IO, several_targets),
    kernel_only("refused", NO_IO, refusals),
    kernel_only("unequal_blocks", NO_IO, unequal_blocks),
    kernel_only("a_log_on_itself", NO_IO, a_log_on_itself),
    kernel_only("its_record", NO_IO, its_record),
    kernel_only("it_was_made_again", NO_IO, made_again),
];

const SECTORS: u64 = 16 * MIB / 512;

/// A linear device of a part of disk 0.
fn home(lab: &Lab, uuid: &str) -> Undo {
    let disk = lab.random(0, 17 * MIB);
    home_of(&disk, uuid, SECTORS)
}

fn home_of(disk: &str, uuid: &str, sectors: u64) -> Undo {
    create("home", uuid, &format!("0 {sectors} linear {disk} 2048"));
    Undo("dmsetup resume home; dmsetup remove --retry home".into())
}

fn slide(mount: &Mount, target: &str) {
    let line = format!("/dev/mapper/home {target} live=yes");
    assert_eq!(mount.try_write("new", &line), Ok("home\n".into()));
}

fn nothing_of_it(mount: &Mount) {
    assert!(!mount.exists("home"), "{}", mount.read("home/table"));
    assert_eq!(own_logs(mount), [] as [PathBuf; 0]);
    assert_eq!(records(mount), [] as [PathBuf; 0]);
    let told = mount.read("events");
    assert!(!told.contains("by another program"), "{told}");
}

fn finished(lab: &Lab) {
    let undo = home(lab, "");
    let (source, target) = (lab.disk(0), lab.zeroed(1));
    let mount = lab.mount();
    let writer = Writer::start("/dev/mapper/home", 16 * MIB);
    writer.wait_for(20);
    slide(&mount, &target);
    let table = dm("table home");
    assert!(
        table.contains(" mirror disk ") && table.contains("handle_errors"),
        "{table}"
    );
    assert_eq!(mount.read("home/uuid"), "\n");
    assert_eq!(mount.read("home/persist"), "no\n");
    writer.wait_for(50);
    mount.wait_in_sync("home");
    assert!(mount.read("home/health").starts_with("ok\n"));
    mount.write("home/ctl", "finish");
    let number = lab.number(&target);
    assert_eq!(dm("table home"), format!("0 {SECTORS} linear {number} 0\n"));
    writer.wait_for(50);
    nothing_of_it(&mount);
    let told = events(&mount, "finished").concat();
    assert!(
        told.contains(&format!("on leg 1 {target}")) && told.contains("at boot"),
        "{told}"
    );
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    println!("the longest wait of a writer {:?}", written.longest);
    written.assert_on(&target);
    drop((mount, undo));
    put(&source, 0, &[0; 512]);
}

fn aborted(lab: &Lab) {
    // Large enough for a copy that is still under way.
    let undo = home_of(&lab.disk(0), "", 128 * MIB / 512);
    let before = dm("table home");
    let target = lab.zeroed(1);
    let mount = lab.mount();
    mount.write("throttle", "1");
    let writer = Writer::start("/dev/mapper/home", 16 * MIB);
    slide(&mount, &format!("{target} region=64K log=core"));
    writer.wait_for(20);
    assert_eq!(mount.read("home/sync/state"), "syncing\n");
    mount.write("home/ctl", "abort");
    mount.write("throttle", "100");
    assert_eq!(dm("table home"), before);
    writer.wait_for(20);
    nothing_of_it(&mount);
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    written.assert_on("/dev/mapper/home");
    drop((mount, undo));
}

/// Each target becomes a mirror with a log of its own, and each leg lies as far on
/// as its target begins.
fn several_targets(lab: &Lab) {
    let (one, other) = (lab.random(0, 8 * MIB), lab.random(2, 8 * MIB));
    create(
        "home",
        "",
        &format!("0 8192 linear {one} 4096\n8192 8192 linear {other} 0\n"),
    );
    let undo = Undo("dmsetup resume home; dmsetup remove --retry home".into());
    let target = lab.zeroed(1);
    let mount = lab.mount();
    let writer = Writer::start("/dev/mapper/home", 8 * MIB);
    slide(&mount, &format!("{target}@1M"));
    mount.wait_in_sync("home");
    assert_eq!(mount.read("home/table").lines().count(), 2);
    assert_eq!(mount.list("home/legs").len(), 4);
    assert_eq!(own_logs(&mount).len(), 2);
    let named = mount.try_write("home/ctl", "finish");
    assert!(named.is_ok(), "{named:?}");
    let number = lab.number(&target);
    let wanted = format!("0 8192 linear {number} 2048\n8192 8192 linear {number} 10240\n");
    assert_eq!(dm("table home"), wanted);
    writer.wait_for(20);
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    written.assert_on("/dev/mapper/home");
    assert_equal_at((&target, MIB), ("/dev/mapper/home", 0), 8 * MIB);
    nothing_of_it(&mount);
    drop((mount, undo));
}

fn refusals(lab: &Lab) {
    let undo = home(lab, "");
    let (source, target) = (lab.disk(0), lab.zeroed(1));
    let mount = lab.mount();
    create(
        "odd",
        "",
        &format!("0 2048 linear {} 0\n2048 2048 zero\n", lab.disk(3)),
    );
    create(
        "lv",
        "LVM-0123",
        &format!("0 2048 linear {} 8192\n", lab.disk(3)),
    );
    let others = Undo("dmsetup remove --retry odd; dmsetup remove --retry lv".into());
    let used = format!("EBUSY home {}", lab.disk(3));
    let disk = format!("{source} {target}");
    for (line, word) in [
        ("EINVAL odd {t}", "zero target"),
        ("EPERM lv {t}", "LVM"),
        ("EINVAL home {t}@252M", ""),
        ("ENOSPC home {t}@252M", "too small"),
        ("EINVAL home {t} sync=no", "sync=no"),
        ("EINVAL home {t} length=1M", "length="),
        ("EINVAL home@1M {t}", "offset"),
        ("EINVAL home {t} region=3K", "power of two"),
        ("EINVAL home /dev/mapper/home", ""),
        (&used, "odd"),
        ("EINVAL home {s}@1M", "overlaps"),
    ] {
        let (errno, rest) = line.split_once(' ').expect("two words");
        let rest = rest.replace("{t}", &target).replace("{s}", &source);
        let before = dm("table");
        let answer = mount.try_write("new", &format!("/dev/mapper/{rest} live=yes"));
        let (found, why) = answer.expect_err(&rest);
        // The device itself is no leg of its own, whichever check sees it first.
        let same = rest.starts_with("home /dev/mapper") || rest.contains("252M");
        assert!(
            same || format!("{found:?}") == errno,
            "{rest}: {found}: {why}"
        );
        assert!(why.contains(word) || same, "{rest}: {why}");
        assert_eq!(dm("table"), before, "{rest}");
        assert!(dm("info home").contains("ACTIVE"), "{rest}");
        nothing_of_it(&mount);
    }
    let plain = mount.try_write("new", &format!("{disk} live=yes"));
    refused(plain, Errno::EINVAL, "not a device-mapper device");
    let named = mount.try_write("new", &format!("other: /dev/mapper/home {target} live=yes"));
    refused(named, Errno::EINVAL, "keeps its name");
    dm("suspend home");
    let held = mount.try_write("new", &format!("/dev/mapper/home {target} live=yes"));
    refused(held, Errno::EBUSY, "suspended");
    dm("resume home");
    slide(&mount, &target);
    let again = mount.try_write("new", &format!("/dev/mapper/home {} live=yes", lab.disk(4)));
    refused(again, Errno::EINVAL, "mirror already");
    assert!(mount.exists("home/ctl"));
    mount.wait_in_sync("home");
    mount.write("home/ctl", "abort");
    drop((mount, others, undo));
}

/// The device's blocks would grow under a file system that is mounted.
fn unequal_blocks(lab: &Lab) {
    let undo = home(lab, "");
    let mount = lab.mount();
    let file = mount.scratch("blocks");
    let device = output(&format!(
        "truncate -s 32M {file} && losetup -b 4096 --show -f {file}"
    ));
    let device = device.trim();
    let detach = Undo(format!("losetup -d {device}"));
    let answer = mount.try_write("new", &format!("/dev/mapper/home {device} live=yes"));
    refused(answer, Errno::EINVAL, "4096");
    nothing_of_it(&mount);
    let size = output("blockdev --getss /dev/mapper/home");
    assert_eq!(size, "512\n");
    drop((detach, mount, undo));
}

/// A log in a file system on the device would wait for itself.
fn a_log_on_itself(lab: &Lab) {
    let undo = home(lab, "");
    let target = lab.zeroed(1);
    let at = lab.path("home").display().to_string();
    output(&format!(
        "mkfs.ext4 -q /dev/mapper/home && mkdir {at} && mount /dev/mapper/home {at}"
    ));
    let unmount = Undo(format!("umount {at}; rmdir {at}"));
    let mount = Mount::new_in(lab, lab.engine, &at);
    mount.mount("");
    let named = format!("/dev/mapper/home {target} live=yes log={at}/own.log");
    refused(
        mount.try_write("new", &named),
        Errno::EINVAL,
        "on the mirror itself",
    );
    assert!(!std::path::Path::new(&format!("{at}/own.log")).exists());
    // The state directory is there, too.
    slide(&mount, &target);
    assert_eq!(mount.read("home/log/type"), "core\n");
    mount.wait_in_sync("home");
    output(&format!("head -c 1M /dev/urandom >{at}/file; sync"));
    mount.write("home/ctl", "finish");
    output(&format!("head -c 1M /dev/urandom >>{at}/file; sync"));
    drop((mount, unmount));
    output("e2fsck -fn /dev/mapper/home");
    drop(undo);
}

/// A device with a UUID is known again by the next daemon.
fn its_record(lab: &Lab) {
    let undo = home(lab, "HOME-1");
    let target = lab.zeroed(1);
    let mount = lasting(lab);
    mount.mount("");
    slide(&mount, &format!("{target} errors=hold"));
    assert_eq!(mount.read("home/persist"), "yes\n");
    assert_eq!(records(&mount).len(), 1);
    mount.kill(nix::sys::signal::Signal::SIGKILL);
    output(&format!("umount -l {}", mount.at.display()));
    mount.mount("");
    assert_eq!(mount.read("home/on_failure"), "hold\n");
    mount.wait_in_sync("home");
    assert_equal_at((&lab.disk(0), MIB), (&target, 0), 16 * MIB);
    mount.write("home/ctl", "finish");
    nothing_of_it(&mount);
    drop((mount, undo));
}

/// After a reboot whoever makes the device has made it again, without a mirror: that
/// is what it is, and the log is nobody's.
fn made_again(lab: &Lab) {
    let undo = home(lab, "HOME-1");
    let linear = dm("table home");
    let target = lab.zeroed(1);
    let mount = lasting(lab);
    mount.mount("");
    slide(&mount, &target);
    mount.wait_in_sync("home");
    away(&mount, &["home"]);
    // Nobody makes it: the mirror is there again.
    mount.mount("");
    mount.wait_in_sync("home");
    away(&mount, &["home"]);
    create("home", "HOME-1", &linear);
    mount.mount("");
    assert_eq!(dm("table home"), linear);
    wait_longer(10, "it is told", || !events(&mount, "removed").is_empty());
    assert!(
        events(&mount, "removed")
            .concat()
            .contains("without a mirror")
    );
    nothing_of_it(&mount);
    drop((mount, undo));
}

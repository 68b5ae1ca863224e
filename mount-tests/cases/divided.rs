//! Several parts copied at once: `segments=` of the short form, and what is chosen where
//! disks answer late.

use std::fs;

use nix::errno::Errno;

use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{SIZE, assert_equal};
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_longer};

const LATE: &str = "the embedded engine has no device that answers late";

pub const CASES: &[Case] = &[
    both("as_many_as_asked_for", as_many_as_asked_for),
    both("what_cannot_be_is_refused", what_cannot_be_is_refused),
    kernel_only("under_a_running_device", LATE, under_a_running_device),
    kernel_only("late_disks_are_copied_in_parts", LATE, late_disks),
];

/// The kernel's, which is to be as it was.
const PARAMETER: &str = "/sys/module/dm_mod/parameters/kcopyd_subjob_size_kb";

fn targets(mount: &Mount) -> usize {
    mount.read("m/table").lines().count()
}

fn as_many_as_asked_for(lab: &Lab) {
    for (log, asked) in [("core", 4), ("auto", 4), ("auto", 1), ("core", 7)] {
        let (source, target) = (lab.random(0, SIZE), lab.zeroed(1));
        let mount = lab.mount();
        mount.write("throttle", "1");
        let line = format!("m: {source} {target} region=1M log={log} segments={asked}");
        mount.write("new", &line);
        let made = targets(&mount);
        assert!(
            made == asked || mount.read("m/sync/state") != "syncing\n",
            "{line}: {made}"
        );
        assert_eq!(mount.read("m/size").trim(), SIZE.to_string(), "{line}");
        assert_eq!(mount.list("m/legs"), ["0", "1"], "{line}");
        mount.write("throttle", "100");
        mount.wait_in_sync("m");
        // One target is left, once nothing is copied any more.
        wait_longer(60, "one target", || targets(&mount) == 1);
        mount.wait_in_sync("m");
        assert_eq!(mount.read("m/health").lines().next(), Some("ok"), "{line}");
        mount.write("m/ctl", "finish");
        mount.write("m/ctl", "remove");
        drop(mount);
        assert_equal(&source, &target, SIZE);
    }
}

fn what_cannot_be_is_refused(lab: &Lab) {
    let (mount, source, target) = (lab.mount(), lab.disk(0), lab.zeroed(1));
    let log = lab.blank(2);
    for (keys, word) in [
        ("segments=0", "1 to 64"),
        ("segments=65", "1 to 64"),
        ("segments=few", "\"few\""),
        ("segments=-1", "\"-1\""),
        ("segments=2 limit=1M", "limit="),
        (&*format!("segments=2 log={log}"), "log="),
    ] {
        let line = format!("m: {source} {target} {keys}");
        let (errno, reason) = mount.try_write("new", &line).expect_err(keys);
        assert_eq!(errno, Errno::EINVAL, "{keys}: {reason}");
        assert!(reason.contains(word), "{keys}: {reason}");
    }
    assert_eq!(mount.read("status"), "");
    mount.write(
        "new",
        &format!("m: {source} {target} segments=1 limit=1M log=core"),
    );
    mount.write("m/ctl", "abort");
    mount.write("m/ctl", "remove");
}

fn under_a_running_device(lab: &Lab) {
    let (source, target) = (lab.random(0, SIZE), lab.zeroed(1));
    let mount = lab.mount();
    create("m", "u-1", &format!("0 {} linear {source} 0", SIZE / 512));
    let _undo = Undo("dmsetup remove --retry m 2>/dev/null".into());
    mount.write("throttle", "1");
    mount.write(
        "new",
        &format!("/dev/mapper/m {target} live=yes region=1M segments=3"),
    );
    assert!(targets(&mount) == 3 || mount.read("m/sync/state") != "syncing\n");
    mount.write("throttle", "100");
    mount.wait_in_sync("m");
    wait_longer(60, "one target", || targets(&mount) == 1);
    mount.write("m/ctl", "finish");
    dm("remove --retry m");
    assert_equal(&source, &target, SIZE);
}

/// Two disks of 64 MiB that answer after 10 ms, and do not turn.
fn late_disks(lab: &Lab) {
    const LENGTH: u64 = 64 << 11;
    let mount = lab.mount();
    let mut undo = Vec::new();
    for name in ["late0", "late1"] {
        let file = mount.scratch(name);
        let device = output(&format!("truncate -s 64M {file}; losetup --show -f {file}"));
        let device = device.trim().to_owned();
        undo.push(Undo(format!(
            "dmsetup remove --retry {name} 2>/dev/null; losetup -d {device}"
        )));
        output("modprobe dm-delay");
        create(name, "", &format!("0 {LENGTH} delay {device} 0 10"));
    }
    let before = fs::read_to_string(PARAMETER).expect("a parameter");
    output("dd if=/dev/urandom of=/dev/mapper/late0 bs=1M count=64 oflag=direct status=none");
    let line = "m: /dev/mapper/late0 /dev/mapper/late1";
    mount.write("new", line);
    let table = mount.read("m/table");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(
        table.lines().all(|line| line.contains(" 16384 2 ")),
        "{table}"
    );
    // Parts that are copied already become one, which is a load as well.
    wait_longer(20, "the kernel's value is put back", || {
        fs::read_to_string(PARAMETER).expect("a parameter") == before
    });
    mount.wait_in_sync("m");
    wait_longer(60, "one target", || targets(&mount) == 1);
    mount.write("m/ctl", "finish");
    mount.write("m/ctl", "remove");
    output("cmp /dev/mapper/late0 /dev/mapper/late1");
    // What turns is copied from its beginning to its end.
    for leg in ["late0", "late1"] {
        output(&format!(
            "echo 1 >/sys/block/$(basename \"$(readlink -f /dev/mapper/{leg})\")/queue/rotational"
        ));
    }
    mount.write("new", &format!("{line} force=yes"));
    assert_eq!(targets(&mount), 1);
    mount.write("m/ctl", "abort");
    mount.write("m/ctl", "remove");
    drop(mount);
    drop(undo);
}

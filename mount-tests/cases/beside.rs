//! Others who use a leg or log of a mirror: device-mapper lets them, and what they
//! write is on one leg alone.

use nix::errno::Errno;

use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_for};

const MAPPINGS: &str = "the embedded engine's legs are no other mapping's";

pub const CASES: &[Case] = &[
    kernel_only("a_mapping_on_a_leg", MAPPINGS, leg),
    kernel_only("a_mapping_on_the_log", MAPPINGS, log),
    kernel_only("a_mapping_elsewhere_on_the_disk", MAPPINGS, elsewhere),
    kernel_only("a_disk_that_is_pulled", MAPPINGS, pulled),
];

fn mirror(lab: &Lab) -> Mount {
    let mount = lab.mount();
    let (one, other, log) = (lab.disk(0), lab.disk(1), lab.blank(2));
    mount.write(
        "new",
        &format!("m: 0 8192 mirror disk 3 {log} 128 nosync 2 {one} 0 {other} 0 1 handle_errors"),
    );
    mount.wait_in_sync("m");
    mount
}

/// Health says who, and `finish` is refused with his name.
fn is_told(mount: &Mount, what: &str) {
    let health = mount.read("m/health");
    let warning = format!("warning {what} is also used by the mapping t:");
    assert!(
        health.starts_with("ok\n") && health.contains(&warning),
        "{health}"
    );
    let (errno, why) = mount.try_write("m/ctl", "finish").expect_err("it is used");
    assert!(
        errno == Errno::EBUSY && why.contains("the mapping t"),
        "{errno}: {why}"
    );
    assert!(dm("table m").contains(" mirror "));
}

/// Gone again, nothing is said of him.
fn is_over(mount: &Mount) {
    dm("remove --retry t");
    assert!(!mount.read("m/health").contains("mapping t"));
    mount.write("m/ctl", "finish");
    mount.write("m/ctl", "remove");
}

fn leg(lab: &Lab) {
    for (leg, disk) in [(0, lab.disk(0)), (1, lab.disk(1))] {
        let mount = mirror(lab);
        create("t", "", &format!("0 2048 linear {disk} 4096"));
        let _undo = Undo("dmsetup remove --retry t 2>/dev/null".into());
        is_told(&mount, &format!("leg {leg} {disk}"));
        is_over(&mount);
    }
}

fn log(lab: &Lab) {
    let mount = mirror(lab);
    let log = lab.disk(2);
    create("t", "", &format!("0 8 linear {log} 0"));
    let _undo = Undo("dmsetup remove --retry t 2>/dev/null".into());
    is_told(&mount, &format!("the log {log}"));
    is_over(&mount);
}

/// Behind the mirror's end it does no harm.
fn elsewhere(lab: &Lab) {
    let mount = mirror(lab);
    create("t", "", &format!("0 2048 linear {} 8192", lab.disk(1)));
    let _undo = Undo("dmsetup remove --retry t 2>/dev/null".into());
    let health = mount.read("m/health");
    assert!(!health.contains("mapping t"), "{health}");
    mount.write("m/ctl", "finish");
    dm("remove --retry t");
    mount.write("m/ctl", "remove");
}

/// Nobody writes, so that the kernel meets no error; the device is gone all the same.
fn pulled(lab: &Lab) {
    output("modprobe scsi_debug dev_size_mb=8 && udevadm settle --timeout=10 || true");
    let _undo = Undo("modprobe -r scsi_debug".into());
    let name = || output("ls /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block");
    wait_for("the disk", || !name().trim().is_empty());
    let name = name().trim().to_owned();
    let source = lab.disk(0);
    let mount = lab.mount();
    mount.write(
        "new",
        &format!("m: 0 8192 mirror core 2 128 nosync 2 {source} 0 /dev/{name} 0 1 handle_errors"),
    );
    mount.wait_in_sync("m");
    assert!(mount.read("m/health").starts_with("ok\n"));
    output(&format!("echo 1 >/sys/block/{name}/device/delete"));
    let refused = mount.try_write("m/ctl", "finish");
    assert!(refused.is_err(), "{refused:?}");
    let health = mount.read("m/health");
    assert!(
        health.starts_with("degraded\n") && health.contains(" is gone"),
        "{health}"
    );
    mount.write("m/ctl", "remove");
}

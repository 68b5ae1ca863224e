//! A SCSI disk that answers with medium errors, as a real one does.

use super::spots::ranges;
use crate::cases::failover::rig::NO_IO;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::shell::{Undo, output};
use crate::lab::wait_longer;

pub const CASES: &[Case] = &[kernel_only("error", NO_IO, error)];

const SIZE: u64 = 32 * MIB;

/// The first sector of what it cannot read, and how many there are.
const BAD: (u64, u64) = (0x5003, 5);

fn error(lab: &Lab) {
    output(&format!(
        "modprobe scsi_debug dev_size_mb=32 delay=0 opts=0 medium_error_start={} \
         medium_error_count={}; udevadm settle",
        BAD.0, BAD.1
    ));
    let end = Undo(
        "for i in $(seq 50); do udevadm settle; modprobe -r scsi_debug && break; sleep 0.2; done"
            .into(),
    );
    let disk = output("ls /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block");
    let disk = format!("/dev/{}", disk.trim());
    output(&format!("head -c 32M /dev/urandom >{disk}; sync {disk}"));
    let opts = |opts: u32| {
        output(&format!(
            "echo {opts} >/sys/bus/pseudo/drivers/scsi_debug/opts; echo 3 >/proc/sys/vm/drop_caches"
        ))
    };
    opts(2);
    let (target, _) = lab.noise(1, SIZE);
    let mount = lab.mount();
    mount.write("new", &format!("m: {disk} {target} region=512K force=yes"));
    wait_longer(60, "all but what it cannot read", || {
        mount.read("m/sync/bad_bytes") == format!("{}\n", BAD.1 * 512)
            && !mount.read("m/map").contains("  ?\n")
    });
    let (start, size) = (BAD.0 * 512, BAD.1 * 512);
    let behind = start + size;
    let wanted = [
        (0, start, '+'),
        (start, size, '-'),
        (behind, SIZE - behind, '+'),
    ];
    assert_eq!(ranges(&mount.read("m/map")), wanted);
    // It has replaced them.
    opts(0);
    mount.write("m/ctl", "retry");
    mount.wait_in_sync("m");
    mount.write("m/ctl", "finish");
    assert_equal(&disk, &target, SIZE);
    mount.write("m/ctl", "remove");
    mount.stop();
    drop(end);
}

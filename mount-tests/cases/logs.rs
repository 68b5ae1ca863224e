//! Logs, and the words that say whether the legs are equal.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::shapes::assert_range;
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{MIB, bytes, put};

pub const CASES: &[Case] = &[
    both("on_a_disk", disk_log_on_a_disk),
    both("in_a_new_file", disk_log_in_a_new_file),
    both("sync_and_nosync", sync_and_nosync),
];

/// The log is kept on its disk. Removing the mirror leaves it there, on a device or
/// in a file that was there before.
fn disk_log_on_a_disk(lab: &Lab) {
    let (source, from) = lab.noise(0, 2 * MIB);
    let (target, log) = (lab.disk(1), lab.blank(10));
    let mount = lab.mount();
    mount.write(
        "new",
        &format!("d: 0 4096 mirror disk 2 {log} 128 2 {source} 0 {target} 0 1 handle_errors"),
    );
    mount.wait_in_sync("d");
    assert_range("the target", &bytes(&target, 0, 2 * MIB), &from);
    assert_eq!(mount.read("d/log/type"), "disk\n");
    let file = if lab.is_kernel() { "" } else { &log };
    assert_eq!(mount.read("d/log/file"), format!("{file}\n"));
    mount.write("d/ctl", "remove");
    // A file that was there before stays.
    let kept = bytes(&log, 0, 1028);
    // drivers/md/dm-log.c: magic, version, regions; a bit for each clean region.
    assert_eq!(kept[..4], 0x4D69_5272_u32.to_le_bytes());
    assert_eq!(kept[4..8], 2_u32.to_le_bytes());
    assert_eq!(kept[8..16], 32_u64.to_le_bytes());
    assert_eq!(kept[1024..], [0xff; 4]);
}

/// A log file that does not exist is made: as large as the log needs, wholly
/// allocated, for its owner only. It goes with the mirror.
fn disk_log_in_a_new_file(lab: &Lab) {
    let mount = lab.mount();
    let log = mount.scratch("new.log");
    // Regions of 128 and 2 sectors: 16 of them, and 65,536.
    for (length, region, size) in [(2048, 128, 4096), (131_072, 2, 12_288)] {
        let (one, other) = (lab.disk(0), lab.disk(1));
        mount.write(
            "new",
            &format!("d: 0 {length} mirror disk 3 {log} {region} nosync 2 {one} 0 {other} 0"),
        );
        let made = fs::metadata(&log).expect("the log");
        assert_eq!(made.len(), size);
        assert_eq!(made.mode() & 0o7777, 0o600);
        assert!(
            made.blocks() * 512 >= size,
            "sparse: {} blocks",
            made.blocks()
        );
        assert_eq!(mount.read("d/log/file").trim(), log);
        assert_eq!(mount.read("d/log/health"), "A\n");
        mount.write("d/ctl", "remove");
        assert!(fs::metadata(&log).is_err(), "the log stays");
    }
}

/// `nosync` copies nothing and counts as in sync; with a log that says so too,
/// nothing is copied either; `sync` copies whatever the log says.
fn sync_and_nosync(lab: &Lab) {
    let ((source, from), (target, before)) = (lab.noise(0, MIB), lab.noise(1, MIB));
    let log = lab.blank(10);
    let mount = lab.mount();
    let steps = [
        ("core 2 128 nosync".to_string(), &before),
        (format!("disk 3 {log} 128 nosync"), &before),
        (format!("disk 2 {log} 128"), &before),
        (format!("disk 3 {log} 128 sync"), &from),
    ];
    for (words, want) in steps {
        mount.write(
            "new",
            &format!("s: 0 2048 mirror {words} 2 {source} 0 {target} 0"),
        );
        if words.ends_with("nosync") {
            assert_eq!(mount.read("s/sync/state"), "in_sync\n");
        }
        mount.wait_in_sync("s");
        assert_range(&words, &bytes(&target, 0, MIB), want);
        mount.write("s/ctl", "remove");
    }
    // A core log, and copied anew.
    put(&target, 0, &before);
    mount.write(
        "new",
        &format!("s: 0 2048 mirror core 2 128 sync 2 {source} 0 {target} 0"),
    );
    mount.wait_in_sync("s");
    assert_range("core sync", &bytes(&target, 0, MIB), &from);
    mount.write("s/ctl", "remove");
}

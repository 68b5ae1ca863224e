//! Block devices below the embedded engine: by number, with the log on one too.

use std::fs;

use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::DiskLog;
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::engine::no_loops;
use crate::lab::shell::{Undo, output};

pub const CASES: &[Case] = &[embedded_only(
    "legs_and_log",
    "the kernel's disks are block devices in every test",
    legs_and_log,
)
.needing(no_loops)];

/// A loop device over a disk.
fn attached(lab: &Lab, number: usize) -> (String, Undo) {
    let device = output(&format!("losetup --show -f {}", lab.disk(number)));
    let device = device.trim().to_string();
    let undo = Undo(format!("losetup -d {device}"));
    (device, undo)
}

fn legs_and_log(lab: &Lab) {
    lab.noise(0, 2 * MIB);
    let [(source, _one), (target, _two), (log, _three)] = [0, 1, 10].map(|n| attached(lab, n));
    let mount = lab.mount();
    let table = |device: fn(&Lab, &str) -> String| {
        let [source, target, log] = [&source, &target, &log].map(|path| device(lab, path));
        format!("0 4096 mirror disk 2 {log} 128 2 {source} 0 {target} 0 1 handle_errors")
    };
    let by_path = table(|_, path| path.into());
    let by_number = table(|lab, path| lab.number(path));
    for line in [&by_path, &by_number] {
        mount.write("new", &format!("m: {line}"));
        mount.wait_in_sync("m");
        lab.assert_in_sync(&mount, "m", &[&by_path]);
        assert_eq!(mount.read("m/table"), format!("{by_number}\n"));
        assert!(by_number.contains(" 7:"), "{by_number}");
        assert_equal(&source, &target, 2 * MIB);
        for (file, want) in [("device", lab.number(&log)), ("file", lab.disk(10))] {
            assert_eq!(mount.read(&format!("m/log/{file}")).trim(), want, "{file}");
        }
        assert_eq!(mount.read("m/legs/1/device").trim(), lab.number(&target));
        assert_eq!(mount.read("m/legs/1/path").trim(), lab.disk(1));
        mount.write("m/ctl", "remove");
        // The device is the user's, and so is the file behind it.
        assert!(fs::metadata(lab.disk(10)).is_ok_and(|file| file.len() > 4096));
    }
    drop(mount);
    output(&format!("blockdev --flushbufs {log}"));
    assert_eq!(DiskLog::read(&lab.disk(10)).clean().len(), 32);
}

//! The worked example of the field, at a size that fits: a disk copied to a
//! larger one, the log in a file.

use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{self, MIB};
use crate::lab::dm::dm;
use crate::lab::mount::Mount;
use crate::lab::shell::output;

pub const CASES: &[Case] = &[both("example", example)];

fn example(lab: &Lab) {
    let (source, slow) = (lab.random(0, 32 * MIB), lab.slow(1, 200));
    let mount = slow.mount();
    let target = &slow.path;
    let log = mount.scratch("meta.dat");
    output(&format!("dd if=/dev/zero of={log} bs=1M count=1 2>&1"));
    let table = format!("0 65536 mirror disk 2 {log} 1024 2 {source} 0 {target} 0 1 handle_errors");
    mount.write("new", &format!("old: {table}"));
    let mut seen = Vec::new();
    while mount.read("old/sync/state") != "in_sync\n" {
        if lab.is_kernel() {
            shows_what_dmsetup_shows(&mount);
        }
        seen.push(mount.read("old/progress"));
        if seen.len() == 3 {
            slow.hurry(&mount);
        }
    }
    assert!(
        seen.first().is_some_and(|line| !line.starts_with("100")),
        "{seen:?}"
    );
    assert!(
        mount
            .read("old/progress")
            .starts_with("100.00% 64/64 regions, 32.00/32.00 MiB, in sync")
    );
    lab.assert_in_sync(&mount, "old", &[&table]);
    disks::assert_equal(&source, target, 32 * MIB);
    mount.write("old/ctl", "suspend");
    assert_eq!(mount.read("old/suspended"), "1\n");
    mount.write("old/ctl", "resume");
    assert_eq!(mount.read("old/suspended"), "0\n");
    mount.write("old/ctl", "remove");
    assert!(
        !mount.exists("old"),
        "the folder stays: {} {:?}",
        mount.read("events"),
        lab.devices(&mount)
    );
    // The user made it.
    assert!(
        std::path::Path::new(&log).exists(),
        "the log went: {}",
        mount.read("events")
    );
}

fn shows_what_dmsetup_shows(mount: &Mount) {
    let (before, shown, after) = (dm("status old"), mount.read("old/status"), dm("status old"));
    if before == after {
        assert_eq!(shown, before);
    }
}

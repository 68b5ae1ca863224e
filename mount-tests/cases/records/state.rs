//! State directories that are full, read-only, or in memory.

use std::fs;

use nix::errno::Errno;

use super::{lasting, records, refused};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::engine::no_root;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};

pub const CASES: &[Case] = &[
    both("full", full).needing(no_root),
    both("read_only", read_only).needing(no_root),
    kernel_only(
        "in_memory_nothing_persists",
        "a mirror of the embedded engine ends with its daemon anyhow",
        in_memory,
    ),
];

/// A file system of its own for the state directory.
fn own_state(mount: &Mount) -> Undo {
    let state = mount.state().display().to_string();
    fs::create_dir(mount.state()).expect("a folder");
    output(&format!("mount -t tmpfs -o size=64k none {state}"));
    Undo(format!("umount -l {state}"))
}

fn full(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let filler = mount.state().join("filler").display().to_string();
    output(&format!(
        "dd if=/dev/zero of={filler} bs=1k 2>/dev/null || true"
    ));
    mount.stop();
    mount.mount("");
    assert!(mount.exists("m"), "{}", mount.read("events"));
    let wanted = format!("n: {}", lab.equal(2, 3));
    refused(mount.try_write("new", &wanted), Errno::ENOSPC, "record");
    assert!(!mount.exists("n"));
    assert_eq!(records(&mount).len(), 1);
    fs::remove_file(filler).expect("removed");
    mount.write("new", &wanted);
    mount.write("n/ctl", "remove");
    mount.write("m/ctl", "remove");
    mount.stop();
}

fn read_only(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount.stop();
    let state = mount.state().display().to_string();
    output(&format!("mount -o remount,ro {state}"));
    mount.mount("");
    assert!(mount.exists("m"), "{}", mount.read("events"));
    assert!(mount.read("m/health").starts_with("ok\n"));
    let wanted = format!("n: {}", lab.equal(2, 3));
    refused(mount.try_write("new", &wanted), Errno::EROFS, "record");
    // A second daemon is kept out all the same.
    let second = mount.command("").replace("/mnt", "");
    let (status, said) = crate::lab::shell::attempt(&second);
    assert!(
        status != 0 && said.contains("another mirrorfs"),
        "{status} {said}"
    );
    output(&format!("mount -o remount,rw {state}"));
    mount.write("m/ctl", "remove");
    mount.stop();
}

fn in_memory(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    let log = mount.scratch("log");
    let (source, target) = (lab.random(0, MIB), lab.disk(1));
    mount.write(
        "new",
        &format!("m: 0 2048 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors"),
    );
    assert_eq!(mount.read("m/persist"), "no\n");
    refused(mount.try_write("m/persist", "yes"), Errno::EINVAL, "");
    assert!(mount.read("events").contains("is in memory"));
    mount.write("m/ctl", "remove");
    mount.stop();
}

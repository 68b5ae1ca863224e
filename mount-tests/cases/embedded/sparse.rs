//! Holes stay holes, and a copy leaves neither the daemon's memory nor the page
//! cache full.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::lab::case::{Case, embedded_only};
use crate::lab::disks::{MIB, SIZE, assert_equal};
use crate::lab::shell::output;
use crate::lab::{Lab, wait_longer};

const FILES: &str = "a device has no holes, and the kernel has no daemon that copies";

pub const CASES: &[Case] = &[
    embedded_only("holes_stay", FILES, holes_stay),
    embedded_only("holes_over_old_data", FILES, holes_over_old_data),
    embedded_only("little_memory", FILES, little_memory),
];

/// A few mebibytes of noise here and there in a sparse file; where.
const ISLANDS: [u64; 4] = [0, 10 * MIB + 4096, 100 * MIB + 32_768, SIZE - MIB];

fn islands(lab: &Lab) -> String {
    let source = lab.disk(0);
    let file = OpenOptions::new()
        .write(true)
        .open(&source)
        .expect("a disk");
    for at in ISLANDS {
        let noise: Vec<u8> = (0..MIB).map(|n| (n * 251 % 255 + 1) as u8).collect();
        file.write_all_at(&noise, at).expect("noise");
    }
    file.sync_all().expect("on disk");
    source
}

/// Bytes that a file takes on its disk.
fn taken(path: &str) -> u64 {
    fs::metadata(path).expect(path).blocks() * 512
}

fn copy(lab: &Lab, source: &str, target: &str) {
    let mount = lab.mount();
    let sectors = SIZE / 512;
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror core 1 1024 2 {source} 0 {target} 0 1 handle_errors"),
    );
    wait_longer(60, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    assert_equal(source, target, SIZE);
    mount.write("m/ctl", "remove");
}

fn holes_stay(lab: &Lab) {
    let (source, target) = (islands(lab), lab.disk(1));
    let before = taken(&source);
    assert!(before < 8 * MIB, "this file system has no holes: {before}");
    copy(lab, &source, &target);
    let (source, target) = (taken(&source), taken(&target));
    assert!(
        target <= source + MIB,
        "the source takes {source} bytes, the target {target}"
    );
}

/// What the target had where the source has a hole reads as zeros afterwards.
fn holes_over_old_data(lab: &Lab) {
    let (source, target) = (islands(lab), lab.random(1, SIZE));
    copy(lab, &source, &target);
    let taken = taken(&target);
    println!("{taken} bytes taken by the target after holes were copied over {SIZE}");
}

/// A gibibyte is copied in little memory, and is not in the page cache after.
fn little_memory(lab: &Lab) {
    const SIZE: u64 = 1024 * MIB;
    let [source, target] = ["source", "target"].map(|name| lab.path(name).display().to_string());
    output(&format!(
        "head -c {SIZE} /dev/urandom >{source}; truncate -s {SIZE} {target}; \
         dd if={source} iflag=nocache count=0 2>&1; sync {source}; dd if={source} iflag=nocache count=0 2>&1"
    ));
    let mount = lab.mount();
    let sectors = SIZE / 512;
    let before = cached(&source);
    mount.write(
        "new",
        &format!("m: 0 {sectors} mirror core 1 1024 2 {source} 0 {target} 0 1 handle_errors"),
    );
    wait_longer(120, "it is in sync", || {
        mount.read("m/sync/state") == "in_sync\n"
    });
    let peak = peak(mount.pid());
    let after = cached(&source) + cached(&target);
    println!(
        "VmHWM {} MiB; {} MiB of the source cached before, {} MiB of both after",
        peak >> 10,
        before / MIB,
        after / MIB
    );
    assert!(peak < 64 << 10, "VmHWM is {peak} KiB");
    assert!(after < 64 * MIB, "{after} bytes in the page cache");
    output(&format!("cmp {source} {target}"));
    mount.write("m/ctl", "remove");
    drop(mount);
    output(&format!("rm {source} {target}"));
}

/// The most memory that a process has had, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.expect("VmHWM").split_whitespace().nth(1);
    words.expect("a number").parse().expect("a number")
}

/// Bytes of a file in the page cache.
fn cached(path: &str) -> u64 {
    let bytes = output(&format!("fincore --bytes --noheadings --output res {path}"));
    bytes.trim().parse().expect("bytes")
}

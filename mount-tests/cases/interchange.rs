//! The two engines write the same disk log: a copy that one has begun is finished
//! by the other, which copies only what was missing. What reaches the target is
//! counted by the block layer.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::engine::Kind;

use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::shell::output;

/// Both engines on the same devices: the kernel's needs such.
const BOTH: &str = "it takes both engines, where device-mapper is";

pub const CASES: &[Case] = &[
    kernel_only(
        "the_kernel_s_log_is_finished_by_the_embedded",
        BOTH,
        to_embedded,
    ),
    kernel_only(
        "the_embedded_s_log_is_finished_by_the_kernel",
        BOTH,
        to_kernel,
    ),
];

const SIZE: u64 = 128 * MIB;

/// Bytes of a region.
const REGION: u64 = MIB / 2;

fn to_embedded(lab: &Lab) {
    handed_over(lab, [Kind::Kernel, Kind::Embedded]);
}

fn to_kernel(lab: &Lab) {
    handed_over(lab, [Kind::Embedded, Kind::Kernel]);
}

fn handed_over(lab: &Lab, engines: [Kind; 2]) {
    let source = lab.random(0, SIZE);
    lab.zeroed_start(1);
    let log = lab.blank(2);
    let target = lab.fragile(1, SIZE / 512);
    let sectors = SIZE / 512;
    let line = format!(
        "half: 0 {sectors} mirror disk 2 {log} {} 2 {source} 0 {} 0 1 handle_errors",
        REGION / 512,
        target.path
    );
    let done = {
        let mount = lab.mount_on(engines[0]);
        begin(&mount, &line)
    };
    let before = written(&target);
    let mount = lab.mount_on(engines[1]);
    mount.write("throttle", "1");
    mount.write("new", &line);
    // The log is read before the first region is copied.
    let first = regions(&mount);
    mount.write("throttle", "100");
    mount.wait_in_sync("half");
    mount.write("half/ctl", "remove");
    let copied = written(&target) - before;
    let missing = SIZE - done * REGION;
    println!("{engines:?}: {done} regions done, {first} known, {copied} bytes copied of {missing}");
    assert!(first >= done, "{first} regions are known, {done} were done");
    assert!(
        copied <= missing,
        "{copied} bytes were written, {missing} were missing"
    );
    assert!(copied > 0);
    assert_equal(&source, &target.path, SIZE);
    drop(mount);
}

/// Copy some of it, stop, and answer how many regions were done.
fn begin(mount: &Mount, line: &str) -> u64 {
    mount.write("throttle", "2");
    mount.write("new", line);
    let end = Instant::now() + Duration::from_secs(60);
    let total = SIZE / REGION;
    while regions(mount) < total / 4 {
        assert!(Instant::now() < end, "only {} regions", regions(mount));
        sleep(Duration::from_millis(20));
    }
    mount.write("half/ctl", "suspend");
    let done = regions(mount);
    assert!(done < total * 9 / 10, "{done} of {total}: too late");
    mount.write("half/ctl", "remove");
    mount.write("throttle", "100");
    done
}

fn regions(mount: &Mount) -> u64 {
    let text = mount.read("half/sync/regions_done");
    text.trim().parse().expect("a number")
}

/// Bytes that were written to the device since it was made.
fn written(device: &Fragile) -> u64 {
    let node = fs::canonicalize(&device.path).expect("a node");
    let name = node
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    output("udevadm settle || true");
    let stat = fs::read_to_string(format!("/sys/block/{name}/stat")).expect("stat");
    let sectors = stat.split_whitespace().nth(6).expect("written sectors");
    sectors.parse::<u64>().expect("a number") * 512
}

//! Long copies, of zeros.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{done, when};
use crate::lab::disks::MIB;
use crate::lab::dm::{create, dm};
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, wait_for, wait_longer};

/// Two devices of so many GiB of zeros.
fn zeros(gib: u64) -> [String; 2] {
    ["from", "to"].map(|name| {
        create(
            name,
            &format!("TEST-{name}"),
            &format!("0 {} zero", gib << 21),
        );
        format!("/dev/mapper/{name}")
    })
}

/// One that takes minutes gets a front by itself, which is never far ahead.
pub fn a_long_copy(lab: &Lab) {
    let mount = lab.mount();
    let [from, to] = zeros(512);
    mount.write("new", &format!("m: {from} {to}"));
    assert_eq!(mount.read("m/table").lines().count(), 1);
    wait_longer(20, "a front", || mount.read("m/table").lines().count() == 2);
    let writer = Writer::start("/dev/mapper/m", 64 * MIB);
    let (begun, before) = (Instant::now(), done(&mount));
    let mut most = 0;
    let mut tables = 0;
    let mut last = String::new();
    while begun.elapsed() < Duration::from_secs(if long() { 120 } else { 25 }) {
        sleep(Duration::from_millis(200));
        let table = mount.read("m/table");
        let end: u64 = table
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect(&table);
        most = most.max((end * 512).saturating_sub(done(&mount)));
        tables += u32::from(table != last);
        last = table;
    }
    let rate = (done(&mount) - before) / begun.elapsed().as_secs();
    let written = writer.end();
    println!(
        "{tables} tables, {} MiB/s, at most {} MiB not in sync, {} writes, the longest {:?}",
        rate / MIB,
        most / MIB,
        written.count(),
        written.longest
    );
    assert!(written.error.is_none(), "{:?}", written.error);
    assert!(tables >= 3, "{tables}");
    assert!(most <= rate * 20, "{most} at {rate}");
    // Without a daemon the kernel alone is to come to the end.
    mount.stop();
    assert_eq!(dm("table m").lines().count(), 1);
    mount.mount("");
    mount.write("m/sync/limit", "0");
    wait_for("it stops", || mount.read("m/sync/state") == "stopped\n");
    mount.write("m/ctl", "remove");
    dm("remove from");
    dm("remove to");
}

/// So does one of which much is copied already, at its end; that is not forgotten.
pub fn known_far_behind(lab: &Lab) {
    let mount = lab.mount();
    let [from, to] = zeros(512);
    let map = mount.scratch("map");
    let text = "0 ? 1\n0 0x7000000000 ?\n0x7000000000 0x1000000000 +\n";
    fs::write(&map, text).expect("a mapfile");
    mount.write("new", &format!("m: {from} {to} map={map}"));
    let copied = || {
        mount
            .read("m/map")
            .contains("0x7000000000  0x1000000000  +\n")
    };
    wait_longer(20, "a front", || mount.read("m/table").lines().count() == 3);
    assert!(copied(), "{}", mount.read("m/map"));
    mount.write("m/sync/limit", "0");
    wait_for("it stops", || mount.read("m/sync/state") == "stopped\n");
    assert!(copied(), "{}", mount.read("m/map"));
    let before = done(&mount);
    mount.write("m/sync/limit", "none");
    wait_for("it goes on", || done(&mount) > before);
    mount.write("m/ctl", "remove");
    dm("remove from");
    dm("remove to");
}

/// What is copied in a minute, with several limits; shorter in the plain run.
pub fn rates(lab: &Lab) {
    let seconds = if long() { 60 } else { 12 };
    for mib in [5, 20, 50] {
        let mount = lab.mount();
        let [from, to] = zeros(8);
        mount.write("new", &format!("m: {from} {to} limit={mib}M"));
        let step = 4 * mib * MIB;
        let begun = Instant::now();
        let bytes = seconds / 4 * step;
        let after = when(&mount, bytes).duration_since(begun);
        let rate = bytes as f64 / after.as_secs_f64() / MIB as f64;
        println!("limit {mib}M: {rate:.2} MiB/s over {after:?}");
        assert!((rate / mib as f64 - 1.0).abs() <= 0.1, "{rate}");
        mount.write("m/ctl", "remove");
        dm("remove from");
        dm("remove to");
        mount.stop();
    }
}

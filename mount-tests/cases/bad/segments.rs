//! Several targets over the same legs are one mirror, whatever is done with it.

use nix::errno::Errno;

use super::spots::ranges;
use crate::lab::case::{Case, both};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::mount::Mount;
use crate::lab::{Lab, wait_for};

pub const CASES: &[Case] = &[
    both("one_mirror", one_mirror),
    both("legs_come_and_go", legs_come_and_go),
    both("the_end", the_end),
];

/// Bytes of the mirror, and where its gap lies, in sectors.
const SIZE: u64 = 8 * MIB;
const GAP: (u64, u64) = (4096, 8);

/// A mirror of two segments, and of a gap between them that is on leg 0 alone.
fn segmented(lab: &Lab, mount: &Mount) -> [String; 2] {
    let (source, target) = (lab.random(0, SIZE), lab.zeroed(1));
    let legs = |at: u64| format!("2 {source} {at} {target} {at} 1 handle_errors");
    let (gap, behind, end) = (GAP.0, GAP.0 + GAP.1, SIZE / 512);
    let (one, other) = (legs(0), legs(behind));
    mount.write(
        "new",
        &format!(
            "m,,,,0 {gap} mirror core 1 256 {one},{gap} {} linear {source} {gap},\
             {behind} {} mirror core 1 256 {other}",
            GAP.1,
            end - behind
        ),
    );
    wait_stopped(mount);
    [source, target]
}

fn wait_stopped(mount: &Mount) {
    wait_for("all but the gap", || {
        mount.read("m/sync/state") == "stopped\n"
    });
}

/// The files speak of the whole.
fn one_mirror(lab: &Lab) {
    let mount = lab.mount();
    let [source, target] = segmented(lab, &mount);
    assert_eq!(mount.list("m/legs"), ["0", "1"]);
    for (leg, path) in [(0, &source), (1, &target)] {
        let leg = |file: &str| mount.read(&format!("m/legs/{leg}/{file}"));
        assert_eq!(leg("device").trim(), lab.number(path));
        assert_eq!((leg("offset"), leg("health")), ("0\n".into(), "A\n".into()));
    }
    let regions = 2 * (SIZE / 512).div_ceil(256 * 2) + 1;
    let line = mount.read("m/progress");
    let wanted = format!(
        " {}/{regions} regions, 7.99/8.00 MiB, stopped\n",
        regions - 1
    );
    assert!(line.ends_with(&wanted), "{line}");
    let (start, size) = (GAP.0 * 512, GAP.1 * 512);
    let wanted = [
        (0, start, '+'),
        (start, size, '?'),
        (start + size, SIZE - start - size, '+'),
    ];
    assert_eq!(ranges(&mount.read("m/map")), wanted);
    assert_eq!(mount.read("m/sync/bad_bytes"), "0\n");
    let warned = || {
        mount
            .read("m/health")
            .contains("4096 bytes are on leg 0 alone")
    };
    assert!(warned(), "{}", mount.read("m/health"));
    for verb in ["finish", "finish lossy"] {
        let (errno, why) = mount.try_write("m/ctl", verb).expect_err(verb);
        assert!(
            errno == Errno::EBUSY && why.contains("4.00 KiB from 0x200000 on"),
            "{why}"
        );
    }
    // What is on leg 0 alone is copied, and one target is enough.
    mount.write("m/ctl", "retry");
    mount.wait_in_sync("m");
    wait_for("one target", || mount.read("m/table").lines().count() == 1);
    assert_eq!(ranges(&mount.read("m/map")), [(0, SIZE, '+')]);
    assert!(!warned());
    mount.write("m/ctl", "finish");
    assert_equal(&source, &target, SIZE);
    mount.write("m/ctl", "remove");
}

fn legs_come_and_go(lab: &Lab) {
    let mount = lab.mount();
    let [source, target] = segmented(lab, &mount);
    let third = lab.zeroed(2);
    mount.write("m/ctl", &format!("add {third}"));
    wait_stopped(&mount);
    let number = lab.number(&third);
    let behind = GAP.0 + GAP.1;
    let table = mount.read("m/table");
    assert!(table.contains(&format!(" {number} 0 1 ")), "{table}");
    assert!(table.contains(&format!(" {number} {behind} 1 ")), "{table}");
    assert_eq!(mount.list("m/legs"), ["0", "1", "2"]);
    let (errno, why) = mount
        .try_write("m/ctl", "drop 0")
        .expect_err("the only one");
    assert!(
        errno == Errno::EBUSY && why.contains("leg 0 alone"),
        "{why}"
    );
    mount.write("m/ctl", &format!("drop {target}"));
    assert_eq!(mount.list("m/legs"), ["0", "1"]);
    assert!(
        !mount
            .read("m/table")
            .contains(&format!(" {} ", lab.number(&target)))
    );
    mount.write("m/ctl", &format!("replace 1 {target}@1M"));
    wait_stopped(&mount);
    assert_eq!(mount.read("m/legs/1/offset"), format!("{MIB}\n"));
    mount.write("m/ctl", "resync");
    wait_stopped(&mount);
    assert_eq!(mount.read("m/table").lines().count(), 3);
    mount.write("m/ctl", "retry");
    mount.wait_in_sync("m");
    crate::lab::disks::assert_equal_at((&source, 0), (&target, MIB), SIZE);
    mount.write("m/ctl", "remove");
}

/// Back to the source, and longer.
fn the_end(lab: &Lab) {
    let mount = lab.mount();
    let [source, _] = segmented(lab, &mount);
    mount.write("m/ctl", "grow 12M");
    assert_eq!(mount.read("m/size"), format!("{}\n", 12 * MIB));
    wait_stopped(&mount);
    mount.write("m/ctl", "abort");
    let number = lab.number(&source);
    let wanted = format!("0 {} linear {number} 0\n", 12 * MIB / 512);
    assert_eq!(mount.read("m/table"), wanted);
    mount.write("m/ctl", "remove");
}

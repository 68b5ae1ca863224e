//! A mirror that grows writes over what was not its own.

use super::hazards::{SIZE, cleared, mbr};
use super::{Wrongs, assess};
use crate::lab::Lab;
use crate::lab::disks::{MIB, bytes, put};
use crate::lab::dm::create;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};

/// Sectors of the mirror before.
const BEFORE: u64 = 2 * MIB / 512;

/// Bytes of a target that the growth would write over, of `grow 4M`.
const NEW: std::ops::Range<u64> = 2 * MIB..4 * MIB;

fn small(source: &str, target: &str) -> String {
    format!("m: 0 {BEFORE} mirror core 2 128 nosync 2 {source} 0 {target} 0 1 handle_errors")
}

/// A line that makes what is there already.
type Row = (&'static str, fn(&str), Option<(&'static str, &'static str)>);

const ROWS: &[Row] = &[
    ("nothing", |_| {}, None),
    (
        "a file system where the new bytes begin",
        |at| {
            let at = format!("-qF -E offset={} {at} 2M", NEW.start);
            output(&format!("mkfs.ext4 {at} 2>&1; sync"));
        },
        Some(("ENOTEMPTY", "ext4")),
    ),
    (
        "a partition that begins inside them",
        |at| {
            mbr(at, &[(2048, 1024), (5120, 8192)]);
            let at = format!("-qF -E offset={} {at} 4M", 5120 * 512);
            output(&format!("mkfs.ext4 {at} 2>&1; sync"));
        },
        Some(("ENOTEMPTY", "partition 2")),
    ),
    // What begins in front of them is the mirror's own copy.
    (
        "a partition that begins before",
        |at| {
            mbr(at, &[(2048, 8192)]);
            let at = format!("-qF -E offset={} {at} 4M", 2048 * 512);
            output(&format!("mkfs.ext4 {at} 2>&1; sync"));
        },
        None,
    ),
];

pub fn grow(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mount = lab.mount();
    for (name, make, want) in ROWS {
        for force in [false, true] {
            let (source, target) = (lab.disk(0), cleared(lab, 1));
            make(&target);
            mount.write("new", &small(&source, &target));
            let verb = if force {
                "grow 4M force=yes"
            } else {
                "grow 4M"
            };
            let want = want.filter(|_| !force);
            let held = || bytes(&target, 0, SIZE);
            let wrong = assess((lab, &mount), name, ("m/ctl", verb), want, &held);
            wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
            mount.write("m/ctl", "remove");
        }
    }
    // Both legs on one disk: they must not grow into each other.
    let disk = cleared(lab, 1);
    let line = format!(
        "m: 0 {BEFORE} mirror core 2 128 nosync 2 {disk} 0 {disk} {} 1 handle_errors",
        6 * MIB / 512
    );
    mount.write("new", &line);
    put(&disk, 6 * MIB, b"leg 1");
    let held = || bytes(&disk, 0, SIZE);
    for verb in ["grow 8M", "grow 8M force=yes", "grow 7M"] {
        let wrong = assess(
            (lab, &mount),
            "one disk",
            ("m/ctl", verb),
            Some(("EINVAL", "overlaps")),
            &held,
        );
        wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
    }
    let wrong = assess((lab, &mount), "one disk", ("m/ctl", "grow 6M"), None, &held);
    wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
    mount.write("m/ctl", "remove");
    a_target_that_is_read_only(lab, &mount, &mut wrongs);
    wrongs.end();
}

fn a_target_that_is_read_only(lab: &Lab, mount: &Mount, wrongs: &mut Wrongs) {
    let device = super::hazards::Device::new(lab, "grown", None);
    mount.write("new", &small(&lab.disk(0), &device.path));
    let path = device.path.clone();
    output(&format!("blockdev --setro {path}"));
    let writable = Undo(format!("blockdev --setrw {path}"));
    let held = || device.bytes();
    let wrong = assess(
        (lab, mount),
        "read-only",
        ("m/ctl", "grow 4M"),
        Some(("EROFS", &path)),
        &held,
    );
    wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
    drop(writable);
    mount.write("m/ctl", "remove");
}

/// Another mapping lies behind the mirror, on the same disk.
pub fn beside_neighbours(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mount = lab.mount();
    for leg in [0, 1] {
        let legs = [lab.disk(0), cleared(lab, 1)];
        mount.write("new", &small(&legs[0], &legs[1]));
        create(
            "neighbour",
            "",
            &format!("0 8192 linear {} {}", legs[leg], NEW.start / 512),
        );
        let undo = Undo("dmsetup remove --retry neighbour".into());
        output("dd if=/dev/urandom of=/dev/mapper/neighbour bs=1M count=4 oflag=direct 2>&1");
        let held = || bytes(&legs[leg], NEW.start, 4 * MIB);
        for verb in ["grow 4M", "grow", "grow 4M force=yes"] {
            let want = Some(("EBUSY", "neighbour"));
            let wrong = assess((lab, &mount), "a neighbour", ("m/ctl", verb), want, &held);
            wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
        }
        mount.write("m/ctl", "remove");
        drop(undo);
    }
    attempt("dmsetup remove --retry neighbour");
    wrongs.end();
}

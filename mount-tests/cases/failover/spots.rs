//! A leg with a bad spot, met by the copy while somebody writes.

use std::thread::sleep;
use std::time::Duration;

use super::rig::{NO_IO, Rig};
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::create;
use crate::lab::shell::Undo;
use crate::lab::writer::Writer;
use crate::lab::{Lab, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("on_a_target", NO_IO, bad_target),
    kernel_only("that_is_written", NO_IO, bad_target_written),
    kernel_only("of_several_mirrors", NO_IO, bad_target_of_several),
    kernel_only("and_another_target", NO_IO, bad_target_replaced),
    kernel_only("on_the_source", NO_IO, bad_source),
];

/// A region that cannot be copied stays out of the count and takes no leg out.
fn bad_target(lab: &Lab) {
    for disk in [true, false] {
        let rig = Rig::with_a_bad_spot(lab, disk, 1, "hold");
        rig.mount.write("throttle", "100");
        rig.expect("degraded", &["leg 1 ", " S sync failed", "may be held"]);
        assert!(!rig.mount.read("events").contains(" m dropped "));
        rig.mended();
    }
}

/// The kernel holds each write to what is not copied once a region could not be: it is
/// left to the source alone, and written to like all others.
fn bad_target_written(lab: &Lab) {
    for disk in [true, false] {
        let rig = Rig::with_a_bad_spot(lab, disk, 1, "drop");
        rig.mount.write("throttle", "100");
        let settled = [
            " bytes around what could not be copied are on leg 0 alone",
            "leg 1 ",
            " A alive",
        ];
        rig.expect("degraded", &settled);
        rig.write_the_bad_region();
        // Once all else is copied it is tried again, and no more.
        let times = || {
            let events = rig.mount.read("events");
            let events = events.lines();
            events.filter(|line| sets_aside(line, 8 * MIB)).count()
        };
        wait_longer(60, "it is aside once more", || times() >= 2);
        let still = || {
            [" m aside ", " m reloaded "].map(|word| {
                let events = rig.mount.read("events");
                events.lines().filter(|line| line.contains(word)).count()
            })
        };
        let mut before = still();
        wait_longer(60, "it stays as it is", || {
            sleep(Duration::from_secs(8));
            std::mem::replace(&mut before, still()) == before
        });
        assert_eq!(times(), 2, "{}", rig.mount.read("events"));
        rig.expect("degraded", &settled);
        rig.write_the_bad_region();
        let events = rig.mount.read("events");
        assert!(!events.contains(" m dropped "), "{events}");
        let (shape, longest) = (rig.shape, rig.mended());
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        println!("{shape:?}: the longest wait of a writer {longest:?}");
    }
}

/// What one target does not take is copied to the next.
fn bad_target_replaced(lab: &Lab) {
    let rig = Rig::with_a_bad_spot(lab, true, 1, "drop");
    rig.mount.write("throttle", "100");
    rig.write_the_bad_region();
    let other = lab.blank(2);
    rig.mount.write("m/ctl", &format!("replace 1 {other}"));
    rig.finish_copy();
    rig.expect("ok", &[]);
    rig.goes_on(20);
    let source = rig.legs[0].clone();
    rig.end(&[0]);
    assert_equal(&source, &other, 96 * MIB);
}

/// Whether an event tells that a range with this byte was set aside.
fn sets_aside(event: &str, byte: u64) -> bool {
    let extent = event.split_once(" m aside 0x").map(|(_, extent)| extent);
    let words = extent.and_then(|extent| extent.split_once(' '));
    words.is_some_and(|(start, size)| {
        let start = u64::from_str_radix(start, 16).expect("a number");
        (start..start + size.parse::<u64>().expect("a number")).contains(&byte)
    })
}

/// Where nothing can be set aside, writes to what is not copied are let go from time to
/// time.
fn bad_target_of_several(lab: &Lab) {
    let sectors = 96 * MIB / 512;
    let target = lab.holed(1, sectors, (8 * MIB / 512, 16));
    target.fail();
    let mount = lab.mount();
    mount.write("throttle", "1");
    let [source, others @ ..] = [0, 2, 3].map(|number| lab.disk(number));
    let log = "mirror core 1 128 2";
    mount.write(
        "new",
        &format!(
            "m,,,,0 {sectors} {log} {source} 0 {} 0 1 handle_errors,{sectors} 2048 {log} {} 0 {} 0 1 handle_errors",
            target.path, others[0], others[1]
        ),
    );
    // The writer is where the copy comes last.
    let tail = 8 * MIB / 512;
    create(
        "tail",
        "",
        &format!("0 {tail} linear /dev/mapper/m {}", sectors - tail),
    );
    let removed = Undo("dmsetup remove --retry tail".into());
    let writer = Writer::start("/dev/mapper/tail", tail * 512);
    writer.wait_for(20);
    mount.write("throttle", "100");
    wait_longer(40, "writes are let go", || {
        let events = mount.read("events");
        events.contains(" m retried writes held")
    });
    writer.wait_for(20);
    assert!(!mount.read("events").contains(" m dropped "));
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    drop(removed);
}

/// A source that cannot be read somewhere stays the source.
fn bad_source(lab: &Lab) {
    let rig = Rig::with_a_bad_spot(lab, true, 0, "drop");
    rig.mount.write("throttle", "100");
    rig.expect("degraded", &["leg 0 ", " S sync failed", "write `retry`"]);
    assert!(!rig.mount.read("events").contains(" m dropped "));
    rig.mended();
}

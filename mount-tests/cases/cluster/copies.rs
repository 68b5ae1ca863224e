//! Whole copies.

use std::thread::sleep;
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::dm;
use crate::lab::logd::{Logd, in_sync, log, made, table, wait_whole};
use crate::lab::shell::output;
use crate::lab::writer::Writer;

const SIZE: u64 = 32 * MIB;

/// In memory and on a disk, with one flush for all and with several; the names of before
/// too.
pub fn copied(lab: &Lab) {
    let logd = Logd::start(lab);
    let (target, device) = (lab.disk(1), lab.blank(2));
    for (number, words, kind) in [
        (0, log("a", None), "1 clustered-core"),
        (1, "a/b clustered_core 512".into(), "1 clustered-core"),
        (2, log("c", Some(&device)), "3 clustered-disk 1:2 A"),
        (
            3,
            format!("d clustered_disk {device} 1024 sync"),
            "3 clustered-disk 1:2 A",
        ),
    ] {
        let source = lab.random(0, SIZE);
        made("m", &table([&source, &target], SIZE / 512, &words));
        wait_whole("m");
        assert_equal(&source, &target, SIZE);
        let status = dm("status m");
        assert!(
            status.trim_end().ends_with(&format!("AA {kind}")),
            "{status}"
        );
        assert_eq!(logd.kept(), 1);
        dm("remove m");
        assert_eq!(logd.kept(), 0, "{number}: what is over is forgotten");
    }
    // Declared equal, nothing is copied.
    let words = format!("{} nosync", log("e", None));
    made(
        "m",
        &table([&lab.random(0, SIZE), &target], SIZE / 512, &words),
    );
    let (done, all) = in_sync("m");
    assert_eq!(done, all);
}

/// Acknowledged writes are on both legs, whether their regions were copied yet or not.
pub fn written(lab: &Lab) {
    let _logd = Logd::start(lab);
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let node = made("m", &table([&source, &target], SIZE / 512, &log("w", None)));
    let writer = Writer::start(&node, SIZE);
    wait_whole("m");
    sleep(Duration::from_secs(2));
    let written = writer.end();
    assert!(written.error.is_none(), "{written:?}");
    output("dmsetup suspend m && dmsetup resume m");
    wait_whole("m");
    assert_equal(&source, &target, SIZE);
    written.assert_on(&source);
    println!(
        "{} blocks, longest wait {:?}",
        written.count(),
        written.longest
    );
}

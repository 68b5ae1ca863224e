//! Logs on a disk.

use std::thread::sleep;
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::disklog::{DiskLog, assert_clean_is_equal};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::{create, dm, run, switch};
use crate::lab::logd::{Logd, REGION, in_sync, log, made, table, wait_whole};
use crate::lab::shell::output;
use crate::lab::writer::Writer;
use crate::lab::{long, wait_for, wait_longer};

const SIZE: u64 = 32 * MIB;

/// At any time what the log has as clean is the same on both legs.
pub fn dirty(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target, device) = (lab.random(0, SIZE), lab.disk(1), lab.blank(2));
    let words = log("d", Some(&device));
    let node = made("m", &table([&source, &target], SIZE / 512, &words));
    let mut counts = Vec::new();
    for round in 0..if long() { 40 } else { 6 } {
        let writer = Writer::start(&node, SIZE / (1 + round % 3));
        writer.wait_for(20 + round * 13);
        // Nothing becomes clean any more; what is marked is written on.
        logd.kill();
        output(&format!("blockdev --flushbufs {device} {source} {target}"));
        let legs = [source.as_str(), &target];
        counts.push(assert_clean_is_equal(
            &device,
            legs,
            (REGION * 512) as usize,
        ));
        logd.run();
        writer.wait_for(10);
        assert!(writer.end().error.is_none());
        sleep(Duration::from_secs(round % 3));
    }
    println!("regions clean when killed: {counts:?}");
    wait_whole("m");
    wait_longer(20, "all clean on the disk", || {
        output(&format!("blockdev --flushbufs {device}"));
        DiskLog::read(&device).clean().len() as u64 == SIZE / 512 / REGION
    });
    assert_equal(&source, &target, SIZE);
}

/// Of a log on a disk that nobody remembers only what was dirty is copied.
pub fn remembers(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target, device) = (lab.random(0, SIZE), lab.disk(1), lab.blank(2));
    let table = table([&source, &target], SIZE / 512, &log("r", Some(&device)));
    made("m", &table);
    wait_whole("m");
    wait_longer(20, "all clean on the disk", || {
        output(&format!("blockdev --flushbufs {device}"));
        DiskLog::read(&device).clean().len() as u64 == SIZE / 512 / REGION
    });
    dm("remove m");
    // As after a boot: what differs and is clean would stay so.
    logd.kill();
    logd.forget();
    logd.run();
    let wrong = lab.random(1, 64 * 1024);
    made("m", &table);
    let (done, all) = in_sync("m");
    assert_eq!(done, all, "what is clean is not copied: {wrong}");
    dm("remove m");
    // A log of another size is none.
    let half = table.replacen(&(SIZE / 512).to_string(), &(SIZE / 1024).to_string(), 1);
    made("m", &half);
    wait_whole("m");
    assert_equal(&source, &target, SIZE / 2);
}

/// A log that cannot be written holds writers, and lets them go once it can.
pub fn fails(lab: &Lab) {
    let _logd = Logd::start(lab);
    let (source, target, disk) = (lab.random(0, SIZE), lab.disk(1), lab.blank(2));
    create("disk", "", &format!("0 2048 linear {disk} 0"));
    let words = log("f", Some("/dev/mapper/disk"));
    let table = table([&source, &target], SIZE / 512, &words);
    let node = made("m", &table);
    wait_whole("m");
    sleep(Duration::from_secs(3));
    switch("disk", "0 2048 error");
    let writer = Writer::start(&node, SIZE);
    wait_for("the log is dead", || {
        dm("status m").trim_end().ends_with(" D")
    });
    assert!(writer.is_held() && !writer.has_ended());
    switch("disk", &format!("0 2048 linear {disk} 0"));
    // The kernel holds what it could not mark as long as it has this table.
    output("dmsetup suspend --noflush m && dmsetup resume m");
    assert!(writer.is_held() && !writer.has_ended());
    run("dmsetup", &["reload", "m", "--table", &table]);
    output("dmsetup suspend --noflush m && dmsetup resume m");
    writer.wait_for(20);
    let written = writer.end();
    assert!(written.error.is_none(), "{written:?}");
    assert!(dm("status m").trim_end().ends_with(" A"));
    wait_whole("m");
    assert_equal(&source, &target, SIZE);
    written.assert_on(&target);
    dm("remove m");
    dm("remove disk");
}

//! The server is killed, and another one started.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::{dm, run};
use crate::lab::logd::{Logd, in_sync, log, made, table, wait_whole};
use crate::lab::shell::output;
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, wait_longer};

const SIZE: u64 = 32 * MIB;

/// For 1, 5 and 20 s, while all is copied and written: no write fails, none is lost on a
/// leg, and nobody waits for ever.
pub fn under_writers(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let rounds = if long() { 20 } else { 1 };
    let seconds = [1, 5, 20].into_iter().cycle().take(3 * rounds);
    for (round, seconds) in seconds.enumerate() {
        let (source, target) = (lab.random(0, SIZE), lab.disk(1));
        let device = (round % 2 == 1).then(|| lab.blank(2));
        let words = log("k", device.as_deref());
        let node = made("m", &table([&source, &target], SIZE / 512, &words));
        let writer = Writer::start(&node, SIZE);
        writer.wait_for(30);
        sleep(Duration::from_millis(70 * round as u64 % 900));
        let before = in_sync("m").0;
        logd.kill();
        sleep(Duration::from_secs(seconds));
        logd.run();
        writer.wait_for(300);
        let written = writer.end();
        assert!(written.error.is_none(), "{written:?}");
        wait_whole("m");
        assert_equal(&source, &target, SIZE);
        written.assert_on(&target);
        println!(
            "gone for {seconds} s at {before} regions, on disk {}: longest wait {:?}",
            device.is_some(),
            written.longest
        );
        dm("remove m");
    }
}

/// One that knows nothing of what runs copies all: the kernel goes on with what it has in
/// mind, and a table that is new takes its place.
pub fn forgotten(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let node = made("m", &table([&source, &target], SIZE / 512, &log("f", None)));
    wait_whole("m");
    let writer = Writer::start(&node, SIZE);
    writer.wait_for(50);
    logd.kill();
    logd.forget();
    logd.run();
    writer.wait_for(200);
    let written = writer.end();
    assert!(written.error.is_none(), "{written:?}");
    wait_longer(20, "it is cured", || logd.said().contains("Reload"));
    wait_whole("m");
    assert_equal(&source, &target, SIZE);
    written.assert_on(&target);
}

/// A device that is removed while no server is there waits for one where it has something to
/// ask, and goes where it has not. Its log is forgotten all the same.
pub fn removed(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let table = table([&source, &target], SIZE / 512, &log("r", None));
    made("m", &table);
    logd.kill();
    let words = ["reload", "m", "--table", &table];
    let refused = Command::new("dmsetup")
        .args(words)
        .output()
        .expect("dmsetup");
    assert!(!refused.status.success(), "nobody is there to make its log");
    let remove = Command::new("dmsetup").args(["remove", "m"]).spawn();
    let mut remove = remove.expect("dmsetup");
    sleep(Duration::from_secs(2));
    assert!(
        remove.try_wait().expect("waited for").is_none(),
        "a copy is under way"
    );
    logd.run();
    wait_longer(40, "it is removed", || {
        remove.try_wait().expect("waited for").is_some()
    });
    wait_longer(10, "it is forgotten", || logd.kept() == 0);
    made("m", &table);
    wait_whole("m");
    logd.kill();
    dm("remove m");
    assert_eq!(logd.kept(), 1);
    logd.run();
    wait_longer(10, "it is forgotten", || logd.kept() == 0);
}

/// Tables that come to run, and go, while no server hears it.
pub fn unheard(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target, other) = (lab.random(0, SIZE), lab.disk(1), lab.random(3, SIZE));
    let of = |leg| table([&source, leg], SIZE / 512, &log("u", None));
    let node = made("m", &of(&target));
    wait_whole("m");
    run("dmsetup", &["reload", "m", "--table", &of(&other)]);
    logd.kill();
    // udev, which is waited for else, reads of what runs anew, and nobody answers for it.
    output("dmsetup suspend m && dmsetup resume --noudevsync m");
    let writer = Writer::start(&node, SIZE);
    sleep(Duration::from_secs(1));
    assert_eq!(writer.count(), 0, "nobody answers for it");
    logd.run();
    writer.wait_for(100);
    let written = writer.end();
    assert!(written.error.is_none(), "{written:?}");
    wait_whole("m");
    assert_equal(&source, &other, SIZE);
    written.assert_on(&other);
    // The same table, held with a server and let go without.
    dm("suspend m");
    logd.kill();
    dm("resume --noudevsync m");
    logd.run();
    let writer = Writer::start(&node, SIZE);
    writer.wait_for(100);
    assert!(writer.end().error.is_none());
    wait_whole("m");
    assert_equal(&source, &other, SIZE);
}

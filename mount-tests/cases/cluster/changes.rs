//! Tables that are changed under writers.

use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::dm::{dm, reload, run};
use crate::lab::logd::{Logd, in_sync, log, made, table, wait_whole};
use crate::lab::writer::Writer;

const SIZE: u64 = 32 * MIB;

/// Suspended, resumed and loaded once more, all the time, while the server is killed and
/// started again.
pub fn meanwhile(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let table = table([&source, &target], SIZE / 512, &log("c", None));
    let node = made("m", &table);
    let writer = Writer::start(&node, SIZE);
    let changes = spawn(move || {
        for round in 0..12 {
            match round % 3 {
                // With what is queued, and without.
                0 => drop(dm("suspend m")),
                1 => drop(dm("suspend --noflush m")),
                _ => drop(load(&table)),
            }
            dm("resume m");
            sleep(Duration::from_millis(150));
        }
    });
    for _ in 0..3 {
        sleep(Duration::from_millis(700));
        logd.kill();
        sleep(Duration::from_secs(1));
        logd.run();
    }
    changes.join().expect("all changes");
    writer.wait_for(100);
    let written = writer.end();
    assert!(written.error.is_none(), "{written:?}");
    wait_whole("m");
    assert_equal(&source, &target, SIZE);
    written.assert_on(&target);
    println!("longest wait {:?}", written.longest);
}

/// Load it, as soon as somebody is there to make its log.
fn load(table: &str) -> String {
    for _ in 0..40 {
        let words = ["reload", "m", "--table", table];
        let made = std::process::Command::new("dmsetup").args(words).output();
        if made.expect("dmsetup").status.success() {
            return run("dmsetup", &["table", "--inactive", "m"]);
        }
        sleep(Duration::from_millis(250));
    }
    panic!("nobody makes the log")
}

/// The legs of a table are told from those of the one before.
pub fn another_leg(lab: &Lab) {
    let mut logd = Logd::start(lab);
    let (source, one, other) = (lab.random(0, SIZE), lab.disk(1), lab.random(3, SIZE));
    let words = log("a", None);
    let of = |legs| table(legs, SIZE / 512, &words);
    made("m", &of([&source, &one]));
    wait_whole("m");
    // The same once more: it stays in sync, a new server too.
    reload("m", &of([&source, &one]));
    assert_eq!(in_sync("m"), (SIZE / 65536, SIZE / 65536));
    logd.kill();
    logd.run();
    reload("m", &of([&source, &one]));
    assert_eq!(in_sync("m"), (SIZE / 65536, SIZE / 65536));
    // Another one has nothing of it.
    dm("suspend m");
    run(
        "dmsetup",
        &["reload", "m", "--table", &of([&source, &other])],
    );
    dm("resume m");
    wait_whole("m");
    assert_equal(&source, &other, SIZE);
    // What is equal on both is so in the other order too.
    reload("m", &of([&other, &source]));
    assert_eq!(in_sync("m"), (SIZE / 65536, SIZE / 65536));
}

/// Two devices with one log have not the same legs: neither believes what the other does.
pub fn two_devices(lab: &Lab) {
    let _logd = Logd::start(lab);
    let (source, target) = (lab.random(0, SIZE), lab.disk(1));
    let words = log("t", None);
    made("m", &table([&source, &target], SIZE / 512, &words));
    wait_whole("m");
    let (wrong, empty) = (lab.random(3, SIZE), lab.disk(4));
    made("n", &table([&wrong, &empty], SIZE / 512, &words));
    dm("remove m");
    wait_whole("n");
    assert_equal(&wrong, &empty, SIZE);
}

//! Very many at once. Callers hang, each on a mirror of its own: whoever reads elsewhere
//! does not notice. Mappings are there: what happens to one costs no look at the others.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::SIZE;
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::threads::processor_time;
use crate::lab::{many, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only(
        "a_hundred_verbs_that_hang",
        "needs a device whose I/O can be made to wait",
        hundred,
    )
    .within(900),
    kernel_only(
        "an_event_among_many_mappings",
        "needs mappings that are not mirrorfs's",
        among_many,
    ),
];

/// Sectors of each mirror.
const PART: usize = 128;

/// A thousand reads of another mirror's files: the longest and the mean.
fn reads(mount: &Mount) -> (Duration, Duration) {
    let files = [
        "status",
        "health",
        "progress",
        "sync/state",
        "legs/1/health",
    ];
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    for number in 0..1000 {
        let began = Instant::now();
        mount.read(&format!("bystander/{}", files[number % files.len()]));
        longest = longest.max(began.elapsed());
    }
    (longest, start.elapsed() / 1000)
}

/// Mirrors over parts of a device whose I/O waits, so that their copies do.
fn crowd(lab: &Lab, mount: &Mount) {
    let (disk, sectors) = (lab.disk(0), SIZE / 512);
    create(
        "below",
        "",
        &format!("0 {sectors} linear {} 0", lab.disk(1)),
    );
    for number in 0..many() {
        let at = number * PART;
        for (side, device) in [("s", disk.as_str()), ("t", "/dev/mapper/below")] {
            create(
                &format!("{side}{number}"),
                "",
                &format!("0 {PART} linear {device} {at}"),
            );
        }
    }
    output("udevadm settle --timeout=20 || true; dmsetup suspend below");
    for number in 0..many() {
        mount.write(
            "new",
            &format!("c{number}: 0 {PART} mirror core 1 64 2 /dev/mapper/s{number} 0 /dev/mapper/t{number} 0"),
        );
    }
}

fn hundred(lab: &Lab) {
    let _undo = Undo(format!(
        "for n in $(seq 0 {}); do dmsetup remove --retry s$n; dmsetup remove --retry t$n; done; \
         dmsetup remove --retry below",
        many() - 1
    ));
    let mount = lab.mount();
    let (one, other) = (lab.disk(2), lab.disk(3));
    mount.write(
        "new",
        &format!("bystander: 0 8192 mirror core 2 1024 nosync 2 {one} 0 {other} 0"),
    );
    crowd(lab, &mount);
    // Where the test fails: else what the mount's end removes waits, each by itself.
    let _let_go = Undo("dmsetup resume below".into());
    let before = reads(&mount);
    let answers: Vec<_> = thread::scope(|scope| {
        let verbs: Vec<_> = (0..many())
            .map(|number| {
                let mount = &mount;
                scope.spawn(move || mount.try_write(&format!("c{number}/ctl"), "suspend"))
            })
            .collect();
        sleep(Duration::from_millis(1500));
        let during = reads(&mount);
        println!(
            "longest and mean of 1000 reads: {before:?} before, {during:?} beside {} verbs that hang",
            many()
        );
        assert!(during.0 < Duration::from_millis(400), "{during:?}");
        verbs
            .into_iter()
            .map(|verb| verb.join().expect("no panic"))
            .collect()
    });
    let late = answers
        .iter()
        .filter(|answer| matches!(answer, Err((Errno::EINPROGRESS, _))));
    assert_eq!(late.count(), many(), "{answers:?}");
    output("dmsetup resume below");
    wait_longer(60, "all verbs end", || {
        mount.read("events").matches(" suspended ").count() == many()
    });
    for number in 0..many() {
        mount.write(&format!("c{number}/ctl"), "resume");
        mount.write(&format!("c{number}/ctl"), "remove");
    }
    mount.write("bystander/ctl", "remove");
    attempt("udevadm settle --timeout=20");
}

/// What it costs the daemon that another program's mapping is suspended and resumed.
fn cost_of_events(pid: i32) -> Duration {
    let before = processor_time(pid);
    for _ in 0..40 {
        dm("suspend busy");
        dm("resume --noudevsync busy");
        sleep(Duration::from_millis(30));
    }
    processor_time(pid) - before
}

fn among_many(lab: &Lab) {
    let many = 5 * many();
    let _gone = Undo(format!(
        "for n in $(seq 0 {many}); do dmsetup remove --retry x$n; done; dmsetup remove --retry busy"
    ));
    let mount = lab.mount();
    let (one, other) = (lab.disk(0), lab.disk(1));
    mount.write(
        "new",
        &format!("bystander: 0 8192 mirror core 2 1024 nosync 2 {one} 0 {other} 0"),
    );
    let part = |at: usize| format!("0 8 linear {} {}", lab.disk(2), at * 8);
    create("busy", "", &part(0));
    let alone = cost_of_events(mount.pid());
    for number in 1..=many {
        create(&format!("x{number}"), "", &part(number));
    }
    let beside = cost_of_events(mount.pid());
    println!("40 events of one mapping: {alone:?} alone, {beside:?} beside {many} others");
    let before = processor_time(mount.pid());
    for _ in 0..100 {
        // As udev does after whoever wrote to it has closed it.
        attempt("echo change > /sys/class/block/$(basename $(realpath /dev/mapper/busy))/uevent");
    }
    let noise = processor_time(mount.pid()) - before;
    println!("100 messages of nothing: {noise:?}");
    assert!(noise < Duration::from_millis(100), "{noise:?}");
    // One look at each of them, each time, is more than that.
    let most = alone * 2 + Duration::from_millis(50);
    assert!(beside < most, "{alone:?}, then {beside:?}");
    mount.write("bystander/ctl", "remove");
}

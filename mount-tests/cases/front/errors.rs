//! How much an error hurts where there is a front, and a disk that is slow.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::SIZE;
use crate::cases::bad::reader::Reader;
use crate::cases::bad::spots::Rig;
use crate::lab::disks::MIB;
use crate::lab::dm::{create, dm};
use crate::lab::shell::{Undo, output};
use crate::lab::writer::Writer;
use crate::lab::{Lab, wait_for, wait_longer};

/// Only what is under way can be hurt by a spot that cannot be read.
pub fn an_error_hurts_little(lab: &Lab) {
    let hole = (6 * MIB, 4096);
    let rig = Rig::on(lab, lab.mount(), &[hole], "limit=1M");
    let begun = Instant::now();
    let reader = Reader::start("/dev/mapper/m", 96 * MIB, &[hole]);
    wait_longer(30, "the spot is met", || {
        rig.mount.read("events").contains(" m aside ")
    });
    sleep(Duration::from_secs(1));
    let reads = reader.end();
    println!(
        "{} of {} reads failed, longest {:?}",
        reads.failed.len(),
        reads.count,
        reads.longest
    );
    let first = reads.failed.first().map(|(at, _)| *at);
    let soon = |at: Instant| first.is_some_and(|first| at - first < Duration::from_secs(1));
    let failed = reads.failed.iter().filter(|(at, _)| soon(*at)).count();
    assert_eq!(failed, reads.failed.len(), "some failed later");
    let second = reads.count as f64 / begun.elapsed().as_secs_f64();
    assert!(failed as f64 <= second / 1000.0, "{failed} of {second:.0}");
    rig.mount.write("m/sync/limit", "none");
    rig.wait_for_bad(4096);
    rig.finish_lossy();
    rig.assert_copied(&[hole]);
    rig.mount.write("m/ctl", "remove");
}

/// A drive that tries a bad block for 4 s by itself: all else goes on meanwhile.
pub fn a_slow_disk(lab: &Lab) {
    let hole = (20 * MIB, 4096);
    let plain = lab.random(0, SIZE);
    let (target, _) = lab.noise(1, SIZE);
    create("err", "TEST-err", "0 8 error");
    let (at, end) = (hole.0 / 512, SIZE / 512);
    let behind = at + 8;
    create(
        "slow",
        "TEST-slow",
        &format!(
            "0 {at} linear {plain} 0\n{at} 8 delay /dev/mapper/err 0 4000\n{behind} {} linear {plain} {behind}",
            end - behind
        ),
    );
    let mount = lab.mount();
    mount.write("new", &format!("m: /dev/mapper/slow {target} region=512K"));
    let reader = Reader::start("/dev/mapper/m", SIZE, &[hole]);
    let writer = Writer::start("/dev/mapper/m", hole.0);
    let begun = Instant::now();
    wait_longer(60, "all but the spot", || {
        mount.read("m/sync/bad_bytes") == "4096\n" && !mount.read("m/map").contains("  ?\n")
    });
    let took = begun.elapsed();
    let (written, reads) = (writer.end(), reader.end());
    let first = reads.failed.first().map(|(at, _)| *at);
    let last = reads.failed.last().map(|(at, _)| *at);
    let span = last.zip(first).map(|(last, first)| last - first);
    println!(
        "{} of {} reads failed within {span:?}, longest {:?}; longest write {:?}; all in {took:?}",
        reads.failed.len(),
        reads.count,
        reads.longest,
        written.longest
    );
    assert!(written.error.is_none(), "{:?}", written.error);
    assert!(
        span.unwrap_or_default() < Duration::from_secs(1),
        "{span:?}"
    );
    assert!(
        written.longest < Duration::from_secs(1),
        "{:?}",
        written.longest
    );
    mount.write("m/ctl", "abort");
    mount.write("m/ctl", "remove");
    dm("remove slow");
    dm("remove err");
}

/// `health` says since when a disk has answered nothing.
pub fn a_slow_read(lab: &Lab) {
    output("modprobe scsi_debug dev_size_mb=32 delay=0; udevadm settle");
    let end = Undo(
        "for i in $(seq 50); do udevadm settle; modprobe -r scsi_debug && break; sleep 0.2; done"
            .into(),
    );
    let disk = output("ls /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block");
    let (target, _) = lab.noise(1, SIZE);
    let mount = lab.mount();
    let line = format!("m: /dev/{} {target} region=512K limit=0", disk.trim());
    mount.write("new", &line);
    wait_for("it stops", || mount.read("m/sync/state") == "stopped\n");
    // In jiffies: each read takes 3 s from now on.
    output("echo 750 >/sys/bus/pseudo/drivers/scsi_debug/delay");
    mount.write("m/sync/limit", "none");
    let mut said = String::new();
    wait_longer(30, "it is slow", || {
        said = mount.read("m/health");
        said.contains(" A alive, no error, slow, a read has taken ")
    });
    println!("{}", said.lines().nth(1).unwrap_or_default());
    mount.write("m/ctl", "abort");
    assert!(!mount.read("m/health").contains("slow"));
    // udev still reads from it.
    mount.write("m/ctl", "remove deferred");
    mount.stop();
    drop(end);
}

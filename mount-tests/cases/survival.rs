//! The daemon lives: memory, priority; on the very mirror that it switches; a
//! hundred mirrors that need nothing wake nobody.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::failover::rig::NO_IO;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, many, threads, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("memory_and_priority", NO_IO, settled),
    kernel_only("on_its_own_mirror", NO_IO, on_itself),
    both("a_hundred_idle", idle),
];

fn status(pid: i32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|value| value.parse().ok()).expect(field)
}

fn settled(lab: &Lab) {
    let mount = lab.mount();
    let pid = mount.pid();
    let (locked, resident) = (status(pid, "VmLck"), status(pid, "VmRSS"));
    println!("{locked} KiB locked, {resident} KiB resident");
    assert!(locked > 1000, "{locked} KiB are locked");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    assert_eq!(score, "-1000\n");
    assert_eq!(threads::field(pid, "watch", 19), [-10]);
    assert_eq!(threads::field(pid, "watch", 41), [2]);
}

/// Program, state directory and what is logged stand on the mirror itself; a leg
/// of it fails under a writer.
fn on_itself(lab: &Lab) {
    for broken in [0, 1] {
        let leg = lab.fragile(broken, 409_600);
        let other = lab.disk(1 - broken);
        let legs = if broken == 0 {
            [&leg.path, &other]
        } else {
            [&other, &leg.path]
        };
        let first = lab.mount();
        first.write(
            "new",
            &format!(
                "root: 0 409600 mirror core 2 128 nosync 2 {} 0 {} 0 1 handle_errors",
                legs[0], legs[1]
            ),
        );
        first.stop();
        let at = lab.path("root").display().to_string();
        output(&format!(
            "mkfs.ext4 -q /dev/mapper/root && mkdir {at} && mount /dev/mapper/root {at} \
             && cp {} {at}/mirrorfs && mkdir {at}/mnt",
            env!("CARGO_BIN_EXE_mirrorfs")
        ));
        let undo = Undo(format!("umount {at}/mnt; umount {at}; rmdir {at}"));
        output(&format!(
            "cd {at} && (./mirrorfs -f -v -s {at}/state mnt >log 2>&1 & echo $! >pid); \
             until [ -e mnt/root ]; do sleep 0.1; done; echo yes >mnt/root/persist; \
             sync; echo 3 >/proc/sys/vm/drop_caches"
        ));
        let file = format!("{at}/file");
        output(&format!("head -c 4M /dev/zero >{file}"));
        let writer = Writer::start(&file, 4 << 20);
        writer.wait_for(20);
        leg.fail();
        wait_longer(30, "the leg is out", || {
            let health = fs::read_to_string(format!("{at}/mnt/root/health")).expect("health");
            health.starts_with("degraded\n") && health.contains(&format!("leg {broken} "))
        });
        writer.wait_for(50);
        let written = writer.end();
        assert!(written.error.is_none(), "{:?}", written.error);
        println!(
            "leg {broken}: the longest wait of a writer {:?}",
            written.longest
        );
        written.assert_on(&file);
        wait_for("its record", || {
            let records = output(&format!("cat {at}/state/mirrors/*.json"));
            records.contains("linear") && records.contains("\"dropped\"")
        });
        output(&format!(
            "umount {at}/mnt; while kill -0 $(cat {at}/pid) 2>/dev/null; do sleep 0.1; done"
        ));
        output(&format!("umount {at} && rmdir {at}"));
        std::mem::forget(undo);
        first.mount("");
        first.write("root/ctl", "remove");
        first.stop();
    }
}

/// How often the threads of a process were run.
fn switches(pid: i32) -> u64 {
    let count = |status: String| -> u64 {
        let lines = status.lines();
        let lines = lines.filter(|line| line.contains("ctxt_switches"));
        let words = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        words.sum()
    };
    threads::files(pid, "status").into_iter().map(count).sum()
}

fn make_many(mount: &Mount) {
    for number in 0..many() {
        let legs = ["s", "t"].map(|leg| mount.scratch(&format!("{leg}{number}")));
        for leg in &legs {
            let file = fs::File::create(leg).expect("a leg");
            file.set_len(64 * 512).expect("its size");
        }
        let [one, other] = legs;
        let table = format!("0 64 mirror core 2 8 nosync 2 {one} 0 {other} 0 1 handle_errors");
        mount.write("new", &format!("i{number}: {table}"));
    }
}

fn idle(lab: &Lab) {
    let mount = lab.mount();
    let pid = mount.pid();
    let before = status(pid, "VmRSS");
    make_many(&mount);
    let events = || mount.read("events").matches(" synced ").count();
    wait_for("all are known to be in sync", || events() == many());
    // The deadline of the last command passes.
    sleep(Duration::from_secs(11));
    let seconds = if long() { 60 } else { 10 };
    let memory = status(pid, "VmRSS");
    // The kernel may ask for something once, as when it forgets a name: what comes
    // again and again is in each of the windows.
    let mut windows = (0..3).map(|_| {
        let start = switches(pid);
        sleep(Duration::from_secs(seconds));
        let woken = switches(pid) - start;
        println!(
            "{woken} wake-ups in {seconds} s with {} mirrors; {before} KiB, then {memory} KiB",
            many()
        );
        woken
    });
    assert!(windows.any(|woken| woken == 0), "the daemon is woken");
    for number in 0..many() {
        mount.write(&format!("i{number}/ctl"), "remove");
    }
}

//! How far a copy is: the line, the rate, the time left, and never 100 before the end.

use std::fs::{self};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::files::value;
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{self, MIB};
use crate::lab::engine::no_root;
use crate::lab::mount::Mount;
use crate::lab::shell::attempt;
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("while_copying", while_copying),
    both("never_rounds_up", never_rounds_up).needing(no_root),
];

/// Bytes of a region of 128 sectors.
const REGION: u64 = 65_536;

/// Panics where a line is not wholly what the pattern says.
pub fn assert_lines(pattern: &str, lines: &[String], mount: &Mount) {
    let path = mount.scratch("lines");
    fs::write(&path, lines.concat()).expect("a file");
    let (status, other) = attempt(&format!("LC_ALL=C grep -Evx '{pattern}' {path}"));
    assert!(status == 1, "not as the interface says: {other}");
}

/// A slow copy: the line of `progress`, the rate and the time left.
fn while_copying(lab: &Lab) {
    // What the throttle slows down most is still a disk's speed.
    let total = if lab.is_kernel() { 1024 } else { 4096 };
    let (source, slow) = (lab.random(0, total * REGION), lab.slow(1, 20));
    let mount = slow.mount();
    let sectors = total * REGION / 512;
    mount.write(
        "new",
        &format!(
            "m: 0 {sectors} mirror core 1 128 2 {source} 0 {} 0 1 handle_errors",
            slow.path
        ),
    );
    assert_eq!(mount.read("m/sync/state"), "syncing\n");
    assert!(mount.read("m/health").starts_with("syncing\n"));
    assert!(mount.read("health").starts_with("syncing\nm: syncing\n"));
    let mut lines = Vec::new();
    let mut watch = |seconds: u64| {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            lines.push(mount.read("m/progress"));
            lines.push(mount.read("progress").replacen("m: ", "", 1));
            sleep(Duration::from_millis(200));
        }
    };
    watch(3);
    let (start, from, early) = (
        Instant::now(),
        value(&mount, "m/sync/regions_done"),
        value(&mount, "m/sync/eta"),
    );
    watch(4);
    let (to, rate, late) = (
        value(&mount, "m/sync/regions_done"),
        value(&mount, "m/sync/rate"),
        value(&mount, "m/sync/eta"),
    );
    let measured = ((to - from) * REGION) as f64 / start.elapsed().as_secs_f64();
    assert!(to < total, "the disk was too fast for this test");
    // A delay is the same all the time, a disk that others use too is not.
    let near = if lab.is_kernel() { 0.5..2.0 } else { 0.2..5.0 };
    assert!(
        near.contains(&(rate as f64 / measured)),
        "the rate is {rate} bytes/s, measured {measured}"
    );
    assert!(
        late < early || !lab.is_kernel(),
        "time left: {early} s, then {late} s"
    );
    let left = ((total - to) * REGION) as f64 / measured;
    assert!(
        near.contains(&(late as f64 / left)),
        "{late} s left; measured: {left}"
    );
    let tail = lines.split_off(lines.len() - 4);
    let size = total * REGION / MIB;
    let amount =
        format!(r"[0-9]+\.[0-9]{{2}}% [0-9]+/{total} regions, [0-9]+\.[0-9]{{2}}/{size}\.00 MiB");
    let rated = format!(r"{amount}, [0-9.]+ [KMG]iB/s, ([0-9]+[dhm])?[0-9]+[hms] left");
    assert_lines(&format!("({rated}|{amount}, syncing)"), &lines, &mount);
    assert_lines(&rated, &tail, &mount);
    let regions: Vec<u64> = lines.iter().map(|line| regions(line, total)).collect();
    assert!(regions.is_sorted(), "{regions:?}");
    slow.hurry(&mount);
    mount.write("m/ctl", "remove");
}

/// The regions done that a line of `progress` names; its percentage is theirs,
/// cut.
fn regions(line: &str, total: u64) -> u64 {
    let mut words = line.split(['%', ' ', '/']);
    let percent = words.next().expect("percent");
    let done: u64 = words
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("regions");
    let hundredths = done * 10_000 / total;
    assert_eq!(
        percent,
        format!("{}.{:02}", hundredths / 100, hundredths % 100),
        "{line}"
    );
    done
}

/// One region of 128 that cannot be copied: not 100, not in sync, and after a
/// while not syncing either. Repaired, it is copied at the next resume.
fn never_rounds_up(lab: &Lab) {
    let (source, _) = lab.noise(0, 8 * MIB);
    let target = lab.holed(1, 16_384, (12_800, 128));
    target.fail();
    let mount = lab.mount();
    // From its first moment: what the target does not take is left to it, and not
    // set aside.
    mount.write(
        "new",
        &format!(
            "m: {source} {} length=8M region=64K log=core errors=hold force=yes",
            target.path
        ),
    );
    wait_for("all but one", || {
        mount.read("m/sync/regions_done") == "127\n"
    });
    assert_eq!(mount.read("m/sync/percent"), "99.21\n");
    let progress = mount.read("m/progress");
    assert!(
        progress.starts_with("99.21% 127/128 regions, 7.93/8.00 MiB, "),
        "{progress}"
    );
    assert_eq!(mount.read("m/legs/1/health"), "S\n");
    let health = mount.read("m/health");
    assert!(health.starts_with("degraded\n"), "{health}");
    let start = Instant::now();
    while mount.read("m/sync/state") != "stopped\n" {
        let (state, seconds) = (mount.read("m/progress"), start.elapsed().as_secs());
        assert!(seconds < 20, "after {seconds} s still {state}");
        sleep(Duration::from_millis(100));
    }
    target.repair();
    mount.write("m/ctl", "suspend noflush");
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    assert!(
        mount
            .read("m/progress")
            .starts_with("100.00% 128/128 regions, 8.00/8.00 MiB, in sync")
    );
    disks::assert_equal(&source, &target.path, 8 * MIB);
    mount.write("m/ctl", "remove");
}

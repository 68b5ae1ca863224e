//! The words of `health`, with failing legs and logs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::files::three;
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks;
use crate::lab::dm::dm;
use crate::lab::wait_for;

/// What a mirror without a device cannot have.
const NO_IO: &str = "nothing reads or writes through an embedded mirror";

pub const CASES: &[Case] = &[
    both("words", health),
    kernel_only("of_a_degraded_mirror", NO_IO, degraded),
    kernel_only("of_a_failed_log", NO_IO, failed_log),
];

/// The words of `health` that need no failure, and the warning.
fn health(lab: &Lab) {
    let mount = three(lab);
    let [one, other] = [0, 1].map(|number| lab.disk(number));
    let legs = format!("leg 0 {one} A alive, no error\nleg 1 {other} A alive, no error\n");
    let core = "log core - A alive, no error\n";
    assert_eq!(mount.read("a/health"), format!("ok\n{legs}{core}"));
    let b = mount.read("b/health");
    let lines: Vec<&str> = b.lines().collect();
    assert_eq!(lines[0], "ok");
    let log = if lab.is_kernel() {
        "log disk /dev/loop".into()
    } else {
        format!("log disk {}", mount.scratch("log"))
    };
    assert!(
        lines[4].starts_with(&log) && lines[4].contains(" A "),
        "{b}"
    );
    assert!(
        lines[5].starts_with("warning ") && lines[5].contains("handle_errors"),
        "{b}"
    );
    assert_eq!(lines.len(), 6, "{b}");
    assert_eq!(mount.read("c/health"), "empty\n");
    assert_eq!(mount.read("health"), "empty\na: ok\nb: ok\nc: empty\n");
    mount.write("a/ctl", "suspend");
    assert_eq!(mount.read("a/health"), format!("suspended\n{legs}{core}"));
    assert_eq!(
        mount.read("health"),
        "suspended\na: suspended\nb: ok\nc: empty\n"
    );
    mount.write("a/ctl", "resume");
    assert_eq!(mount.read("a/health"), format!("ok\n{legs}{core}"));
    // Cut over by hand.
    mount.write("c/table", &format!("0 2048 linear {} 0", lab.disk(5)));
    assert!(
        mount.read("c/health").starts_with("finished\n"),
        "{}",
        mount.read("c/health")
    );
}

/// A write through a mirror, in a process of its own: it may be held for long.
struct Writer(Child);

impl Writer {
    fn start(name: &str) -> Writer {
        let child = Command::new("dd")
            .args(["if=/dev/urandom", "bs=4096", "count=1", "oflag=direct"])
            .arg(format!("of=/dev/mapper/{name}"))
            .stderr(Stdio::null())
            .spawn();
        Writer(child.expect("dd"))
    }

    fn is_held(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }

    fn end(mut self) {
        wait_for("the writer ends", || !self.is_held());
        assert!(
            self.0.wait().expect("a child").success(),
            "the write failed"
        );
    }
}

/// A leg that fails under a write: the write is held, everything else answers;
/// after the repair the write is done on all legs.
fn degraded(lab: &Lab) {
    for broken in [1, 0] {
        let (other, leg) = (lab.zeroed_start(0), lab.fragile(1, 2048));
        let mount = lab.mount();
        let legs = if broken == 1 {
            [&other, &leg.path]
        } else {
            [&leg.path, &other]
        };
        mount.write(
            "new",
            &format!(
                "m: 0 2048 mirror core 2 128 nosync 2 {} 0 {} 0 1 handle_errors",
                legs[0], legs[1]
            ),
        );
        // As if nobody acted: what the kernel's letters mean.
        mount.write("m/on_failure", "hold");
        leg.fail();
        let mut writer = Writer::start("m");
        wait_for("the failure", || {
            mount.read(&format!("m/legs/{broken}/health")) == "D\n"
        });
        let start = Instant::now();
        let health = mount.read("m/health");
        let status = mount.read("m/status");
        assert!(health.starts_with("degraded\n"), "{status}{health}");
        let line = health.lines().nth(1 + broken).expect("a leg");
        assert!(
            line.starts_with(&format!("leg {broken} /dev/")) && line.contains(" D "),
            "{health}"
        );
        assert_eq!(mount.read("health"), "degraded\nm: degraded\n");
        wait_for("dmsetup says the same", || {
            mount.read("m/status") == dm("status m")
        });
        let roles = if broken == 1 {
            ["source", "target"]
        } else {
            ["target", "source"]
        };
        let role = |leg: usize| mount.read(&format!("m/legs/{leg}/role"));
        assert_eq!([role(0), role(1)].each_ref().map(|role| role.trim()), roles);
        wait_for("the error is counted", || {
            mount.read(&format!("m/legs/{broken}/errors")) == "1\n"
        });
        let events = mount.read("events");
        assert!(events.contains(&format!(" m leg {broken} ")), "{events}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "reads wait: {:?}",
            start.elapsed()
        );
        assert!(writer.is_held(), "the write was not held");
        leg.repair();
        mount.write("m/ctl", "suspend noflush");
        mount.write("m/ctl", "resume");
        writer.end();
        disks::assert_equal(&other, &leg.path, 4096);
        assert!(
            disks::bytes(&other, 0, 4096).iter().any(|byte| *byte != 0),
            "nothing was written"
        );
        mount.write("m/ctl", "remove");
    }
}

/// A log that fails: writes are held until there is another log.
fn failed_log(lab: &Lab) {
    lab.blank(10);
    let (one, other, log) = (lab.zeroed_start(0), lab.disk(1), lab.fragile(10, 2048));
    let mount = lab.mount();
    let table = |log: &str| {
        format!("0 2048 mirror disk 3 {log} 128 nosync 2 {one} 0 {other} 0 1 handle_errors")
    };
    mount.write("new", &format!("m: {}", table(&log.path)));
    mount.write("m/on_failure", "hold");
    log.fail();
    let mut writer = Writer::start("m");
    wait_for("the failure", || mount.read("m/log/health") != "A\n");
    let health = mount.read("m/health");
    assert!(health.starts_with("failed\n"), "{health}");
    let line = health
        .lines()
        .find(|line| line.starts_with("log disk /dev/"));
    assert!(
        line.is_some_and(|line| line.contains(" D ") || line.contains(" F ")),
        "{health}"
    );
    assert_eq!(mount.read("health"), "failed\nm: failed\n");
    wait_for("dmsetup says the same", || {
        mount.read("m/status") == dm("status m")
    });
    wait_for("the event", || mount.read("events").contains(" m log "));
    assert!(writer.is_held(), "the write was not held");
    mount.write("m/table", &table(&lab.blank(11)));
    writer.end();
    // The regions that were held are copied once more.
    wait_for("health is ok", || {
        mount.read("m/health").starts_with("ok\n")
    });
    disks::assert_equal(&one, &other, 4096);
    assert!(
        disks::bytes(&one, 0, 4096).iter().any(|byte| *byte != 0),
        "nothing was written"
    );
    mount.write("m/ctl", "remove");
}

//! Those who wait for news: poll(2), and `follow`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::failover::rig::{NO_IO, Rig, Shape};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::mount::Mount;
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("poll", polled),
    both("poll_of_one_that_goes", polled_and_removed),
    kernel_only("poll_of_a_failure", NO_IO, polled_failure),
    both("follow", followed),
    both("follow_of_one_that_goes", followed_and_removed),
    both("follow_interrupted", interrupted),
    both("follow_by_a_hundred", hundred),
];

/// What a wait that must not end is given.
const QUIET: u16 = 300;

/// News within this time; the guest is emulated.
const SOON: Duration = Duration::from_millis(1500);

fn read(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().expect("a seek");
    file.read_to_string(&mut text).expect("a read");
    text
}

/// Wait for news of a file, as sysfs has it.
fn wait(file: &File, millis: u16) -> PollFlags {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
    poll(&mut fds, PollTimeout::from(millis)).expect("a poll");
    fds[0].revents().expect("known flags")
}

/// Nothing without news; soon after news it wakes; once read, nothing again.
fn polled(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    mount.wait_in_sync("a");
    wait_for("the news of it", || {
        mount.read("events").contains("a synced")
    });
    for (name, changes) in [
        ("a/health", true),
        ("a/sync/state", false),
        ("a/suspended", true),
        ("a/status", false),
        ("health", true),
        ("events", true),
    ] {
        let mut file = mount.open(name);
        read(&mut file);
        assert_eq!(wait(&file, QUIET), PollFlags::empty(), "{name}: no news");
        let verb = thread::scope(|scope| {
            let told = scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                mount.write("a/ctl", "suspend");
                Instant::now()
            });
            let news = wait(&file, if changes { 10_000 } else { QUIET * 3 });
            let woken = Instant::now();
            assert_eq!(
                news.contains(PollFlags::POLLPRI),
                changes,
                "{name}: {news:?}"
            );
            let told = told.join().expect("no panic");
            woken.saturating_duration_since(told)
        });
        if changes {
            println!("{name}: woken {verb:?} after the verb");
            assert!(verb < SOON, "{name}: {verb:?}");
        }
        read(&mut file);
        assert_eq!(wait(&file, QUIET), PollFlags::empty(), "{name}: read");
        mount.write("a/ctl", "resume");
    }
    mount.write("a/ctl", "remove");
}

fn polled_and_removed(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    let mut file = mount.open("a/uuid");
    read(&mut file);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            mount.write("a/ctl", "remove");
        });
        let news = wait(&file, 10_000);
        assert!(news.contains(PollFlags::POLLHUP), "{news:?}");
    });
}

/// Who waits for `health` is woken by a leg that fails.
fn polled_failure(lab: &Lab) {
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: false,
    };
    let rig = Rig::new(lab, shape, &[1]);
    let mut health = rig.mount.open("m/health");
    assert!(read(&mut health).starts_with("ok\n"));
    let woken = thread::scope(|scope| {
        let failed = scope.spawn(|| {
            rig.fragile[0].fail();
            Instant::now()
        });
        assert!(wait(&health, 20_000).contains(PollFlags::POLLPRI));
        let woken = Instant::now();
        woken.saturating_duration_since(failed.join().expect("no panic"))
    });
    println!("woken {woken:?} after the leg was made to fail");
    assert!(woken < SOON, "{woken:?}");
    rig.expect("degraded", &[]);
    assert!(read(&mut health).starts_with("degraded\n"));
    drop(health);
    rig.end(&[0]);
}

fn cat(mount: &Mount, file: &str) -> Child {
    // A shell's background job, such as a run of the tests, ignores it.
    let cat = Command::new("env")
        .args(["--default-signal=INT", "cat"])
        .arg(mount.path(file))
        .stdout(Stdio::piped())
        .spawn();
    cat.expect("cat")
}

/// A line a second while it copies; the last one says how it ended; then the end.
fn followed(lab: &Lab) {
    let (one, slow) = (lab.random(0, 32 << 20), lab.slow(1, 30));
    let mount = slow.mount();
    mount.write(
        "new",
        &format!(
            "a: 0 65536 mirror core 1 128 2 {one} 0 {} 0 1 handle_errors",
            slow.path
        ),
    );
    let mut cat = cat(&mount, "a/follow");
    let lines = BufReader::new(cat.stdout.take().expect("a pipe")).lines();
    let mut times = Vec::new();
    let mut last = String::new();
    for line in lines {
        last = line.expect("a line");
        times.push(Instant::now());
        if times.len() == 3 {
            slow.hurry(&mount);
        }
    }
    assert!(cat.wait().expect("cat").success());
    assert!(times.len() >= 4, "{} lines, the last {last}", times.len());
    assert!(last.starts_with("100.00% 512/512 regions"), "{last}");
    assert!(last.ends_with(", in sync"), "{last}");
    for pair in times.windows(2).take(2) {
        let pause = pair[1] - pair[0];
        assert!((800..2500).contains(&pause.as_millis()), "{pause:?}");
    }
    // In sync already: one line, and the end.
    assert_eq!(mount.read("a/follow"), format!("{last}\n"));
    assert_eq!(mount.read("a/follow"), mount.read("a/progress"));
    mount.write("a/ctl", "remove");
}

fn copying(lab: &Lab) -> (crate::lab::slow::Slow<'_>, Mount) {
    let (one, slow) = (lab.random(0, 32 << 20), lab.slow(1, 30));
    let mount = slow.mount();
    mount.write(
        "new",
        &format!("a: 0 65536 mirror core 1 128 2 {one} 0 {} 0", slow.path),
    );
    (slow, mount)
}

fn followed_and_removed(lab: &Lab) {
    let (_slow, mount) = copying(lab);
    let cat = cat(&mount, "a/follow");
    thread::sleep(Duration::from_millis(300));
    mount.write("a/ctl", "remove");
    let gone = Instant::now();
    let output = cat.wait_with_output().expect("cat");
    assert!(output.status.success(), "{output:?}");
    assert!(
        gone.elapsed() < Duration::from_secs(3),
        "{:?}",
        gone.elapsed()
    );
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.ends_with("\nremoved\n"), "{text}");
}

/// Who follows can be interrupted: he waits a second for his next line, not for the
/// end of the copy.
fn interrupted(lab: &Lab) {
    let (_slow, mount) = copying(lab);
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let took = ends_after(&mount, signal);
        println!("{signal}: ended after {took:?}");
        assert!(took < Duration::from_millis(2400), "{signal}: {took:?}");
    }
    mount.write("a/ctl", "remove");
}

fn ends_after(mount: &Mount, signal: Signal) -> Duration {
    // From the beginning: it ends while the copy goes on, however slow this machine is.
    mount.write("a/ctl", "resync");
    let mut cat = cat(mount, "a/follow");
    thread::sleep(Duration::from_millis(1300));
    assert!(cat.try_wait().expect("cat").is_none(), "it follows");
    let start = Instant::now();
    kill(Pid::from_raw(cat.id() as i32), signal).expect("a signal");
    let status = cat.wait().expect("cat");
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
    start.elapsed()
}

/// A hundred who follow keep nobody from reading.
fn hundred(lab: &Lab) {
    let (_slow, mount) = copying(lab);
    let mut cats: Vec<Child> = (0..100).map(|_| cat(&mount, "a/follow")).collect();
    thread::sleep(Duration::from_millis(1500));
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        mount.read("a/progress");
        longest = longest.max(start.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    println!("the longest read beside them: {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    mount.write("a/ctl", "remove");
    for cat in &mut cats {
        assert!(cat.wait().expect("cat").success());
    }
}

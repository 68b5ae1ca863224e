//! One user does his worst for a while: what the daemon uses, and how long it takes to
//! take out a leg that fails.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use mirrorfs::tree::limits::Resource;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::STRANGER;
use super::abuse::{many_files, memory, most, open_all};
use crate::cases::failover::rig::{NO_IO, Rig, Shape};
use crate::lab::case::{Case, kernel_only};
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::{Lab, long, wait_longer};

pub const CASES: &[Case] = &[kernel_only("one_user_for_a_while", NO_IO, worst)];

/// The longest wait of a writer while a leg is taken out.
const LONGEST: Duration = Duration::from_secs(5);

/// What he does.
struct User<'m> {
    mount: &'m Mount,
    over: AtomicBool,
    calls: AtomicU64,
}

impl User<'_> {
    fn go_on(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed);
        !self.over.load(Ordering::Relaxed)
    }

    /// As many open files as he gets, read again and again.
    fn read(&self) {
        let files = ["metrics", "mirrors.json", "m/health", "events", "m/table"];
        let share = most(Resource::Handles) / files.len();
        let all: Vec<_> = files
            .map(|file| open_all(&self.mount.path(file), share).0)
            .into();
        while self.go_on() {
            for file in files {
                let _ = fs::read(self.mount.path(file));
            }
        }
        drop(all);
    }

    /// As many polls as he gets.
    fn poll(&self) {
        let (open, _) = open_all(&self.mount.path("m/health"), most(Resource::Pollers));
        let mut text = Vec::new();
        while self.go_on() {
            let fds = open
                .iter()
                .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLPRI));
            let mut fds: Vec<PollFd<'_>> = fds.collect();
            let _ = poll(&mut fds, PollTimeout::from(200_u16));
            for mut file in open.iter().take(50) {
                let _ = file.read_to_end(&mut text);
                text.clear();
            }
        }
    }

    /// Folders, locks, and commands that are refused.
    fn rest(&self) {
        while self.go_on() {
            let _ = fs::read_dir(&self.mount.at).map(Iterator::count);
            let _ = fs::create_dir(self.mount.path("x"));
            let open = OpenOptions::new()
                .write(true)
                .open(self.mount.path("m/ctl"));
            let _ = open.and_then(|mut ctl| ctl.write(&[b'\n'; 65_536]));
            let open = OpenOptions::new()
                .write(true)
                .open(self.mount.path("m/table"));
            let _ = open.and_then(|mut table| table.write(&b"0 8 error,".repeat(6_000)));
        }
    }
}

fn worst(lab: &Lab) {
    many_files();
    let time = Duration::from_secs(if long() { 300 } else { 20 });
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: false,
    };
    let rig = Rig::new(lab, shape, &[1]);
    let at = rig.mount.at.display();
    output(&format!(
        "chown {STRANGER} {at}/m/ctl {at}/m/table; chmod 711 {at}/.."
    ));
    let pid = rig.mount.pid();
    let count = |what: &str| {
        fs::read_dir(format!("/proc/{pid}/{what}"))
            .expect(what)
            .count()
    };
    let before = (memory(pid), count("task"), count("fd"));
    let user = User {
        mount: &rig.mount,
        over: AtomicBool::new(false),
        calls: AtomicU64::new(0),
    };
    let mut highest = before;
    thread::scope(|scope| {
        let user = &user;
        let doing = [User::read, User::poll, User::rest, User::rest].map(|what| what as fn(&_));
        for what in doing {
            scope.spawn(move || {
                setfsgid(Gid::from_raw(STRANGER));
                setfsuid(Uid::from_raw(STRANGER));
                what(user);
            });
        }
        let (start, mut broken) = (Instant::now(), false);
        while start.elapsed() < time {
            sleep(Duration::from_millis(250));
            let now = (memory(pid), count("task"), count("fd"));
            highest = (
                highest.0.max(now.0),
                highest.1.max(now.1),
                highest.2.max(now.2),
            );
            if !broken && start.elapsed() > time / 2 {
                rig.fragile[0].fail();
                broken = true;
            }
        }
        user.over.store(true, Ordering::Relaxed);
    });
    wait_longer(20, "the leg is out", || {
        rig.mount.read("m/health").starts_with("degraded")
    });
    rig.fragile[0].repair();
    rig.goes_on(20);
    let calls = user.calls.load(Ordering::Relaxed);
    println!(
        "before: KiB, threads, files {before:?}; highest {highest:?}; {calls} rounds in {time:?}"
    );
    assert!(highest.0 < before.0 + 96 * 1024, "{before:?} {highest:?}");
    assert!(
        highest.1 < before.1 + most(Resource::Commands) + 8,
        "{before:?} {highest:?}"
    );
    assert!(highest.2 < before.2 + 64, "{before:?} {highest:?}");
    let longest = rig.end(&[0]);
    println!("the longest wait of a writer while the leg was taken out: {longest:?}");
    assert!(longest < LONGEST, "{longest:?}");
}

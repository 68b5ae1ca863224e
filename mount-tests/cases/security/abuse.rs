//! What one user may use up: each thing has an end, which he is told of, and nobody else
//! notices.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mirrorfs::tree::limits::{LIMITS, Resource as Limited};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{STRANGER, as_user, given};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::engine::no_root;
use crate::lab::mount::{Mount, errno};

pub const CASES: &[Case] = &[
    both("open_files", handles).needing(no_root),
    both("open_files_of_many_users", users).needing(no_root),
    both("polls", pollers).needing(no_root),
    both("bytes", bytes).needing(no_root),
    both("lines_without_an_end", lines).needing(no_root),
];

/// Kibibytes that the daemon may have more, whatever one user does.
const MORE: u64 = 40 * 1024;

/// Files that this process may have open.
const FILES: u64 = 65_536;

/// The most of one thing for one user.
pub fn most(of: Limited) -> usize {
    LIMITS
        .iter()
        .find(|limit| limit.of == of)
        .expect("a limit")
        .each
}

/// Kibibytes of memory that a process has.
pub fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).expect("a number")
}

/// Let this process have many files open, where its limit is lower.
pub fn many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let most = most.max(FILES);
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_err() {
        // Who may not raise the hard limit has to do with it.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to there");
    }
}

/// Open and read files until that is refused, at most so many.
pub fn open_all(path: &Path, most: usize) -> (Vec<File>, Option<Errno>) {
    let mut open = Vec::new();
    let mut text = String::new();
    while open.len() < most {
        let opened = File::open(path).and_then(|mut file| {
            file.read_to_string(&mut text)?;
            Ok(file)
        });
        match opened {
            Ok(file) => open.push(file),
            Err(error) => return (open, Some(errno(&error))),
        }
        text.clear();
    }
    (open, None)
}

fn told(mount: &Mount, words: &str) -> usize {
    mount
        .read("events")
        .lines()
        .filter(|line| line.contains(words))
        .count()
}

fn handles(lab: &Lab) {
    many_files();
    let mount = given(lab, &[]);
    let (pid, most) = (mount.pid(), most(Limited::Handles));
    let before = memory(pid);
    let (open, refused) = as_user(STRANGER, || open_all(&mount.path("help"), most + 100));
    assert_eq!((open.len(), refused), (most, Some(Errno::EMFILE)));
    let now = memory(pid);
    println!("{most} files open and read: {before} KiB before, {now} KiB now");
    assert!(now < before + MORE, "{before} {now}");
    as_user(STRANGER, || {
        assert!(fs::read_dir(&mount.at).is_err_and(|error| errno(&error) == Errno::EMFILE));
        assert!(fs::metadata(mount.path("m0/status")).is_ok());
    });
    let line = format!("user {STRANGER} has {most} open files");
    assert_eq!(told(&mount, &line), 1, "{}", mount.read("events"));
    // Nobody else notices, and he is let in again when he has closed some.
    assert!(mount.read("m0/status").contains("mirror"));
    assert!(as_user(STRANGER + 1, || fs::read(mount.path("help")).is_ok()));
    drop(open);
    assert!(as_user(STRANGER, || fs::read(mount.path("help")).is_ok()));
    mount.write("m0/ctl", "remove");
}

fn users(lab: &Lab) {
    many_files();
    let mount = given(lab, &[]);
    let row = LIMITS
        .iter()
        .find(|limit| limit.of == Limited::Handles)
        .expect("a limit");
    let mut all = Vec::new();
    let mut refused = None;
    for uid in 0..(row.all / row.each) as u32 + 1 {
        let (open, errno) = as_user(STRANGER - uid, || {
            open_all(&mount.path("version"), row.each)
        });
        all.extend(open);
        refused = errno;
    }
    assert_eq!((all.len(), refused), (row.all, Some(Errno::EMFILE)));
    assert_eq!(told(&mount, "the limit for all users"), 1);
    // What is root's nobody takes.
    let (own, refused) = open_all(&mount.path("version"), row.each);
    assert_eq!((own.len(), refused), (row.each, None));
    drop((all, own));
    mount.write("m0/ctl", "remove");
}

fn pollers(lab: &Lab) {
    many_files();
    let mount = given(lab, &[]);
    let most = most(Limited::Pollers);
    let (open, _) = as_user(STRANGER, || open_all(&mount.path("m0/health"), most + 50));
    let wait = |file: &File| {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        poll(&mut fds, PollTimeout::ZERO).expect("a poll");
        fds[0].revents().unwrap_or(PollFlags::empty())
    };
    let refused = || {
        open.iter()
            .filter(|file| wait(file).contains(PollFlags::POLLERR))
            .count()
    };
    // The first poll of a file sets nobody waiting: the kernel asks first, then waits.
    let first = refused();
    assert!(first == 0 || first == 50, "{first}");
    let mut fds: Vec<PollFd<'_>> = open
        .iter()
        .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLPRI))
        .collect();
    poll(&mut fds, PollTimeout::from(300_u16)).expect("a poll");
    let refused = fds.iter().filter(|fd| {
        fd.revents()
            .is_some_and(|got| got.contains(PollFlags::POLLERR))
    });
    // One that answers at once ends the wait before the others are asked to wait.
    assert_eq!(refused.count(), 1);
    assert!(
        told(
            &mount,
            &format!("user {STRANGER} has {most} polls that wait")
        ) >= 1
    );
    drop(fds);
    drop(open);
    mount.write("m0/ctl", "remove");
}

/// Each text another one: of those that are the same there is only one.
fn bytes(lab: &Lab) {
    many_files();
    let mount = given(lab, &["m0/ctl"]);
    // Large enough that a few hundred are too much.
    for number in 0..200 {
        fs::create_dir(mount.path(&format!("{number:0>100}"))).expect("made");
    }
    let (pid, most) = (mount.pid(), most(Limited::Bytes));
    let (before, mut open, mut refused) = (memory(pid), Vec::new(), None);
    while refused.is_none() && open.len() < 2000 {
        // Another text each time.
        mount.write(
            "m0/ctl",
            if open.len() % 2 == 0 {
                "suspend"
            } else {
                "resume"
            },
        );
        let (mut new, errno) = as_user(STRANGER, || open_all(&mount.path("mirrors.json"), 1));
        open.append(&mut new);
        refused = errno;
    }
    let now = memory(pid);
    println!("{} texts: {before} KiB before, {now} KiB now", open.len());
    assert_eq!(refused, Some(Errno::EMFILE));
    assert!(now < before + MORE + most as u64 / 1024, "{before} {now}");
    assert_eq!(told(&mount, "bytes of text"), 1);
    assert!(as_user(STRANGER, || fs::read(mount.path("mirrors.json")).is_err()));
    drop(open);
    assert!(as_user(STRANGER, || fs::read(mount.path("mirrors.json")).is_ok()));
    for name in mount.list(".") {
        let _ = fs::remove_dir(mount.path(&name));
    }
    assert!(!mount.exists("m0"));
}

/// What a delegate writes costs what it is long, and not more.
fn lines(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "m0/table", "new", "m0/persist"]);
    let pid = mount.pid();
    let mib = 1 << 20;
    let narrow = format!(
        "0 8 error\n{}\n",
        format!("1\u{2003}{}\n", ",".repeat(65_000)).repeat(15)
    );
    let targets: String = (0..20_000)
        .map(|n| format!("{} 8 error\n", n * 8))
        .collect();
    for (file, data) in [
        ("m0/ctl", "\n".repeat(mib)),
        ("new", "\n".repeat(mib)),
        ("m0/table", "\n".repeat(mib)),
        ("m0/table", " \n".repeat(mib / 2)),
        ("m0/table", "8\n".repeat(mib / 2)),
        ("m0/table", narrow),
        ("m0/table", targets),
        ("new", ",".repeat(65_000) + "\n"),
        ("new", "/a ".repeat(21_000) + "\n"),
        (
            "new",
            "a,,,,0 8 ".to_string() + &",0 8 x".repeat(10_000) + "\n",
        ),
        ("m0/persist", "\n".repeat(mib)),
    ] {
        let start = (memory(pid), Instant::now());
        let open = as_user(STRANGER, || {
            OpenOptions::new().write(true).open(mount.path(file))
        });
        let written = open.expect("his").write(data.as_bytes());
        let (more, took) = (memory(pid).saturating_sub(start.0), start.1.elapsed());
        let begin: String = data.chars().take(9).collect();
        println!(
            "{} bytes of {begin:?} to {file}: {took:?}, {more} KiB more",
            data.len()
        );
        // A table that ends before what is wrong is one.
        let refused = written.map_or(true, |written| written < data.len());
        assert!(refused, "{begin:?} to {file}");
        assert!(
            took < Duration::from_secs(2),
            "{begin:?} to {file}: {took:?}"
        );
        assert!(more < MORE, "{begin:?} to {file}: {more} KiB");
    }
    let before = memory(pid);
    all_at_once(&mount);
    let now = memory(pid);
    println!("32 writers at once: {before} KiB before, {now} KiB now");
    assert!(now < before + MORE / 2, "{before} {now}");
    assert!(now < 120 * 1024, "{now} KiB");
    mount.write("m0/ctl", "remove");
}

/// As many threads of the daemon as one user may have, each with what takes much memory
/// to refuse: what one thread has used once malloc(3) may keep for ever.
fn all_at_once(mount: &Mount) {
    let table = format!("a,,,,0 8 {}\n", ",0 8 x".repeat(10_000));
    let lines = "\n".repeat(1 << 20);
    let write = || {
        for data in [&table, &lines].into_iter().cycle().take(20) {
            let mut options = OpenOptions::new();
            let open = options.write(true).open(mount.path("new"));
            let written = open.expect("his").write(data.as_bytes());
            written.expect_err("it makes nothing");
        }
    };
    thread::scope(|scope| {
        for _ in 0..most(Limited::Commands) {
            scope.spawn(|| as_user(STRANGER, write));
        }
    });
}

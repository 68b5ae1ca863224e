//! Random calls on random paths by several threads, while mirrors come and go. Each
//! answer is one that the model allows; what is read is whole; who was there all the
//! time is in every list, once.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{AccessFlags, access};

use super::model::{Call, FILES, ROOT, Sort, may};
use super::{seed, time};
use crate::cases::differential::Random;
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::mount::{Mount, errno};

pub const CASES: &[Case] = &[both("any_call", any_call)];

const THREADS: u64 = 4;

/// Mirrors that are there throughout.
const LASTING: &[&str] = &["stay0", "stay1", "stay2"];

/// The longest that a call may take that changes nothing, and one that does.
const QUICK: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_secs(14);

/// A path, and what it is.
struct Target {
    path: PathBuf,
    sort: Sort,
    lasting: bool,
}

/// What one thread does.
struct Caller<'m> {
    lab: &'m Lab,
    mount: &'m Mount,
    random: Random,
    number: u64,
    counts: &'m Mutex<HashMap<String, u64>>,
}

impl Caller<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    /// The name of a mirror that comes and goes.
    fn passing(&mut self) -> String {
        format!("pass{}", self.random.below(6))
    }

    fn target(&mut self) -> Target {
        let target = |name: &str, sort, lasting| Target {
            path: self.mount.at.join(name),
            sort,
            lasting,
        };
        match self.random.below(10) {
            0..4 => {
                let (name, sort) = ROOT[self.random.below(ROOT.len() as u64) as usize];
                target(name, sort, sort != Sort::Nothing)
            }
            4..7 => {
                let mirror = LASTING[self.random.below(LASTING.len() as u64) as usize];
                let (name, sort) = FILES[self.random.below(FILES.len() as u64) as usize];
                target(&format!("{mirror}/{name}"), sort, sort != Sort::Nothing)
            }
            7..9 => {
                let mirror = format!("pass{}", self.random.below(6));
                let (name, sort) = FILES[self.random.below(FILES.len() as u64) as usize];
                target(&format!("{mirror}/{name}"), sort, false)
            }
            _ => {
                let mirror = format!("pass{}", self.random.below(6));
                target(&mirror, Sort::Mirror, false)
            }
        }
    }

    /// Judge what a call came to.
    fn assess<T>(
        &self,
        what: &str,
        call: Call,
        target: &Target,
        start: Instant,
        done: Result<T, Errno>,
    ) -> Option<T> {
        let took = start.elapsed();
        let slow = matches!(
            call,
            Call::Write | Call::Make | Call::Unmake | Call::Rename | Call::Change
        );
        let most = if slow { SLOW } else { QUICK };
        assert!(took < most, "{what} {}: {took:?}", target.path.display());
        let key = match &done {
            Ok(_) => format!("{what}: done"),
            Err(errno) => format!("{what}: {errno:?}"),
        };
        *self
            .counts
            .lock()
            .expect("no panic")
            .entry(key)
            .or_default() += 1;
        done.map_err(|errno| {
            let allowed = may(call, target.sort, target.lasting, errno);
            assert!(allowed, "{what} {}: {errno}", target.path.display());
        })
        .ok()
    }

    fn once(&mut self) {
        let target = self.target();
        match self.random.below(20) {
            0..5 => self.read(&target),
            5..8 => self.write(&target),
            8 => self.stat(&target),
            9 | 10 => self.list(),
            11 => self.change(&target),
            12..15 => self.come_and_go(),
            15 => self.rename(&target),
            16 => self.poll(&target),
            17 => self.lock(&target),
            _ => self.odd(&target),
        }
    }

    fn read(&mut self, target: &Target) {
        let start = Instant::now();
        let opened = File::open(&target.path).map_err(|error| errno(&error));
        let folder = matches!(target.sort, Sort::Folder | Sort::Mirror);
        if folder {
            let read = opened.and_then(|file| {
                let read = file.read_at(&mut [0; 9], 0);
                read.map_err(|error| errno(&error))
            });
            self.assess("read a folder", Call::Read, target, start, read);
            return;
        }
        let Some(mut file) = self.assess("open", Call::Read, target, start, opened) else {
            return;
        };
        if target.path.ends_with("follow") {
            return;
        }
        let (mut text, part) = (Vec::new(), self.random.one_in(3));
        let done = if part {
            (|| {
                // In small pieces it is the same snapshot.
                let mut piece = [0; 7];
                loop {
                    let read = file.read(&mut piece)?;
                    if read == 0 || text.len() > 4096 {
                        return Ok(());
                    }
                    text.extend(&piece[..read]);
                }
            })()
        } else {
            file.read_to_end(&mut text).map(drop)
        };
        let done = done.map_err(|error| errno(&error));
        if self
            .assess("read", Call::Read, target, Instant::now(), done)
            .is_some()
        {
            let whole = text.last() == Some(&b'\n')
                || part
                || text.is_empty() && target.path.ends_with("events");
            assert!(
                whole,
                "{}: {:?}",
                target.path.display(),
                String::from_utf8_lossy(&text)
            );
            assert!(
                part || String::from_utf8(text).is_ok(),
                "{}",
                target.path.display()
            );
        }
        let again = file.seek(SeekFrom::Start(self.random.below(100))).is_ok()
            && file.read(&mut [0; 64]).is_ok();
        let _ = again;
    }

    fn line(&mut self) -> String {
        let (one, other) = (2 * self.number + 4, 2 * self.number + 5);
        let name = self.passing();
        match self.random.below(12) {
            0 => format!(
                "{name}: 0 64 mirror core 2 8 nosync 2 {} 0 {} 0",
                self.lab.disk(one as usize),
                self.lab.disk(other as usize)
            ),
            1 => "resume".into(),
            2 => "yes".into(),
            3 => "drop".into(),
            4 => "50".into(),
            5 => "".into(),
            6 => "\u{2003}".into(),
            7 => "x".repeat(self.random.below(5000) as usize),
            8 => "0 64 error".into(),
            9 => format!("{name}: /no/such /file"),
            10 => "suspend\nresume\nnonsense".into(),
            _ => ",".repeat(self.random.below(300) as usize),
        }
    }

    fn write(&mut self, target: &Target) {
        // What lasts has to stay as it is.
        if target.lasting && target.path.ends_with("table") && target.sort == Sort::Taken {
            return;
        }
        let text = if target.lasting && target.path.ends_with("ctl") {
            "resume\nnonsense".into()
        } else {
            self.line()
        };
        let start = Instant::now();
        let mut options = OpenOptions::new();
        let options = options
            .write(true)
            .read(self.random.one_in(2))
            .append(self.random.one_in(4));
        let opened = options.open(&target.path).map_err(|error| errno(&error));
        if let Some(mut file) = self.assess("open to write", Call::Write, target, start, opened) {
            let start = Instant::now();
            let written = file.write(text.as_bytes()).map_err(|error| errno(&error));
            let written = self.assess("write", Call::Write, target, start, written);
            assert!(written.is_none_or(|written| written <= text.len()));
            let mut answer = String::new();
            let read = file.read_to_string(&mut answer).map(drop);
            assert!(
                answer.is_empty() || answer.ends_with('\n'),
                "{read:?} {answer:?}"
            );
        }
    }

    fn stat(&mut self, target: &Target) {
        let start = Instant::now();
        let stat = fs::symlink_metadata(&target.path).map_err(|error| errno(&error));
        if let Some(stat) = self.assess("stat", Call::Stat, target, start, stat) {
            let folder = matches!(target.sort, Sort::Folder | Sort::Mirror);
            assert_eq!(stat.is_dir(), folder, "{}", target.path.display());
        }
    }

    fn list(&mut self) {
        let target = Target {
            path: self.mount.at.clone(),
            sort: Sort::Folder,
            lasting: true,
        };
        let start = Instant::now();
        let listed = fs::read_dir(&target.path).map_err(|error| errno(&error));
        let Some(entries) = self.assess("list", Call::List, &target, start, listed) else {
            return;
        };
        let mut names = Vec::new();
        let slowly = self.random.one_in(3);
        for entry in entries {
            names.push(entry.expect("an entry").file_name());
            if slowly && self.random.one_in(8) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        for name in LASTING.iter().chain(&["new", "status", "help"]) {
            let times = names.iter().filter(|other| *other == *name).count();
            assert_eq!(times, 1, "{name} in {names:?}");
        }
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len(), "{names:?}");
    }

    fn change(&mut self, target: &Target) {
        let start = Instant::now();
        let done = match self.random.below(3) {
            0 => fs::metadata(&target.path).and_then(|stat| {
                // As it is: what others expect stays.
                fs::set_permissions(
                    &target.path,
                    Permissions::from_mode(stat.permissions().mode()),
                )
            }),
            1 => std::os::unix::fs::chown(&target.path, None, Some(0)),
            _ => OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&target.path)
                .map(drop),
        };
        let done = done.map_err(|error| errno(&error));
        self.assess("change", Call::Change, target, start, done);
    }

    fn come_and_go(&mut self) {
        let name = self.passing();
        let target = Target {
            path: self.mount.at.join(&name),
            sort: Sort::Mirror,
            lasting: false,
        };
        let start = Instant::now();
        if self.random.one_in(2) {
            let made = fs::create_dir(&target.path).map_err(|error| errno(&error));
            self.assess("mkdir", Call::Make, &target, start, made);
        } else {
            let gone = fs::remove_dir(&target.path).map_err(|error| errno(&error));
            self.assess("rmdir", Call::Unmake, &target, start, gone);
        }
    }

    fn rename(&mut self, target: &Target) {
        let from = if self.random.one_in(3) && target.sort != Sort::Mirror {
            target.path.clone()
        } else {
            self.mount.at.join(self.passing())
        };
        let name = match self.random.below(8) {
            0 => "new".into(),
            1 => "a b".into(),
            2 => LASTING[0].into(),
            _ => self.passing(),
        };
        if from == self.mount.at.join(".") || from == self.mount.at {
            return;
        }
        let to = self.mount.at.join(name);
        let flags = self.pick(&[
            RenameFlags::empty(),
            RenameFlags::empty(),
            RenameFlags::RENAME_NOREPLACE,
            RenameFlags::RENAME_EXCHANGE,
            RenameFlags::RENAME_WHITEOUT,
        ]);
        let lasting = LASTING.iter().any(|stay| from == self.mount.at.join(stay));
        if lasting {
            return;
        }
        let odd = flags.intersects(RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_WHITEOUT);
        let start = Instant::now();
        let done = renameat2(AT_FDCWD, &from, AT_FDCWD, &to, flags);
        // The kernel itself takes a name for what it is already.
        assert!(!odd || done.is_err() || from == to, "{flags:?} was done");
        let target = Target {
            path: from,
            sort: Sort::Mirror,
            lasting: false,
        };
        self.assess("rename", Call::Rename, &target, start, done);
    }

    fn poll(&mut self, target: &Target) {
        let Ok(mut file) = File::open(&target.path) else {
            return;
        };
        let _ = file.read(&mut [0; 16]);
        let mut fds = [PollFd::new(
            file.as_fd(),
            PollFlags::POLLPRI | PollFlags::POLLIN,
        )];
        let start = Instant::now();
        let wait = self.random.below(50) as u16;
        poll(&mut fds, PollTimeout::from(wait)).expect("a poll");
        assert!(start.elapsed() < QUICK, "{}", target.path.display());
    }

    fn lock(&mut self, target: &Target) {
        let Ok(file) = File::open(&target.path) else {
            return;
        };
        let how = self.pick(&[
            FlockArg::LockExclusiveNonblock,
            FlockArg::LockSharedNonblock,
            FlockArg::LockExclusive,
        ]);
        let start = Instant::now();
        let locked = Flock::lock(file, how);
        assert!(start.elapsed() < QUICK, "{}", target.path.display());
        if let Err((_, errno)) = locked {
            let gone = !target.lasting && [Errno::ENODEV, Errno::ENOENT].contains(&errno);
            assert!(
                errno == Errno::EWOULDBLOCK || gone,
                "{}: {errno}",
                target.path.display()
            );
        }
    }

    fn odd(&mut self, target: &Target) {
        let start = Instant::now();
        let beside = self.mount.at.join("odd");
        let done = match self.random.below(7) {
            0 => fs::hard_link(&target.path, &beside).map_err(|error| errno(&error)),
            1 => symlink("x", &beside).map_err(|error| errno(&error)),
            2 => mknod(&beside, SFlag::S_IFIFO, Mode::S_IRUSR, 0),
            3 if target.sort != Sort::Mirror => {
                fs::remove_file(&target.path).map_err(|error| errno(&error))
            }
            4 => File::create(&beside)
                .map(drop)
                .map_err(|error| errno(&error)),
            5 => access(&target.path, AccessFlags::R_OK).map(drop),
            _ => nix::sys::statfs::statfs(&target.path).map(drop),
        };
        self.assess("odd", Call::Other, target, start, done);
        assert!(fs::symlink_metadata(&beside).is_err());
    }
}

fn any_call(lab: &Lab) {
    let (seed, start) = (seed(), Instant::now());
    println!("MIRRORFS_SEED={seed}");
    let mount = lab.mount();
    mount.write("new", &format!("{}: {}", LASTING[0], lab.equal(0, 1)));
    for name in &LASTING[1..] {
        fs::create_dir(mount.path(name)).expect("made");
    }
    let counts = Mutex::default();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let mut caller = Caller {
                lab,
                mount: &mount,
                random: Random::new(seed + number),
                number,
                counts: &counts,
            };
            scope.spawn(move || {
                while start.elapsed() < time() {
                    caller.once();
                }
            });
        }
    });
    let counts = counts.into_inner().expect("no panic");
    let all: u64 = counts.values().sum();
    let mut lines: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    lines.sort();
    println!("{all} calls: {}", lines.join(", "));
    for call in ["open", "read", "write", "list", "mkdir", "rmdir", "rename"] {
        assert!(
            counts.contains_key(&format!("{call}: done")),
            "no {call} was ever done"
        );
    }
    assert!(mount.read("version").starts_with("mirrorfs "));
    for name in mount.list(".") {
        let _ = fs::remove_dir(mount.path(&name));
    }
    assert!(!mount.exists(LASTING[0]));
}

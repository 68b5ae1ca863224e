//! Where it is measured: a mount of mirrorfs, disks in memory, and what is run beside.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::sample::until;

/// What holds for all subjects.
pub struct Setting {
    /// Fewer rounds, and smaller.
    pub short: bool,
    /// The mirrorfs that is measured.
    pub command: PathBuf,
    /// A folder on the disk that is to be measured.
    pub folder: PathBuf,
    /// An unpacked LVM.
    pub lvm: Option<PathBuf>,
}

impl Setting {
    /// A mount on this engine, with its own folder in that one.
    pub fn mount(&self, engine: &str, folder: &Path) -> Mount {
        Mount::new(&self.command, engine, folder)
    }

    /// How often something is done: a number, or far fewer.
    pub fn rounds(&self, many: usize) -> usize {
        if self.short { 2 } else { many }
    }

    /// How many of something there are.
    pub fn of(&self, all: &[usize]) -> Vec<usize> {
        let most = if self.short { 20 } else { usize::MAX };
        all.iter().copied().filter(|many| *many <= most).collect()
    }
}

/// Why the kernel's device-mapper cannot be measured here.
pub fn lacks_kernel(_: &Setting) -> Option<&'static str> {
    let missing = || "no dm-mirror in this kernel: `mount-tests/bench --vm` has one";
    let there = attempt("dmsetup targets 2>/dev/null | grep -q ^mirror").0 == 0;
    (!there).then(missing)
}

/// The exit status of a command line and what it prints.
pub fn attempt(line: &str) -> (i32, String) {
    let result = Command::new("bash")
        .args(["-c", line])
        .output()
        .expect("bash runs");
    let text = String::from_utf8_lossy(&[result.stdout, result.stderr].concat()).into_owned();
    (result.status.code().unwrap_or(-1), text)
}

/// What a command line prints; panics where it fails.
pub fn run(line: &str) -> String {
    let (status, text) = attempt(line);
    assert!(status == 0, "`{line}` ended with {status}: {text}");
    text
}

/// Run a program without a shell, its output thrown away.
pub fn program(words: &[&str]) {
    let (name, words) = words.split_first().expect("a program");
    let status = Command::new(name)
        .args(words)
        .stdout(Stdio::null())
        .status();
    assert!(
        status.expect("it runs").success(),
        "{name} {words:?} failed"
    );
}

/// Disks in memory, with room for this many sectors each: `/dev/ram0` and so on.
pub fn ram_disks(number: usize, sectors: u64) {
    attempt("rmmod brd");
    run(&format!(
        "modprobe brd rd_nr={number} rd_size={}",
        sectors / 2
    ));
}

/// A mount of mirrorfs; it ends when this is dropped.
pub struct Mount {
    folder: PathBuf,
    child: Child,
}

impl Mount {
    fn new(command: &Path, engine: &str, folder: &Path) -> Mount {
        let folder = folder.join(format!("bench.{}", std::process::id()));
        for name in ["m", "state"] {
            fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        let mut command = Command::new(command);
        command
            .args(["-f", "-q", "-e", engine, "-s"])
            .arg(folder.join("state"))
            .arg(folder.join("m"));
        let child = command.spawn().expect("mirrorfs starts");
        let mount = Mount { folder, child };
        until(Duration::from_secs(60), "a mount", || {
            mount.path("version").exists()
        });
        mount
    }

    /// A file of the tree.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join("m").join(file)
    }

    /// Its folder, for what is to be beside it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Write into a file of the tree, in one write; panics with the reason where it is
    /// refused.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        let open = OpenOptions::new().read(true).write(true).open(&path);
        let mut open = open.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // What takes long goes on by itself.
        let under_way = |error: &std::io::Error| error.raw_os_error() == Some(libc::EINPROGRESS);
        if let Err(error) = open.write(text.as_bytes())
            && !under_way(&error)
        {
            let mut reason = String::new();
            let _ = open.read_to_string(&mut reason);
            panic!("{file}: {text:.200}: {error}: {reason:.500}");
        }
    }

    /// What a file of the tree shows.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Bytes that are in memory of it.
    pub fn memory(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.expect("VmRSS") * 1024.0
    }

    /// Seconds of processor that it has used.
    pub fn processor(&self) -> f64 {
        // Nanoseconds, of each thread: /proc/PID/stat counts in hundredths of a second.
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("threads");
        let used = threads.flatten().filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        });
        used.sum::<f64>() / 1e9
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("it runs")
    }

    /// Wait until a mirror is in sync.
    pub fn in_sync(&self, name: &str, within: Duration) {
        let state = format!("{name}/sync/state");
        until(within, name, || self.read(&state).trim() == "in_sync");
    }

    /// Remove all mirrors.
    pub fn clear(&self) {
        for name in self.names() {
            self.write(&format!("{name}/ctl"), "remove");
        }
    }

    /// The names of all mirrors.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("")).expect("the tree").flatten();
        let folders = names.filter(|name| name.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .map(|name| name.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        attempt(&format!("umount {}", self.path("").display()));
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Open, read to the end and close.
pub fn read_file(path: &Path) -> usize {
    let mut text = Vec::with_capacity(1 << 17);
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

//! After each test nothing may be left: no device, no loop device, no daemon, no
//! mount, no file that nobody asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Lab;
use super::disks::is_disk;
use super::mount::COMMAND;
use super::shell::attempt;
use super::state;

impl Lab {
    /// Clears up, and tells what was left, a line each.
    pub fn nothing_left(&self, name: &str) -> Result<(), Failed> {
        // What ends waits for a disk that has much to write.
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.left();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                self.clear();
                return Err(format!("{name} left behind:\n{left}").into());
            }
            // udev may still hold what has just gone.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn left(&self) -> String {
        let notes = self.notes.lock().expect("no panic").join("\n");
        let machine = if self.is_kernel() {
            [
                found("/sys/block", "dm/name", |_| true),
                found("/sys/block", "loop/backing_file", |_| true),
                found("/proc", "comm", |comm| comm == "mirrorfs\n"),
            ]
            .concat()
        } else {
            // This machine's other devices and daemons are not ours.
            [
                lines("daemon", &self.daemons()),
                lines("loop", &self.loops()),
            ]
            .concat()
        };
        let files: Vec<PathBuf> = entries(self.folder())
            .filter(|path| !is_disk(path))
            .collect();
        let mounts = lines("mount", &self.mounts());
        [notes, machine, mounts, lines("file", &files)].concat()
    }

    /// Whatever there is goes, by force.
    fn clear(&self) {
        if self.is_kernel() {
            for name in state::made() {
                attempt(&format!("timeout 20 dmsetup remove --force {name}"));
            }
        }
        self.kill_daemons();
        for at in self.mounts() {
            attempt(&format!("umount -l {at} || fusermount3 -u -z {at}"));
        }
        for device in self.loops() {
            attempt(&format!("losetup -d {device}"));
        }
    }

    /// They end at once.
    pub fn kill_daemons(&self) {
        for pid in self.daemons() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// The processes that run the command under test, or a copy in the lab.
    pub fn daemons(&self) -> Vec<i32> {
        let ours = |path: &PathBuf| {
            let program = fs::read_link(path.join("exe")).unwrap_or_default();
            // Built anew while it runs, its path ends with ` (deleted)`.
            let built = program.to_string_lossy().starts_with(COMMAND);
            built || program.starts_with(self.folder())
        };
        let number = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
        entries(Path::new("/proc"))
            .filter(ours)
            .filter_map(number)
            .collect()
    }

    /// What is mounted in the lab's folder.
    pub fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours = places.filter(|place| Path::new(place).starts_with(self.folder()));
        ours.map(Into::into).collect()
    }

    /// The loop devices whose files are in the lab's folder.
    pub fn loops(&self) -> Vec<String> {
        let ours = |path: &PathBuf| {
            let file = fs::read_to_string(path.join("loop/backing_file"));
            file.is_ok_and(|file| Path::new(file.trim()).starts_with(self.folder()))
        };
        let devices = entries(Path::new("/sys/block")).filter(ours);
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into());
        devices
            .filter_map(name)
            .map(|name: String| format!("/dev/{name}"))
            .collect()
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.path())
}

fn lines<T: std::fmt::Debug>(what: &str, things: &[T]) -> String {
    let line = |thing| format!("{what} {thing:?}\n");
    things.iter().map(line).collect()
}

/// A line for each entry of `folder` whose file holds what is wanted. Read
/// without starting programs: this is asked after every test.
fn found(folder: &str, file: &str, wanted: fn(&str) -> bool) -> String {
    let line = |path: PathBuf| {
        let text = fs::read_to_string(path.join(file)).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        wanted(&text).then(|| format!("{name} {text}"))
    };
    entries(Path::new(folder)).filter_map(line).collect()
}

//! A mounted mirrorfs with folders of its own, gone when it is dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::engine::Kind;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

use super::shell::{attempt, output};
use super::{Lab, Notes, wait_for, wait_longer};

/// The command under test.
pub const COMMAND: &str = env!("CARGO_BIN_EXE_mirrorfs");

/// A mounted mirrorfs.
pub struct Mount {
    /// Where it is mounted.
    pub at: PathBuf,
    /// The engine below it.
    pub engine: Kind,
    folder: TempDir,
    notes: Notes,
}

impl Mount {
    /// Folders for a mount that is still to come.
    pub fn new(lab: &Lab, engine: Kind) -> Mount {
        Mount::new_in(lab, engine, lab.folder())
    }

    /// The same below a folder of one's own choice.
    pub fn new_in(lab: &Lab, engine: Kind, parent: impl AsRef<Path>) -> Mount {
        let folder = tempfile::tempdir_in(parent).expect("a folder");
        let at = folder.path().join("mnt");
        fs::create_dir(&at).expect("a mountpoint");
        Mount {
            at,
            engine,
            folder,
            notes: Notes::clone(&lab.notes),
        }
    }

    /// Run the command on this mountpoint and state directory, once more or for
    /// the first time.
    pub fn mount(&self, options: &str) {
        output(&self.command(options));
    }

    /// The line that mounts.
    pub fn command(&self, options: &str) -> String {
        format!(
            "{COMMAND} -e {} -s {} {options} {}",
            self.engine,
            self.state().display(),
            self.at.display()
        )
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The folder that goes with the mount.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in a folder that goes with the mount.
    pub fn scratch(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The path of a file of the tree.
    pub fn path(&self, file: &str) -> PathBuf {
        self.at.join(file)
    }

    /// What a file shows.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file))
            .unwrap_or_else(|error| panic!("reading {file}: {error}"))
    }

    /// Write a line, as `echo` does; panics where it is refused.
    pub fn write(&self, file: &str, line: &str) {
        if let Err((errno, reason)) = self.try_write(file, line) {
            panic!("`{line}` to {file}: {errno}: {reason}");
        }
    }

    /// Write a line; the errno, and the reason read on the same descriptor.
    pub fn try_write(&self, file: &str, line: &str) -> Result<String, (Errno, String)> {
        self.try_bytes(file, format!("{line}\n").as_bytes())
    }

    /// Write bytes in one write; what is read afterwards on the descriptor, or
    /// the errno and the reason.
    pub fn try_bytes(&self, file: &str, bytes: &[u8]) -> Result<String, (Errno, String)> {
        let mut open = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(file))
            .map_err(|error| (errno(&error), "open".into()))?;
        let written = open.write(bytes);
        let mut answer = String::new();
        // A verb that removes its own file leaves nothing to read.
        let _ = open.read_to_string(&mut answer);
        written
            .map(|_| answer.clone())
            .map_err(|error| (errno(&error), answer))
    }

    /// Whether a path of the tree is there.
    pub fn exists(&self, file: &str) -> bool {
        fs::symlink_metadata(self.path(file)).is_ok()
    }

    /// The names in a folder of the tree, sorted.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(folder)).expect(folder);
        let mut names: Vec<String> = names
            .map(|name| name.expect("a name").file_name().to_string_lossy().into())
            .collect();
        names.sort();
        names
    }

    /// An open file of the tree.
    pub fn open(&self, file: &str) -> File {
        OpenOptions::new()
            .read(true)
            .open(self.path(file))
            .expect(file)
    }

    /// Wait until a mirror is in sync.
    pub fn wait_in_sync(&self, name: &str) {
        let state = format!("{name}/sync/state");
        wait_longer(30, &format!("{name} in sync"), || {
            self.read(&state) == "in_sync\n"
        });
    }

    /// The daemon's process.
    pub fn pid(&self) -> i32 {
        self.running().expect("a lock with a number")
    }

    fn running(&self) -> Option<i32> {
        let lock = fs::read_to_string(self.state().join("lock"));
        lock.ok()?.lines().next()?.parse().ok()
    }

    /// Unmount, and wait for the daemon's end.
    pub fn stop(&self) {
        let pid = self.pid();
        attempt(&format!("{} 2>&1", unmount(&self.at)));
        ended(pid);
    }

    /// Kill the daemon with a signal, and wait for its end.
    pub fn kill(&self, signal: Signal) {
        let pid = self.pid();
        kill(Pid::from_raw(pid), signal).expect("a daemon");
        ended(pid);
    }

    /// The mirrors of a failed test go before the mount does.
    fn remove_all(&self) {
        for entry in fs::read_dir(&self.at).into_iter().flatten().flatten() {
            if entry.path().join("ctl").exists() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let _ = fs::write(entry.path().join("ctl"), "resume\n");
                let force = match self.engine {
                    Kind::Kernel => format!(" || dmsetup remove -f {name}"),
                    Kind::Embedded => String::new(),
                };
                attempt(&format!(
                    "echo remove >{}/ctl{force}",
                    entry.path().display()
                ));
            }
        }
    }

    /// Of a mount without mirrors nothing stays, once the daemon is gone.
    fn note_state(&self) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.state().exists() && Instant::now() < end {
            sleep(Duration::from_millis(20));
        }
        if self.state().exists() {
            let files = attempt(&format!(
                "cd {} && head -n 99 lock */*",
                self.state().display()
            ))
            .1;
            let note = format!("a state directory after the end, with {files}\n");
            self.notes.lock().expect("no panic").push(note);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let lived = self.at.join("new").exists();
        let pid = self.running();
        self.remove_all();
        attempt(&format!(
            "umount -l {0} || fusermount3 -u -z {0}",
            self.at.display()
        ));
        let lock = self.state().join("lock");
        let doing = || pid.map_or_else(String::new, doing);
        let end = Instant::now() + Duration::from_secs(10);
        while !is_free(&lock) {
            assert!(Instant::now() < end, "the daemon stays: {}", doing());
            sleep(Duration::from_millis(20));
        }
        // A daemon that was killed could not clear up.
        if lived && self.engine == Kind::Embedded {
            self.note_state();
        }
    }
}

/// The line that unmounts, for whoever runs the tests.
pub fn unmount(at: &Path) -> String {
    if Uid::effective().is_root() {
        format!("umount {}", at.display())
    } else {
        format!("fusermount3 -u {}", at.display())
    }
}

/// Wait until a process is gone, or nothing of it is left but its status, for a
/// parent that may take its time.
pub fn ended(pid: i32) {
    wait_for("the daemon ends", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        // Its first thread may end before the others.
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let last = threads.map_or(true, |threads| threads.count() < 2);
        stat.map_or(true, |stat| last && stat.contains(") Z "))
    });
}

/// What the threads of a process do, for who waits for its end in vain.
fn doing(pid: i32) -> String {
    attempt(&format!(
        "for t in /proc/{pid}/task/*; do echo $(cat $t/comm): $(cat $t/wchan); done 2>/dev/null"
    ))
    .1
}

/// Whether nobody holds a lock file; it may be gone.
pub fn is_free(lock: &Path) -> bool {
    let file = File::open(lock);
    file.map_or(true, |file| {
        Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
    })
}

/// The errno of an error of the operating system.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

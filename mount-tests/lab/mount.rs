//! A mounted mirrorfs with folders of its own, gone when it is dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tempfile::TempDir;

use super::shell::{attempt, output};
use super::wait_for;

/// The command under test.
pub const COMMAND: &str = env!("CARGO_BIN_EXE_mirrorfs");

/// A mounted mirrorfs.
pub struct Mount {
    /// Where it is mounted.
    pub at: PathBuf,
    folder: TempDir,
}

impl Mount {
    /// Mount in the background, as a user does.
    pub fn start() -> Mount {
        Mount::with("")
    }

    /// Mount with more options.
    pub fn with(options: &str) -> Mount {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("mnt");
        fs::create_dir(&at).expect("a mountpoint");
        let mount = Mount { at, folder };
        mount.mount(options);
        mount
    }

    /// Run the command on this mountpoint and state directory once more.
    pub fn mount(&self, options: &str) {
        output(&self.command(options));
    }

    /// The line that mounts.
    pub fn command(&self, options: &str) -> String {
        let state = self.folder.path().join("state");
        format!(
            "{COMMAND} -s {} {options} {}",
            state.display(),
            self.at.display()
        )
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
        wait_for(&format!("{name} in sync"), || {
            self.read(&state) == "in_sync\n"
        });
    }

    /// The daemon's process.
    pub fn pid(&self) -> i32 {
        let lock = Path::new(&self.scratch("state")).join("lock");
        fs::read_to_string(lock)
            .expect("a lock")
            .trim()
            .parse()
            .expect("a number")
    }

    /// Unmount, and wait for the daemon's end.
    pub fn stop(&self) {
        attempt(&format!("umount {} 2>&1", self.at.display()));
        let daemon = format!("/proc/{}", self.pid());
        wait_for("the daemon ends", || !Path::new(&daemon).exists());
    }
}

impl Drop for Mount {
    /// A failed test leaves its mirrors: they go before the mount does.
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.at).into_iter().flatten().flatten() {
            if entry.path().join("ctl").exists() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let _ = fs::write(entry.path().join("ctl"), "resume\n");
                attempt(&format!(
                    "echo remove >{0}/ctl || dmsetup remove -f {name}",
                    entry.path().display()
                ));
            }
        }
        attempt(&format!("umount -l {}", self.at.display()));
        wait_for("the lock is free", || {
            let lock = Path::new(&self.scratch("state")).join("lock");
            !lock.exists() || attempt(&format!("flock -n {} true", lock.display())).0 == 0
        });
    }
}

/// The errno of an error of the operating system.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

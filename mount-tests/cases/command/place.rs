//! Where the command is tried: folders of its own, and lines that name them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::lab::Lab;
use crate::lab::mount::{COMMAND, ended, is_free, unmount};
use crate::lab::shell::{attempt, output};
use crate::lab::wait_for;

/// A folder to mount on and one for the state, not mounted yet.
pub struct Place<'a> {
    lab: &'a Lab,
    pub folder: tempfile::TempDir,
}

impl<'a> Place<'a> {
    pub fn new(lab: &'a Lab) -> Place<'a> {
        let folder = tempfile::tempdir_in(lab.folder()).expect("a folder");
        fs::create_dir(folder.path().join("mnt")).expect("a mountpoint");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("open to all");
        Place { lab, folder }
    }

    /// Put the paths into a line: `{m}` mirrorfs with a state directory, `{b}`
    /// without, `{p}` the mountpoint, `{t}` the folder, `{u}` what unmounts.
    pub fn fill(&self, line: &str) -> String {
        let folder = self.folder.path().display().to_string();
        // The kernel's engine is the default.
        let engine = if self.lab.is_kernel() {
            ""
        } else {
            " -e embedded"
        };
        line.replace("{m}", &format!("{{b}} -s {folder}/state"))
            .replace("{b}", &format!("{COMMAND}{engine}"))
            .replace("{u}", &unmount(&self.folder.path().join("mnt")))
            .replace("{p}", &format!("{folder}/mnt"))
            .replace("{t}", &folder)
    }

    pub fn run(&self, line: &str) -> String {
        output(&self.fill(line))
    }

    pub fn is_mounted(&self) -> bool {
        attempt(&self.fill("mountpoint -q {p}")).0 == 0
    }

    /// The process that holds the state directory.
    pub fn pid(&self) -> i32 {
        let pid = self.run("head -n 1 {t}/state/lock");
        pid.trim().parse().expect("a number")
    }

    pub fn unmount(&self) {
        let pid = self.pid();
        self.run("{u}");
        ended(pid);
        self.assert_nothing_stays();
    }

    /// The state directory was made for the mount, and no mirror needs it.
    pub fn assert_nothing_stays(&self) {
        let state = self.folder.path().join("state");
        assert!(
            self.lab.is_kernel() || !state.exists(),
            "{} stays",
            state.display()
        );
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        attempt(&self.fill("mountpoint -q {p} && { umount -l {p} || fusermount3 -u -z {p}; }"));
        let lock = self.folder.path().join("state/lock");
        wait_for("the lock is free", || is_free(&lock));
    }
}

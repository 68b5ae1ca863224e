//! Devices of device-mapper that a test makes beside mirrorfs. Programs are
//! started without a shell between: in the guest each start costs.

use std::process::Command;

use super::Lab;
use super::mount::Mount;

/// What a program prints; panics where it fails.
pub fn run(program: &str, words: &[&str]) -> String {
    let result = Command::new(program).args(words).output().expect(program);
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    let error = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(
        result.status.success(),
        "{program} {words:?}: {text}{error}"
    );
    text
}

/// What `dmsetup` prints for these words, none of which has a space in it.
pub fn dm(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    run("dmsetup", &words)
}

/// `dmsetup create`; the UUID may be empty.
pub fn create(name: &str, uuid: &str, table: &str) {
    let mut words = vec!["create", name, "--table", table];
    if !uuid.is_empty() {
        words.extend(["--uuid", uuid]);
    }
    run("dmsetup", &words);
}

/// The same of [`reload`], without waiting for udev.
pub fn switch(name: &str, table: &str) {
    run("dmsetup", &["reload", name, "--table", table]);
    dm(&format!("resume --noudevsync {name}"));
}

/// `dmsetup` loads another table and switches to it.
pub fn reload(name: &str, table: &str) {
    run("dmsetup", &["reload", name, "--table", table]);
    dm(&format!("resume {name}"));
}

impl Lab {
    /// Another program switches a mirror to another table; where there is none
    /// that could, the mount is asked.
    pub fn reload(&self, mount: &Mount, name: &str, table: &str) {
        if self.is_kernel() {
            reload(name, table)
        } else {
            mount.write(&format!("{name}/table"), table)
        }
    }

    /// The same of `suspend` and `resume`.
    pub fn verb(&self, mount: &Mount, name: &str, verb: &str) {
        if self.is_kernel() {
            drop(dm(&format!("{verb} {name}")))
        } else {
            mount.write(&format!("{name}/ctl"), verb)
        }
    }
}

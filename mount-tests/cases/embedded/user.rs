//! An ordinary user: no root, no device-mapper, nothing installed, and nothing
//! left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::Uid;

use crate::lab::case::{Case, embedded_only};
use crate::lab::disklog::DiskLog;
use crate::lab::disks::MIB;
use crate::lab::mount::{COMMAND, ended};
use crate::lab::shell::attempt;
use crate::lab::{Lab, long, wait_for, wait_longer};

pub const CASES: &[Case] = &[embedded_only(
    "mirrors_a_file",
    "device-mapper needs root",
    mirrors_a_file,
)];

/// Nobody, where root runs the tests.
const NOBODY: u32 = 65_534;

/// Somebody without rights, with a home.
struct User<'a> {
    lab: &'a Lab,
    home: PathBuf,
}

impl<'a> User<'a> {
    fn new(lab: &'a Lab) -> User<'a> {
        let home = lab.path("home");
        fs::create_dir(&home).expect("a home");
        // Where it was built others may have no business.
        let program = lab.path("mirrorfs");
        fs::copy(COMMAND, &program).expect("a copy");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("for all");
        if Uid::effective().is_root() {
            chown(&home, Some(NOBODY), Some(NOBODY)).expect("theirs");
        }
        User { lab, home }
    }

    /// Run a line of shell in the home; what it ends with and prints.
    fn attempt(&self, line: &str) -> (i32, String) {
        let (home, program) = (self.home.display(), self.lab.path("mirrorfs"));
        let other = if Uid::effective().is_root() {
            format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups")
        } else {
            String::new()
        };
        let line = line.replace("{m}", &format!("{} -e embedded", program.display()));
        attempt(&format!(
            "cd {home} && {other} env HOME={home} XDG_STATE_HOME={home}/.local/state bash -c '{line}'"
        ))
    }

    /// The same; panics where it fails.
    fn run(&self, line: &str) -> String {
        let (status, text) = self.attempt(line);
        assert_eq!(status, 0, "`{line}`: {text}");
        text
    }

    /// Every file there is, but not what is mounted.
    fn files(&self) -> Vec<String> {
        let found = self.run("find . -mindepth 1 -xdev | sort");
        found.lines().map(Into::into).collect()
    }

    /// The number that a file shows.
    fn number(&self, file: &str) -> u64 {
        let text = self.run(&format!("cat {file}"));
        text.trim().parse().expect("a number")
    }
}

fn mirrors_a_file(lab: &Lab) {
    let size = if long() { 1024 } else { 256 } * MIB;
    let user = User::new(lab);
    user.run(&format!(
        "mkdir mnt && head -c {size} /dev/urandom >source && truncate -s {size} target"
    ));
    let before = user.files();
    user.run("{m} mnt");
    let pid = user.number(".local/state/mirrorfs/lock | head -n 1");
    let home = user.home.display();
    let (sectors, log) = (size / 512, format!("{home}/log"));
    user.run("echo 1 >mnt/throttle");
    user.run(&format!(
        "echo m: 0 {sectors} mirror disk 2 {log} 128 2 {home}/source 0 {home}/target 0 1 handle_errors >mnt/new"
    ));
    watch(&user, size / 65_536);
    user.run("echo 100 >mnt/throttle; echo resume >mnt/m/ctl");
    wait_longer(60, "it is in sync", || {
        user.run("cat mnt/m/sync/state") == "in_sync\n"
    });
    let progress = user.run("cat mnt/m/progress");
    assert!(progress.starts_with("100.00% "), "{progress}");
    assert!(progress.ends_with(", in sync\n"), "{progress}");
    user.run("cmp source target");
    assert!(user.run("cat mnt/m/health").starts_with("ok\n"));
    user.run("echo remove >mnt/m/ctl && fusermount3 -u mnt");
    ended(pid as i32);
    assert_eq!(user.files(), before);
    user.run("cmp source target");
    fs::remove_dir_all(&user.home).expect("removed");
    fs::remove_file(lab.path("mirrorfs")).expect("removed");
}

/// The copy is seen to go on, stops at once when it is suspended, and does not go
/// on by itself.
fn watch(user: &User<'_>, total: u64) {
    wait_for("something is copied", || {
        user.number("mnt/m/sync/regions_done") > 0
    });
    let progress = user.run("cat mnt/m/progress");
    assert!(
        progress.contains(&format!("/{total} regions, ")) && !progress.starts_with("100"),
        "{progress}"
    );
    user.run("echo suspend >mnt/m/ctl");
    let what = || {
        let done = user.number("mnt/m/sync/regions_done");
        (done, user.run("md5sum target; stat -c %b target"))
    };
    let then = what();
    sleep(Duration::from_secs(2));
    assert_eq!(what(), then, "it copies while it is suspended");
    assert!(then.0 > 0 && then.0 < total, "{} of {total}", then.0);
    assert!(user.run("cat mnt/health").starts_with("suspended\n"));
    let log = DiskLog::read(&format!("{}/log", user.home.display()));
    assert_eq!(log.clean().len() as u64, then.0, "clean in the log");
}

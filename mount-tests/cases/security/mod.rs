//! Who may do what: the attacks that `docs/security.md` has a row for. Each would come
//! to what it wants if its guard were not there.

pub mod abuse;
pub mod daily;
pub mod devices;
pub mod once;
pub mod opened;
pub mod rows;
pub mod worst;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only};
use crate::lab::disks::MIB;
use crate::lab::mount::Mount;
use crate::lab::shell::{attempt, output};

pub const CASES: &[Case] = &[embedded_only(
    "the_page_and_the_tests_agree",
    "it mounts nothing",
    agree,
)];

/// Each row of `docs/security.md` names a test that there is, and each test has a row.
fn agree(_: &Lab) {
    let page = fs::read_to_string("docs/security.md").expect("the page");
    let cells = page
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let named: BTreeSet<String> = cells.map(|(_, test)| test.to_string()).collect();
    let tests = crate::cases::all()
        .into_iter()
        .filter(|(file, _)| file.starts_with("security_"));
    let tests: BTreeSet<String> = tests
        .map(|(file, case)| format!("{file}::{}", case.name))
        .collect();
    assert_eq!(named, tests);
}

/// A user who is nobody's in particular.
pub const STRANGER: u32 = 65_534;

/// What a stranger's shell says to a line; he works in the mount.
pub fn stranger(mount: &Mount, line: &str) -> (i32, String) {
    let at = mount.at.display();
    let line = line.replace('\'', "'\\''");
    attempt(&format!(
        "cd {at} && setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups bash -c '{line}' 2>&1"
    ))
}

/// Do something as another user sees it and may do it: a thread of his (setfsuid(2)), whose
/// open files this process keeps.
pub fn as_user<T: Send>(uid: u32, what: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setfsgid(Gid::from_raw(uid));
            setfsuid(Uid::from_raw(uid));
            what()
        });
        thread.join().expect("no panic")
    })
}

/// A mount whose folder anybody may pass, with a mirror `m0` of two disks whose files a
/// stranger was given: as many as are named.
pub fn given(lab: &Lab, files: &[&str]) -> Mount {
    let mount = lab.mount();
    let folder = mount.at.parent().expect("a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("open to all");
    mount.write("new", &format!("m0: {}", lab.equal(0, 1)));
    for file in files {
        output(&format!("chown {STRANGER} {}", mount.path(file).display()));
    }
    mount
}

/// A file of root's that nobody else may touch, and what is in it.
pub fn secret(folder: &Path, name: &str) -> (String, Vec<u8>) {
    let path = folder.join(name);
    let bytes = vec![0x5a; MIB as usize];
    fs::write(&path, &bytes).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("root's alone");
    (path.display().to_string(), bytes)
}

/// Each file of a mount, links aside.
pub fn files(mount: &Mount) -> Vec<String> {
    let mut found = Vec::new();
    files_below(mount, ".", &mut found);
    found
}

fn files_below(mount: &Mount, folder: &str, found: &mut Vec<String>) {
    for name in mount.list(folder) {
        let path = format!("{folder}/{name}");
        let stat = fs::symlink_metadata(mount.path(&path)).expect("an entry");
        match stat.is_dir() {
            true => files_below(mount, &path, found),
            false if stat.is_file() => found.push(path),
            false => {}
        }
    }
}

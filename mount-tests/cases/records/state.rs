//! State directories that are full, read-only, or in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::{away, lasting, records, refused};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::engine::no_root;
use crate::lab::mount::{Mount, is_free, unmount};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("full", full).needing(no_root),
    both("read_only", read_only).needing(no_root),
    both("somebody_else_s", somebody_else).needing(no_root),
    both("any_umask", umasks),
    both("what_may_be_a_record", doubted).needing(no_root),
    both("a_relative_one", relative),
    kernel_only("one_daemon", "each has its own", one_daemon),
    kernel_only(
        "in_memory_nothing_persists",
        "a mirror of the embedded engine ends with its daemon anyhow",
        in_memory,
    ),
];

/// A file system of its own for the state directory.
fn own_state(mount: &Mount) -> Undo {
    let state = mount.state().display().to_string();
    fs::create_dir(mount.state()).expect("a folder");
    output(&format!("mount -t tmpfs -o size=64k,mode=700 none {state}"));
    Undo(format!("umount -l {state}"))
}

fn full(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let filler = mount.state().join("filler").display().to_string();
    output(&format!(
        "dd if=/dev/zero of={filler} bs=1k 2>/dev/null || true"
    ));
    mount.stop();
    mount.mount("");
    assert!(mount.exists("m"), "{}", mount.read("events"));
    let wanted = format!("n: {}", lab.equal(2, 3));
    refused(mount.try_write("new", &wanted), Errno::ENOSPC, "record");
    assert!(!mount.exists("n"));
    assert_eq!(records(&mount).len(), 1);
    fs::remove_file(filler).expect("removed");
    mount.write("new", &wanted);
    mount.write("n/ctl", "remove");
    mount.write("m/ctl", "remove");
    mount.stop();
}

fn read_only(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount.stop();
    let state = mount.state().display().to_string();
    output(&format!("mount -o remount,ro {state}"));
    mount.mount("");
    assert!(mount.exists("m"), "{}", mount.read("events"));
    assert!(mount.read("m/health").starts_with("ok\n"));
    let wanted = format!("n: {}", lab.equal(2, 3));
    refused(mount.try_write("new", &wanted), Errno::EROFS, "record");
    // A second daemon is kept out all the same.
    let second = mount.command("").replace("/mnt", "");
    let (status, said) = attempt(&second);
    assert!(
        status != 0 && said.contains("another mirrorfs"),
        "{status} {said}"
    );
    output(&format!("mount -o remount,rw {state}"));
    mount.write("m/ctl", "remove");
    mount.stop();
}

fn in_memory(lab: &Lab) {
    let mount = lasting(lab);
    let _state = own_state(&mount);
    mount.mount("");
    let log = mount.scratch("log");
    let (source, target) = (lab.random(0, MIB), lab.disk(1));
    mount.write(
        "new",
        &format!("m: 0 2048 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors"),
    );
    assert_eq!(mount.read("m/persist"), "no\n");
    refused(mount.try_write("m/persist", "yes"), Errno::EINVAL, "");
    assert!(mount.read("events").contains("is in memory"));
    mount.write("m/ctl", "remove");
    mount.stop();
}

/// Who could write there could have any disk written over at the next mount.
fn somebody_else(lab: &Lab) {
    let mount = lasting(lab);
    let base = mount.folder().join("base");
    let state = base.join("above/state");
    let command = |state: &Path| {
        let shown = mount.state().display().to_string();
        mount
            .command("")
            .replace(&shown, &state.display().to_string())
    };
    let refuse = |what: &str, state: &Path, words: &str| {
        let (status, said) = attempt(&command(state));
        assert!(
            status == 1 && said.contains(words),
            "{what}: {status} {said}"
        );
        assert!(!mount.exists("new"), "{what}");
    };
    let take = |what: &str, state: &Path| {
        let (status, said) = attempt(&command(state));
        assert_eq!(status, 0, "{what}: {said}");
        output(&unmount(&mount.at));
        wait_for("its end", || is_free(&state.join("lock")));
    };
    fs::create_dir_all(&state).expect("folders");
    let set = |path: &Path, mode: u32| output(&format!("chmod {mode:o} {}", path.display()));
    let give = |path: &Path, user: u32| output(&format!("chown -h {user} {}", path.display()));
    let link = base.join("link");
    symlink(&state, &link).expect("a link");
    take("as it is", &state);
    take("by a link", &link);
    for (path, name) in [
        (&state, "state"),
        (&base.join("above"), "above"),
        (&base, "base"),
    ] {
        for mode in [0o777, 0o775, 0o757] {
            set(path, mode);
            refuse(name, &state, "can be written by others");
            refuse(name, &state, "chmod go-w");
        }
        set(path, 0o755);
        give(path, 65_534);
        refuse(name, &state, "belongs to user 65534");
        give(path, 0);
    }
    set(&base, 0o1777);
    take("below a sticky folder", &state);
    give(&link, 65_534);
    refuse(
        "another's link in a sticky folder",
        &link,
        "belongs to user 65534",
    );
    set(&base, 0o755);
    // The folders in it too.
    for inner in ["mirrors", "logs"] {
        let inner = state.join(inner);
        fs::create_dir_all(&inner).expect("a folder");
        fs::write(inner.join("file"), "").expect("a file");
        set(&inner, 0o777);
    }
    refuse("the records", &state, "can be written by others");
    output(&format!("rm -r {}", base.display()));
}

/// What is made is for its owner, whatever the umask is.
fn umasks(lab: &Lab) {
    for umask in ["000", "022", "077", "777"] {
        let mount = lasting(lab);
        output(&format!("umask {umask}; {}", mount.command("")));
        let name = format!("u{umask}");
        mount.write(
            "new",
            &format!(
                "{name}: {} {} length=1M sync=no force=yes",
                lab.disk(0),
                lab.disk(1)
            ),
        );
        let state = mount.state().display().to_string();
        let modes = output(&format!(
            "cd {state}; stat -c '%a %n' . lock mirrors mirrors/* logs logs/*"
        ));
        for line in modes.lines() {
            let folder = [".", "mirrors", "logs"]
                .iter()
                .any(|name| line.ends_with(&format!(" {name}")));
            let wanted = if folder { "700 " } else { "600 " };
            assert!(line.starts_with(wanted), "umask {umask}: {modes}");
        }
        mount.write(&format!("{name}/ctl"), "remove");
        mount.stop();
    }
}

/// What may be a record stays where it is, and no log is nobody's meanwhile.
fn doubted(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    mount.write(
        "new",
        &format!(
            "a: {} {} length=1M sync=no force=yes",
            lab.disk(0),
            lab.disk(1)
        ),
    );
    away(&mount, &["a"]);
    let path = records(&mount).remove(0);
    let text = fs::read_to_string(&path).expect("a record");
    let logs = || output(&format!("ls {}/logs", mount.state().display()));
    let log = logs();
    assert!(!log.is_empty());
    let away_with = |what: &str, words: &str, stays: bool| {
        mount.mount("");
        assert!(!mount.exists("a"), "{what}");
        assert!(
            mount.read("events").contains(words),
            "{what}: {}",
            mount.read("events")
        );
        assert_eq!(path.exists(), stays, "{what}");
        assert!(
            output(&format!("ls {}", mount.at.display())).contains("health"),
            "{what}"
        );
        mount.stop();
        assert_eq!(logs(), log, "{what}");
    };
    fs::write(&path, text.replace("\"version\": 2", "\"version\": 3")).expect("written");
    away_with("a newer one", "version 3", true);
    fs::write(&path, &text).expect("written");
    output(&format!("chmod 666 {}", path.display()));
    away_with("one that others could write", "left unchanged", true);
    output(&format!(
        "chmod 600 {0}; mv {0} {0}.real; ln -s {0}.real {0}",
        path.display()
    ));
    away_with("a link", "left unchanged", true);
    output(&format!("rm {0}; mv {0}.real {0}", path.display()));
    for name in ["x/b", ".", "new", "a\\nb", "\\u0000"] {
        fs::write(
            &path,
            text.replace("\"name\": \"a\"", &format!("\"name\": \"{name}\"")),
        )
        .expect("written");
        away_with(name, "kept aside", false);
    }
    // Also at the mount after that.
    mount.mount("");
    mount.stop();
    assert_eq!(logs(), log);
    fs::remove_file(path.with_extension("bad")).expect("removed");
    fs::write(&path, &text).expect("written");
    output(&format!("chmod 600 {}", path.display()));
    mount.mount("");
    if lab.is_kernel() {
        assert!(mount.exists("a"), "{}", mount.read("events"));
    }
    // Two of one name: the second cannot be reached, and stays.
    away(&mount, &["a"]);
    let uuid = path
        .file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let twin = path.with_file_name("Z-twin.json");
    fs::write(&twin, text.replace(&uuid, "Z-twin")).expect("written");
    output(&format!("chmod 600 {}", twin.display()));
    mount.mount("");
    let found = mount
        .list(".")
        .into_iter()
        .filter(|name| name == "a")
        .count();
    assert_eq!(found, 1);
    assert!(
        mount.read("events").contains("has the name a too"),
        "{}",
        mount.read("events")
    );
    fs::remove_file(&twin).expect("it stays");
    mount.write("a/ctl", "remove");
}

/// A relative state directory is that of the shell, also in the foreground.
fn relative(lab: &Lab) {
    let mount = lasting(lab);
    let folder = mount.folder().display().to_string();
    let command = mount
        .command("-f")
        .replace(&mount.state().display().to_string(), "state");
    let log = format!("{folder}/log");
    output(&format!("cd {folder}; {command} >{log} 2>&1 &"));
    wait_for("the mount", || mount.exists("new"));
    mount.write(
        "new",
        &format!(
            "a: {} {} length=1M sync=no force=yes",
            lab.disk(0),
            lab.disk(1)
        ),
    );
    let file = mount.read("a/log/file");
    assert!(file.starts_with(&folder), "{file}");
    mount.write("a/ctl", "remove");
    mount.stop();
}

/// The kernel has one device-mapper, whatever state directories there are.
fn one_daemon(lab: &Lab) {
    let (one, other) = (lab.mount(), Mount::new(lab, lab.engine));
    let (status, said) = attempt(&other.command(""));
    assert_eq!(status, 1, "{said}");
    let process = format!("another mirrorfs (process {})", one.pid());
    assert!(
        said.contains(&process) && said.lines().count() == 1,
        "{said}"
    );
    // One that was killed is no obstacle, nor is one that is about to end.
    one.kill(Signal::SIGKILL);
    other.mount("");
    other.stop();
    output(&format!("umount -l {}", one.at.display()));
    one.mount("");
}

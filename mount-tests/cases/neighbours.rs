//! Other programs beside mirrorfs: what `dmsetup` and LVM do is seen at once,
//! what is theirs stays theirs, and mirrors outlive the daemon.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use mirrorfs::engine::PromptEngine;
use mirrorfs::engine::kernel::Kernel;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::dm::{self, dm, run};
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::{Undo, attempt};
use crate::lab::wait_for;

/// Why most of these are the kernel's.
const DMSETUP: &str = "dmsetup and LVM work on device-mapper";

pub const CASES: &[Case] = &[
    kernel_only("seen_at_once", DMSETUP, seen_at_once),
    kernel_only("heard_by_a_reader", DMSETUP, heard_by_a_reader),
    kernel_only("gone", DMSETUP, gone),
    both("same_name_again", same_name_again),
    kernel_only("swapped_names", DMSETUP, swapped_names),
    kernel_only("controlled", DMSETUP, controlled),
    kernel_only("of_lvm", DMSETUP, of_lvm),
    kernel_only("not_shown", DMSETUP, not_shown),
    kernel_only("adopted", DMSETUP, adopted),
];

/// The errno of reading a file by its path.
pub fn refused(mount: &Mount, file: &str) -> Option<Errno> {
    let read = fs::read_to_string(mount.path(file));
    read.err().map(|error| errno(&error))
}

/// Each thing that `dmsetup` does is there at the very next read.
fn seen_at_once(lab: &Lab) {
    let mount = lab.mount();
    assert_eq!(refused(&mount, "f/status"), Some(Errno::ENOENT));
    dm::create("f", "", &lab.equal(0, 1));
    assert_eq!(mount.read("f/status"), dm("status f"));
    assert_eq!(mount.read("table"), dm("table"));
    assert_eq!(mount.read("f/uuid"), "\n");
    dm("suspend f");
    assert_eq!(mount.read("f/suspended"), "1\n");
    assert_eq!(mount.read("health"), "suspended\nf: suspended\n");
    dm("resume f");
    assert_eq!(mount.read("f/suspended"), "0\n");
    dm("rename f g");
    assert_eq!(mount.read("g/table"), dm("table g"));
    assert_eq!(refused(&mount, "f/status"), Some(Errno::ENOENT));
    assert!(!mount.exists("f") && mount.list("").contains(&"g".into()));
    let three = lab
        .equal(0, 1)
        .replace(" 2 /", " 3 /")
        .replace(" 1 handle", &format!(" {} 0 1 handle", lab.disk(2)));
    dm::reload("g", &three);
    assert_eq!(mount.read("g/table"), dm("table g"));
    assert_eq!(mount.list("g/legs"), ["0", "1", "2"]);
    assert_eq!(mount.read("g/legs/2/health"), "A\n");
    dm::reload("g", &lab.equal(0, 1));
    assert_eq!(refused(&mount, "g/legs/2/health"), Some(Errno::ENOENT));
    dm("remove --retry g");
    assert_eq!(refused(&mount, "g/status"), Some(Errno::ENOENT));
    assert_eq!(mount.read("status"), "");
    // Told as somebody else's doing.
    wait_for("the event", || mount.read("events").contains(" g removed "));
    let events = mount.read("events");
    assert!(
        events.contains(" f created by another program\n"),
        "{events}"
    );
}

/// What the kernel says of a resume is there for whoever asks first, once: also where that
/// is a reader, the watch is woken.
fn heard_by_a_reader(lab: &Lab) {
    let table = format!("0 2048 linear {} 0", lab.disk(0));
    dm::create("plain", "", &table);
    let _gone = Undo("dmsetup remove --retry plain".into());
    attempt("udevadm settle --timeout=20");
    let engine = Kernel::open().expect("device-mapper");
    let listed = engine.list().expect("the devices");
    let plain = listed.iter().find(|device| device.name == "plain");
    let dev = plain.expect("the device").dev;
    engine.arm().expect("to be armed");
    let woken = || {
        let fds = engine.events().into_iter();
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
    };
    assert!(!woken(), "nothing has happened");
    let before = engine.life(dev).expect("a life");
    // Of the same table once more: a switch to another one wakes the poll of events too.
    dm("suspend plain");
    dm("resume --noudevsync plain");
    assert!(engine.life(dev).expect("a life") > before);
    assert!(woken(), "a reader has heard of it, and nobody else");
    engine.arm().expect("to be armed");
    assert!(!woken(), "it was told once");
}

/// A mirror that has just gone: ENOENT by its path, ENODEV by what is open, and
/// soon.
fn gone(lab: &Lab) {
    for uuid in ["", "MIRRORFS-12345678"] {
        let mount = lab.mount();
        dm::create("f", uuid, &lab.equal(0, 1));
        let paths = [
            "f/status",
            "f/table",
            "f/health",
            "f/sync/state",
            "f/legs/0/health",
            "f/log/file",
        ];
        let mut files = paths.map(|path| mount.open(path));
        let mut text = String::new();
        files[0].read_to_string(&mut text).expect("read");
        let ctl = fs::OpenOptions::new()
            .write(true)
            .open(mount.path("f/ctl"))
            .expect("ctl");
        let folder = fs::File::open(mount.path("f")).expect("a folder");
        dm("remove --retry f");
        let start = Instant::now();
        for (file, path) in files.iter_mut().zip(paths) {
            file.seek(SeekFrom::Start(0)).expect("seek");
            let error = file.read_to_string(&mut text).expect_err(path);
            assert_eq!(errno(&error), Errno::ENODEV, "{path}");
            assert_eq!(refused(&mount, path), Some(Errno::ENOENT), "{path}");
        }
        let written = std::io::Write::write(&mut &ctl, b"resume\n").map_err(|error| errno(&error));
        assert_eq!(written, Err(Errno::ENODEV));
        let inside = format!(
            "/proc/self/fd/{}/status",
            std::os::fd::AsRawFd::as_raw_fd(&folder)
        );
        let error = fs::read(inside).map_err(|error| errno(&error)).err();
        assert!(
            matches!(error, Some(Errno::ENODEV | Errno::ENOENT)),
            "{error:?}"
        );
        assert_eq!(
            errno(&fs::create_dir(mount.path("f/x")).expect_err("gone")),
            Errno::ENOENT
        );
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        let (status, said) = attempt(&format!("cat {}", mount.path("f/status").display()));
        assert!(
            status == 1 && said.contains("No such file or directory"),
            "{said}"
        );
    }
}

/// Another mirror under the name of one that went is not mistaken for it.
fn same_name_again(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let mut old = mount.open("m/table");
    let first = mount.read("m/table");
    mount.write("m/ctl", "remove");
    mount.write("new", &format!("m: {}", lab.equal(2, 3)));
    let second = mount.read("m/table");
    assert_ne!(first, second);
    lab.assert_in_sync(&mount, "m", &[&lab.equal(2, 3)]);
    let mut text = String::new();
    let error = old.read_to_string(&mut text).expect_err("gone");
    assert_eq!(errno(&error), Errno::ENODEV, "{text}");
    mount.write("m/ctl", "remove");
}

/// Two mirrors without a UUID that swap their names.
fn swapped_names(lab: &Lab) {
    let mount = lab.mount();
    dm::create("a", "", &lab.equal(0, 1));
    dm::create("b", "", &lab.equal(2, 3));
    let (a, b) = (mount.read("a/table"), mount.read("b/table"));
    for (from, to) in [("a", "x"), ("b", "a"), ("x", "b")] {
        dm(&format!("rename {from} {to}"));
    }
    assert_eq!((mount.read("a/table"), mount.read("b/table")), (b, a));
    assert_eq!(mount.read("table"), dm("table"));
    for name in ["a", "b"] {
        fs::remove_dir(mount.path(name)).expect("removed");
    }
}

/// A mirror of `dmsetup`, without a UUID, is controlled like any other.
fn controlled(lab: &Lab) {
    let mount = lab.mount();
    dm::create("f", "", &lab.equal(0, 1));
    mount.write("f/ctl", "suspend");
    let suspended = |name: &str| dm(&format!("info -c --noheadings -o suspended {name}"));
    assert_eq!(suspended("f"), "Suspended\n");
    mount.write("f/ctl", "resume");
    assert_eq!(suspended("f"), "Active\n");
    mount.write("f/table", &lab.equal(2, 3));
    assert_eq!(mount.read("f/table"), dm("table f"));
    fs::rename(mount.path("f"), mount.path("g")).expect("renamed");
    assert_eq!(dm("info -c --noheadings -o name"), "g\n");
    mount.write("g/ctl", "suspend");
    assert_eq!(suspended("g"), "Suspended\n");
    mount.write("g/ctl", "resume");
    assert!(Path::new("/dev/mapper/g").exists() && !Path::new("/dev/mapper/f").exists());
    fs::remove_dir(mount.path("g")).expect("removed");
    assert_eq!(dm("ls"), "No devices found\n");
}

/// A mirror of LVM can be looked at, by everybody, and not be changed.
fn of_lvm(lab: &Lab) {
    let mount = lab.mount();
    dm::create(
        "vg-pvmove0",
        "LVM-abcdefabcdefabcdefabcdefabcdefab",
        &lab.equal(0, 1),
    );
    let name = "vg-pvmove0";
    let file = |path: &str| format!("{name}/{path}");
    let before = dm(&format!("table {name}")) + &dm(&format!("info -c --noheadings {name}"));
    assert_eq!(mount.read(&file("status")), dm(&format!("status {name}")));
    assert_eq!(
        mount.read(&file("progress")),
        "100.00% 4/4 regions, 1.00/1.00 MiB, in sync\n"
    );
    let writes = [
        ("ctl", "suspend".to_string()),
        ("ctl", "suspend noflush".into()),
        ("ctl", "resume".into()),
        ("ctl", "remove".into()),
        ("ctl", "remove deferred".into()),
        ("table", lab.equal(2, 3)),
    ];
    let last = || {
        let events = mount.read("events");
        events.lines().last().expect("an event").to_string()
    };
    for (path, line) in writes {
        let (errno, reason) = mount.try_write(&file(path), &line).expect_err(&line);
        assert_eq!(errno, Errno::EPERM, "{line}");
        assert!(path != "ctl" || reason.contains("LVM"), "{line}: {reason}");
        assert!(
            last().contains(" vg-pvmove0 error EPERM: ") && last().contains("LVM"),
            "{}",
            last()
        );
    }
    let renamed = fs::rename(mount.path(name), mount.path("mine"));
    assert_eq!(errno(&renamed.expect_err("LVM's")), Errno::EPERM);
    assert!(last().contains("LVM"), "{}", last());
    let removed = fs::remove_dir(mount.path(name));
    assert_eq!(errno(&removed.expect_err("LVM's")), Errno::EPERM);
    assert!(last().contains("LVM"), "{}", last());
    let after = dm(&format!("table {name}")) + &dm(&format!("info -c --noheadings {name}"));
    assert_eq!(before, after);
    // Another user follows it too.
    let folder = mount.at.parent().expect("a folder").display().to_string();
    run("chmod", &["755", &folder]);
    let path = mount.path(&file("progress")).display().to_string();
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let seen = run("setpriv", &[&user[..], &["cat", &path]].concat());
    assert_eq!(seen, mount.read(&file("progress")));
    let ctl = mount.path(&file("ctl")).display().to_string();
    let (status, said) = attempt(&format!("setpriv {} cat {ctl}", user.join(" ")));
    assert!(status != 0 && said.contains("Permission denied"), "{said}");
    dm(&format!("remove --retry {name}"));
}

/// Devices without a mirror target are not there, nor is their name free.
fn not_shown(lab: &Lab) {
    let mount = lab.mount();
    dm::create("plain", "", &format!("0 2048 linear {} 0", lab.disk(0)));
    run("dmsetup", &["create", "bare", "--notable"]);
    for name in ["plain", "bare"] {
        assert!(!mount.exists(name), "{name} is shown");
        let error = fs::create_dir(mount.path(name)).expect_err(name);
        assert_eq!(errno(&error), Errno::EEXIST, "{name}");
        assert_eq!(
            errno(&fs::remove_dir(mount.path(name)).expect_err(name)),
            Errno::ENOENT
        );
    }
    assert_eq!(mount.read("table"), "");
    let files = mount.list("");
    assert!(
        !files.iter().any(|file| file == "plain" || file == "bare"),
        "{files:?}"
    );
    // It becomes a mirror, and is one no more.
    dm::reload("plain", &lab.equal(0, 1));
    assert_eq!(mount.read("plain/table"), dm("table plain"));
    dm::reload("plain", &format!("0 2048 linear {} 0", lab.disk(0)));
    assert!(!mount.exists("plain"), "it is shown");
    for name in ["plain", "bare"] {
        dm(&format!("remove --retry {name}"));
    }
}

/// A mirror that was made while no daemon ran is there when one starts.
fn adopted(lab: &Lab) {
    dm::create("f", "", &lab.equal(0, 1));
    dm::create("own", "MIRRORFS-0123456789", &lab.equal(2, 3));
    let mount = lab.mount();
    assert_eq!(mount.read("table"), dm("table"));
    assert_eq!(mount.read("health"), "ok\nf: ok\nown: ok\n");
    let events = mount.read("events");
    for name in ["f", "own"] {
        assert!(events.contains(&format!(" {name} adopted ")), "{events}");
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

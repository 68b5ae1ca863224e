//! What works every day: copies of files, locks, answers, odd names.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mirrorfs::engine::Kind;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{files, given};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::kernlog::KernelLog;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("a_path_and_its_open_file_are_one", one_number),
    both("cp_and_install", copied),
    both("a_lock_excludes", locked),
    both("done_after_the_end", done),
    both("a_folder_that_changes_while_it_is_read", listed),
    both("names_that_are_none", names),
    both("lines_that_nobody_forges", temporary_nosync),
    kernel_only(
        "no_error_in_the_kernel_s_log",
        "no loop device is used",
        quiet,
    ),
    kernel_only("a_node_that_is_not_there", "there is no device", no_node).needing(no_udev),
];

fn one_number(lab: &Lab) {
    let mount = given(lab, &[]);
    let found = files(&mount);
    assert!(found.len() > 50, "{found:?}");
    let mut numbers = HashMap::new();
    for path in &found {
        let [one, other] = [(); 2].map(|()| fs::metadata(mount.path(path)).expect("a file").ino());
        let open = OpenOptions::new()
            .read(true)
            .open(mount.path(path))
            .expect("a file");
        assert_eq!(
            (one, other),
            (open.metadata().expect("open").ino(), one),
            "{path}"
        );
        let before = numbers.insert(one, path.clone());
        assert_eq!(before, None, "{path}");
    }
    let names = output(&format!("ls -iR {}", mount.at.display()));
    let shown = names
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let shown: Vec<u64> = shown.collect();
    for (number, path) in numbers {
        assert!(
            shown.contains(&number),
            "{path} has {number} and ls shows another"
        );
    }
    mount.write("m0/ctl", "remove");
}

fn copied(lab: &Lab) {
    let mount = given(lab, &[]);
    let (at, to) = (
        mount.at.display(),
        mount.folder().join("copy").display().to_string(),
    );
    for file in [
        "m0/table",
        "m0/ctl",
        "new",
        "m0/status",
        "m0/persist",
        "throttle",
        "help",
    ] {
        for line in [
            format!("cp {at}/{file} {to}"),
            format!("cp -a {at}/{file} {to}"),
            format!("install -m 600 {at}/{file} {to}"),
            format!("rsync -a {at}/{file} {to} 2>/dev/null || cp --sparse=never {at}/{file} {to}"),
        ] {
            let (status, said) = attempt(&format!("rm -f {to}; {line}"));
            assert_eq!((status, said.as_str()), (0, ""), "{line}");
            let copy = fs::read_to_string(&to).expect("a copy");
            assert!(
                line.starts_with("rsync") || copy == mount.read(file),
                "{line}: {copy}"
            );
        }
    }
    mount.write("m0/ctl", "remove");
}

fn locked(lab: &Lab) {
    let mount = given(lab, &[]);
    let at = mount.at.display();
    for file in ["m0/ctl", "new", "m0/status"] {
        let path = format!("{at}/{file}");
        let held = format!(
            "exec 3<{path}; flock -x 3; exec 4<{path}; flock -n 4 && echo both; \
             flock -n {path} true && echo also; flock -u 3; flock -n {path} echo free"
        );
        assert_eq!(output(&format!("{held} || true")), "free\n", "{file}");
        let shared = format!(
            "exec 3<{path}; flock -s 3; flock -sn {path} echo shared; flock -n {path} echo no || true"
        );
        assert_eq!(output(&shared), "shared\n", "{file}");
        // Whoever waits gets it when it is let go, also after seconds.
        let waited = format!(
            "exec 3<{path}; flock 3; (sleep 2.5; echo first) & exec 3<&-; flock {path} echo second; wait"
        );
        assert_eq!(output(&waited), "first\nsecond\n", "{file}");
        assert_eq!(
            attempt(&format!("exec 3<{path}; flock 3; flock -w 0.2 {path} true")).0,
            1,
            "{file}"
        );
    }
    mount.write("m0/ctl", "remove");
}

fn done(lab: &Lab) {
    let mount = given(lab, &[]);
    let answer = mount.try_write("m0/ctl", "remove");
    assert_eq!(answer, Ok("done\n".into()));
    mount.write("new", &format!("m0: {}", lab.equal(0, 1)));
    let line = format!(
        "exec 3<>{}/m0/ctl; echo remove >&3; cat <&3",
        mount.at.display()
    );
    assert_eq!(output(&line), "done\n");
    assert!(!mount.exists("m0"));
}

/// What was there all the time is told of once, whatever comes and goes meanwhile.
fn listed(lab: &Lab) {
    // More than one reading of the folder takes in: 32 KiB of names, and on older kernels,
    // as in the virtual machine, where a device takes its time, 4 KiB.
    let count = match lab.engine {
        Kind::Kernel => 60,
        Kind::Embedded => 320,
    };
    let mount = given(lab, &[]);
    let name = |number: usize| format!("a-mirror-{number:0>100}");
    for number in 0..count {
        fs::create_dir(mount.path(&name(number))).expect("made");
    }
    let mut names = fs::read_dir(&mount.at).expect("the root");
    let mut found: Vec<String> = Vec::new();
    let mut take = |found: &mut Vec<String>, count: usize| {
        let new = names
            .by_ref()
            .take(count)
            .map(|name| name.expect("a name").file_name());
        found.extend(new.map(|name| name.to_string_lossy().into_owned()));
    };
    take(&mut found, 40);
    // Those that were told of go, so that the rest moves up in any list made anew.
    let gone: Vec<String> = found
        .iter()
        .filter(|name| name.starts_with("a-mirror"))
        .cloned()
        .collect();
    for name in gone.iter().take(20) {
        fs::remove_dir(mount.path(name)).expect("removed");
    }
    for number in 0..20 {
        fs::create_dir(mount.path(&format!("new-{number}"))).expect("made");
    }
    take(&mut found, usize::MAX);
    for number in 0..count {
        let name = name(number);
        let times = found.iter().filter(|other| **other == name).count();
        assert_eq!(times, 1, "{name} was told of {times} times");
    }
    for name in mount.list(".") {
        let _ = fs::remove_dir(mount.path(&name));
    }
    assert!(!mount.exists("m0"));
}

fn names(lab: &Lab) {
    let mount = given(lab, &[]);
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"a\xffb"));
    let long = "x".repeat(256);
    let stat = |name: &Path| {
        fs::metadata(mount.at.join(name))
            .map_err(|error| errno(&error))
            .err()
    };
    assert_eq!(stat(odd), Some(Errno::ENOENT));
    assert_eq!(stat(Path::new(&long)), Some(Errno::ENAMETOOLONG));
    assert_eq!(stat(Path::new(&"x".repeat(255))), Some(Errno::ENOENT));
    let made = |name: &Path| {
        fs::create_dir(mount.at.join(name))
            .map_err(|error| errno(&error))
            .err()
    };
    assert_eq!(made(odd), Some(Errno::EINVAL));
    assert_eq!(made(Path::new(&long)), Some(Errno::ENAMETOOLONG));
    for (flags, wanted) in [
        (RenameFlags::RENAME_WHITEOUT, Err(Errno::EINVAL)),
        (RenameFlags::RENAME_NOREPLACE, Ok(())),
    ] {
        let (from, to) = (mount.path("m0"), mount.path("m1"));
        assert_eq!(
            renameat2(AT_FDCWD, &from, AT_FDCWD, &to, flags),
            wanted,
            "{flags:?}"
        );
    }
    mount.write("m1/ctl", "remove");
}

/// A refusal says where a disk is mounted, and anybody may call that folder as he likes.
fn mounted_where_nobody_reads(lab: &Lab, mount: &Mount) {
    if lab.engine != Kind::Kernel {
        return;
    }
    let (disk, other) = (lab.disk(4), lab.disk(5));
    let at = mount.scratch("disk\n2026-01-01T00:00:00.000Z old removed by request");
    output(&format!(
        "mkfs.ext4 -q -F {disk} && mkdir -p '{at}' && mount {disk} '{at}'"
    ));
    let _undo = Undo(format!("umount '{at}'"));
    let refused = mount.try_write("new", &format!("n: {disk} {other} force=yes"));
    assert_eq!(refused.map_err(|(errno, _)| errno), Err(Errno::EBUSY));
}

fn temporary_nosync(lab: &Lab) {
    let mount = given(lab, &[]);
    let before = mount.read("events").lines().count();
    let temporary_nosync = "x\n2026-01-01T00:00:00.000Z old health failed";
    fs::create_dir(mount.path(temporary_nosync)).expect_err("a name with a newline");
    fs::create_dir(mount.path("two words")).expect_err("a name with a space");
    mount
        .try_write("new", &format!("a\u{2028}b: {}", lab.equal(2, 3)))
        .expect_err("a name");
    let file = mount.scratch("line\n2026-01-01T00:00:00.000Z old removed by request");
    fs::write(&file, "x").expect("a file");
    let name = CString::new(file.clone()).expect("a name");
    mount
        .try_write(
            "m0/ctl",
            &format!("add {}", name.to_string_lossy().replace('\n', "\\\n")),
        )
        .expect_err("a newline");
    for odd in ["/dev/a\rb", "/dev/a\u{2028}b", "/dev/a\u{85}b"] {
        mount
            .try_write("m0/ctl", &format!("add {odd}"))
            .expect_err("no such device");
    }
    mounted_where_nobody_reads(lab, &mount);
    let events = mount.read("events");
    let breaks = |c: char| c != '\n' && (c.is_control() || c == '\u{2028}');
    assert!(!events.contains(breaks), "{events:?}");
    let lines: Vec<&str> = events.lines().skip(before).collect();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.get(2), Some(&"error"), "{line}");
        assert!(
            words[0].starts_with("20")
                && words[0].ends_with('Z')
                && !line.starts_with("2026-01-01T00"),
            "{line}"
        );
    }
    // A descriptor that is read slowly never sees half a character.
    let mut open = mount.open("events");
    assert!(open.as_raw_fd() > 0);
    let mut text = String::new();
    open.read_to_string(&mut text).expect("text");
    let mut ctl = OpenOptions::new()
        .write(true)
        .open(mount.path("m0/ctl"))
        .expect("ctl");
    ctl.write_all(b"remove\n").expect("removed");
}

/// Files as legs and logs leave no I/O error in the kernel's log, whatever their file
/// system has.
fn quiet(lab: &Lab) {
    let mount = lab.mount();
    let memory = mount.scratch("memory");
    output(&format!("mkdir {memory} && mount -t tmpfs none {memory}"));
    let _undo = Undo(format!("umount {memory}"));
    let disk = mount.scratch("ext4");
    output(&format!(
        "mkdir {disk} && truncate -s 64M {memory}/image && mkfs.ext4 -q -F {memory}/image && mount -o loop {memory}/image {disk}"
    ));
    let _inner = Undo(format!("umount {disk}"));
    let mut log = KernelLog::from_now();
    // It promises direct I/O where what is below it has none.
    let overlaid = mount.scratch("overlaid");
    output(&format!(
        "mkdir {overlaid} {memory}/lower {memory}/upper {memory}/work && mount -t overlay -o \
         lowerdir={memory}/lower,upperdir={memory}/upper,workdir={memory}/work none {overlaid}"
    ));
    let _above = Undo(format!("umount {overlaid}"));
    for folder in [&memory, &disk, &overlaid] {
        for size in ["1M", "1000K", "1536"] {
            output(&format!(
                "rm -f {folder}/a {folder}/b; head -c {size} /dev/zero | tee {folder}/a >{folder}/b"
            ));
            mount.write("new", &format!("f: {folder}/a {folder}/b"));
            mount.wait_in_sync("f");
            mount.write("f/ctl", "finish");
            if mount.exists("f") {
                mount.write("f/ctl", "remove");
            }
            output(&format!("rm -f {folder}/a {folder}/b"));
            let said = log.said();
            assert!(!said.contains("I/O error"), "{folder} {size}: {said}");
        }
    }
}

/// udev makes the node, and where it does not come to that, `events` says so.
fn no_node(lab: &Lab) {
    let mount = lab.mount();
    output("pkill -STOP udevd");
    let undo = Undo("pkill -CONT udevd".into());
    mount.write("new", &format!("m0: {}", lab.equal(0, 1)));
    let events = mount.read("events");
    assert!(
        events.contains(" m0 set /dev/mapper/m0 does not exist yet"),
        "{events}"
    );
    drop(undo);
    wait_for("the node", || Path::new("/dev/mapper/m0").exists());
    mount.write("new", &format!("m1: {}", lab.equal(2, 3)));
    assert!(!mount.read("events").contains(" m1 set "));
    mount.write("m0/ctl", "remove");
    mount.write("m1/ctl", "remove");
}

fn no_udev() -> Option<&'static str> {
    let missing = attempt("pgrep udevd && test -e /run/udev/control").0 != 0;
    missing.then_some("no udevd runs here")
}

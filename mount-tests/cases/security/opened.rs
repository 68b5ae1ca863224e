//! Rights are those of who opened a file, and they end when they are taken back.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};

use nix::errno::Errno;

use super::{STRANGER, as_user, given, secret, stranger};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::engine::no_root;
use crate::lab::mount::errno;
use crate::lab::shell::{attempt, output};

pub const CASES: &[Case] = &[
    both("a_setuid_program_s_words", setuid).needing(no_root),
    both("what_root_was_handed", handed).needing(no_root),
    both("a_permission_ends", ends).needing(no_root),
    both("who_makes_a_folder_owns_it", owner).needing(no_root),
];

/// A program with root's rights writes what a stranger likes into what he has opened.
fn setuid(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "m0/table", "new"]);
    let (file, bytes) = secret(mount.folder(), "secret");
    let program = mount.folder().join("say").display().to_string();
    output(&format!(
        "cp $(type -P printf) {program} && chmod 4755 {program}"
    ));
    let table = mount.read("m0/table");
    let attacks = [
        (format!("add {file} force=yes"), "m0/ctl"),
        (format!("replace 1 {file} force=yes"), "m0/ctl"),
        (format!("n: {} {file} force=yes", lab.disk(2)), "new"),
        (table.trim().replace(&lab.disk(1), &file), "m0/table"),
    ];
    for (line, to) in attacks.iter().filter(|(line, _)| line.contains(&file)) {
        let (status, said) = stranger(&mount, &format!("{program} '{line}\\n' >{to}"));
        assert!(status != 0, "{line}: {said}");
        let events = mount.read("events");
        let last = events.lines().last().unwrap_or_default();
        assert!(last.contains(" error EACCES: "), "{line}: {last}");
        assert!(fs::read(&file).expect("a file") == bytes, "{line}");
    }
    // The same by root's own hand.
    assert_eq!(mount.read("m0/table"), table);
    mount.write("m0/ctl", &format!("add {file} force=yes"));
    mount.write("m0/ctl", "remove");
}

/// A stranger's open file, written to by root: it is the stranger who asks.
fn handed(lab: &Lab) {
    let mount = given(lab, &["m0/ctl"]);
    let (file, bytes) = secret(mount.folder(), "secret");
    let open = as_user(STRANGER, || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).open(mount.path("m0/ctl"))
    });
    let mut open = open.expect("it was given to him");
    let written = open.write(format!("add {file} force=yes\n").as_bytes());
    let error = written.expect_err("it is not his");
    assert_eq!(errno(&error), Errno::EACCES);
    let mut reason = String::new();
    open.read_to_string(&mut reason).expect("a reason");
    assert!(reason.contains("only the daemon's own user"), "{reason}");
    assert!(fs::read(&file).expect("a file") == bytes);
    mount.write("m0/ctl", "remove");
}

/// Who has a file open for reading cannot open it for writing once he may no more.
fn ends(lab: &Lab) {
    let mount = given(lab, &[]);
    let at = mount.at.display();
    for file in [
        "new",
        "m0/ctl",
        "m0/table",
        "throttle",
        "m0/persist",
        "m0/on_failure",
    ] {
        output(&format!("chmod 666 {at}/{file}"));
        let (status, said) = stranger(&mount, &format!("exec 3<{file}; : >{file} && echo open"));
        assert_eq!((status, said.as_str()), (0, "open\n"), "{file}");
        // He has it open for reading when the permission ends, and asks for more then.
        let pipe = |name: &str| mount.folder().join(name).display().to_string();
        let (open, ended) = (pipe("open"), pipe("ended"));
        output(&format!(
            "rm -f {open} {ended} && mkfifo -m 666 {open} {ended}"
        ));
        let child = format!(
            "exec 3<{file}; echo open >{open}; read line <{ended}; echo suspend >/proc/self/fd/3"
        );
        let (_, said) = attempt(&format!(
            "cd {at}; (timeout 9 head -n 1 {open}; chmod 600 {file}; stat {file}; \
             echo | timeout 9 tee {ended}) >/dev/null & \
             timeout 9 setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups bash -c '{child}' 2>&1; wait"
        ));
        let refused = "/proc/self/fd/3: Permission denied";
        assert!(said.contains(refused), "{file}: {said}");
    }
    assert_eq!(mount.read("m0/suspended"), "0\n");
    mount.write("m0/ctl", "remove");
}

/// In a sticky root each has his own mirrors, and nobody else's.
fn owner(lab: &Lab) {
    let mount = given(lab, &[]);
    let at = mount.at.display();
    output(&format!("chmod 1777 {at}"));
    let (status, said) = stranger(&mount, "mkdir mine && stat -c %u mine mine/ctl mine/table");
    assert_eq!((status, said.as_str()), (0, "65534\n65534\n65534\n"));
    assert_eq!(output(&format!("stat -c %u {at}/mine/status")), "0\n");
    for line in ["rmdir m0", "mv m0 m1", "echo resume >m0/ctl"] {
        assert_ne!(stranger(&mount, line).0, 0, "{line}");
    }
    output(&format!("mkdir {at}/roots"));
    assert_ne!(stranger(&mount, "rmdir roots").0, 0);
    for line in [
        "mv mine also",
        "echo 0 8 error >also/table && false || rmdir also",
    ] {
        let (status, said) = stranger(&mount, line);
        assert_eq!(status, 0, "{line}: {said}");
    }
    assert!(!mount.exists("also"));
    output(&format!("rmdir {at}/roots"));
    mount.write("m0/ctl", "remove");
}

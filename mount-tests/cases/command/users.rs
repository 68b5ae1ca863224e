//! Users other than root: all may look, and act on what root gives away.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::lab::Lab;
use crate::lab::shell::{attempt, output};

pub fn another_user(lab: &Lab) {
    let mount = lab.mount();
    let folder = mount.at.parent().expect("a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("open to all");
    mount.write(
        "new",
        &format!(
            "m0: 0 64 mirror core 1 8 2 {} 0 {} 0",
            lab.disk(0),
            lab.disk(1)
        ),
    );
    let nobody = |line: &str| {
        let line = format!("cd {} && {line}", mount.at.display());
        attempt(&format!(
            "setpriv --reuid=65534 --regid=65534 --clear-groups bash -c '{line}' 2>&1"
        ))
    };
    let (status, text) = nobody(
        "cat status m0/status m0/table m0/health m0/progress m0/legs/0/path events help >/dev/null && ls m0/sync && readlink m0/device",
    );
    assert!(text.starts_with("bad_bytes\n"), "{text}");
    assert!(
        !lab.is_kernel() || status == 0 && text.ends_with("/dev/mapper/m0\n"),
        "{text}"
    );
    for line in [
        "cat new",
        "cat m0/ctl",
        "echo x >new",
        "echo suspend >m0/ctl",
        "echo x >m0/table",
        "echo 50 >throttle",
        "rmdir m0",
        "mkdir m1",
        "mv m0 m1",
        "chmod 666 new",
        "chown nobody m0/ctl",
    ] {
        let (status, text) = nobody(line);
        let denied = ["Permission denied", "Operation not permitted"]
            .iter()
            .any(|words| text.contains(words));
        assert!(status != 0 && denied, "{line}: {status} {text}");
    }
    assert_eq!(mount.read("m0/suspended"), "0\n");
    // Root gives one file away: of that mirror alone.
    mount.write("new", &format!("m1: {}", lab.equal(2, 3)));
    output(&format!(
        "chgrp 65534 {0}/m0/ctl && chmod g+rw {0}/m0/ctl",
        mount.at.display()
    ));
    assert_eq!(
        nobody("echo suspend >m0/ctl && cat m0/suspended && echo resume >m0/ctl").1,
        "1\n"
    );
    assert_ne!(nobody("echo suspend >m1/ctl").0, 0);
    assert_eq!(mount.read("m1/suspended"), "0\n");
    mount.write("m1/ctl", "remove");
    mount.write("m0/ctl", "remove");
}

/// Who was given a mirror was not given every disk: what he names he must be allowed
/// to write himself.
pub fn another_user_s_disks(lab: &Lab) {
    let mount = lab.mount();
    let (file, log) = (mount.scratch("file"), mount.scratch("log"));
    output(&format!("head -c 1M /dev/zero >{file}; chmod 666 {file}"));
    mount.write("new", &format!("m0: {}", lab.equal(0, 1)));
    let at = mount.at.display();
    output(&format!("chown 65534 {at}/m0/ctl {at}/m0/table {at}/new"));
    let nobody = |line: &str, to: &str| {
        attempt(&format!(
            "setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'echo \"{line}\" >{at}/{to}' 2>&1"
        ))
    };
    let disk = lab.disk(4);
    let (before, mut told) = (mount.read("m0/table"), 0);
    let table = lab.equal(0, 1);
    for (line, to) in [
        (format!("add {disk}"), "m0/ctl"),
        (format!("replace 1 {disk}"), "m0/ctl"),
        (format!("add {file}"), "m0/ctl"),
        (table.replace(&lab.disk(1), &disk), "m0/table"),
        (
            table.replace("core 2 512", &format!("disk 3 {log} 512")),
            "m0/table",
        ),
        (format!("n: {disk} {}", lab.disk(5)), "new"),
        (format!("n: {}", lab.equal(4, 5)), "new"),
    ] {
        let (status, text) = nobody(&line, to);
        assert!(
            status != 0 && text.contains("Permission denied"),
            "{line}: {text}"
        );
        assert_eq!(mount.read("m0/table"), before, "{line}");
        told += 1;
        assert_eq!(
            mount.read("events").matches(" EACCES: ").count(),
            told,
            "{line}"
        );
    }
    assert!(!mount.exists("n") && !Path::new(&log).exists());
    if lab.is_kernel() {
        // What is the mirror's already, and what he may write.
        let (status, text) = nobody(table.trim(), "m0/table");
        assert_eq!(status, 0, "{text}");
        output(&format!("chmod 666 {disk}"));
        let (status, text) = nobody(&format!("add {disk}"), "m0/ctl");
        output(&format!("chmod 660 {disk}"));
        assert_eq!(status, 0, "{text}");
        assert_eq!(mount.list("m0/legs").len(), 3);
    }
    mount.write("m0/ctl", "remove");
}

//! Who × what, one after the other: every file for somebody who was given nothing, every
//! verb for who was given `ctl`, and every way to name a device or a file.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;

use mirrorfs::plan::verb::VERBS;
use nix::errno::Errno;

use super::{STRANGER, as_user, files, given, secret, stranger};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::engine::no_root;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::{Undo, output};

pub const CASES: &[Case] = &[
    both("anybody_and_every_file", anybody).needing(no_root),
    both("one_file_given_is_one_file", one_given).needing(no_root),
    both("ctl_and_every_verb", verbs).needing(no_root),
    both("every_way_to_name_something", ways).needing(no_root),
    both("root_names_what_he_likes", root),
];

/// Whether a stranger may open a file for reading, and for writing.
fn opens(mount: &Mount, file: &str) -> [bool; 2] {
    as_user(STRANGER, || {
        let path = mount.path(file);
        let open = |options: &mut OpenOptions| options.open(&path).map_err(|error| errno(&error));
        let (read, write) = (
            open(OpenOptions::new().read(true)),
            open(OpenOptions::new().write(true)),
        );
        for refused in [read.as_ref().err(), write.as_ref().err()]
            .into_iter()
            .flatten()
        {
            assert_eq!(*refused, Errno::EACCES, "{file}");
        }
        [read.is_ok(), write.is_ok()]
    })
}

fn anybody(lab: &Lab) {
    let mount = given(lab, &[]);
    let found = files(&mount);
    for file in &found {
        let secret = file.ends_with("/new") || file.ends_with("/ctl");
        assert_eq!(opens(&mount, file), [!secret, false], "{file}");
        let (status, said) = stranger(
            &mount,
            &format!(
                "chmod 777 {file} || chown {STRANGER} {file} || rm -f {file} || ln -s x {file}.x || truncate -s 0 {file}"
            ),
        );
        assert!(
            status != 0 && !said.contains("Input/output"),
            "{file}: {said}"
        );
    }
    for line in [
        "mkdir x",
        "rmdir m0",
        "mv m0 x",
        "rmdir m0/sync",
        "mknod x p",
        "setfattr -n user.a -v b m0 2>/dev/null",
    ] {
        assert_ne!(stranger(&mount, line).0, 0, "{line}");
    }
    assert!(mount.exists("m0") && !mount.exists("x"));
    mount.write("m0/ctl", "remove");
}

/// Each file that can be written, given to him alone.
fn one_given(lab: &Lab) {
    let mount = given(lab, &[]);
    let written = [
        "new",
        "throttle",
        "m0/table",
        "m0/ctl",
        "m0/persist",
        "m0/on_failure",
    ];
    for file in written {
        output(&format!("chown {STRANGER} {}", mount.path(file).display()));
        for other in written {
            assert_eq!(
                opens(&mount, other)[1],
                other == file,
                "{file} was given, {other} opened"
            );
        }
        output(&format!("chown 0 {}", mount.path(file).display()));
    }
    for (file, line) in [
        ("m0/on_failure", "hold"),
        ("m0/persist", "no"),
        ("throttle", "90"),
    ] {
        output(&format!("chown {STRANGER} {}", mount.path(file).display()));
        let (status, said) = stranger(&mount, &format!("echo {line} >{file}"));
        assert_eq!(
            (status, mount.read(file)),
            (0, format!("{line}\n")),
            "{said}"
        );
    }
    mount.write("throttle", "100");
    mount.write("m0/ctl", "remove");
}

/// A verb that names a device needs it to be his; any other acts on his mirror alone.
fn verbs(lab: &Lab) {
    let mount = given(lab, &["m0/ctl"]);
    let disk = lab.disk(4);
    mount.write("new", &format!("other: {}", lab.equal(2, 3)));
    let other = mount.read("other/table");
    for verb in VERBS {
        let line = match verb.name {
            "add" => format!("add {disk} force=yes"),
            "replace" => format!("replace 1 {disk} force=yes"),
            "drop" => "drop 0 x".into(),
            "grow" => "grow".into(),
            "remove" => continue,
            name => name.into(),
        };
        let before = mount.read("m0/table");
        let (status, said) = stranger(&mount, &format!("echo '{line}' >m0/ctl"));
        match verb.name {
            "add" | "replace" | "grow" => {
                assert!(status != 0 && said.contains("denied"), "{line}: {said}");
                assert_eq!(mount.read("m0/table"), before, "{line}");
            }
            "suspend" => {
                assert_eq!(status, 0, "{line}: {said}");
                assert_eq!(mount.read("m0/suspended"), "1\n");
                assert_eq!(stranger(&mount, "echo resume >m0/ctl").0, 0);
            }
            _ => assert!(!said.contains("denied"), "{line}: {said}"),
        }
        if !mount.read("m0/table").contains("mirror") || mount.read("m0/legs/0/role") != "source\n"
        {
            break;
        }
    }
    assert_eq!(mount.read("other/table"), other);
    if mount.exists("m0") {
        assert_eq!(stranger(&mount, "echo remove >m0/ctl").0, 0);
    }
    mount.write("other/ctl", "remove");
}

/// What a stranger may name is a block device in /dev that he may write himself, whatever
/// leads to it.
fn ways(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "new"]);
    let (file, bytes) = secret(mount.folder(), "secret");
    let own = mount.scratch("own");
    output(&format!(
        "head -c 1M /dev/zero >{own}; chown {STRANGER} {own}; chmod 666 {own}"
    ));
    let links = "/dev/shm/mirrorfs-links";
    output(&format!("mkdir -p {links}; chown {STRANGER} {links}"));
    let _undo = Undo(format!("rm -rf {links}"));
    symlink(&file, format!("{links}/file")).expect("a link");
    symlink(&own, format!("{links}/own")).expect("a link");
    let mut ways = vec![
        file.clone(),
        own.clone(),
        format!("{links}/file"),
        format!("{links}/own"),
        format!("{links}/none"),
        format!("/dev/..{file}"),
        "/dev/fd/0".into(),
        "/dev/stdin".into(),
        "/proc/self/fd/0".into(),
        "/dev/null".into(),
        "/dev/shm".into(),
        "/dev/mapper/control".into(),
        "relative".into(),
        "4095:1048575".into(),
    ];
    if lab.is_kernel() {
        let disk = lab.disk(4);
        symlink(&disk, format!("{links}/disk")).expect("a link");
        let number = output(&format!("stat -c '%Hr:%Lr' {disk}"));
        ways.extend([
            disk,
            format!("{links}/disk"),
            number.trim().into(),
            "/dev/mapper/m0".into(),
        ]);
    }
    let table = mount.read("m0/table");
    for way in ways {
        for (line, to) in [
            (format!("add {way} force=yes"), "m0/ctl"),
            (format!("replace 1 {way} force=yes"), "m0/ctl"),
            (
                format!("n: {way} {way}@1M length=64K log=core force=yes"),
                "new",
            ),
            (
                format!("n: 0 64 mirror core 2 8 nosync 2 {way} 0 {way} 64"),
                "new",
            ),
            (
                format!("n: 0 64 mirror disk 3 {way} 8 nosync 2 {way} 0 {way} 64"),
                "new",
            ),
        ] {
            let (status, said) = stranger(&mount, &format!("echo '{line}' >{to}"));
            assert_ne!(status, 0, "{line}: {said}");
            assert_eq!(mount.read("m0/table"), table, "{line}");
            assert!(!mount.exists("n"), "{line}");
        }
    }
    assert!(fs::read(&file).expect("a file") == bytes);
    assert!(
        fs::read(&own)
            .expect("a file")
            .iter()
            .all(|byte| *byte == 0)
    );
    mount.write("m0/ctl", "remove");
}

/// And root by every name that leads to a device or file, but for what is each process's
/// own.
fn root(lab: &Lab) {
    let mount = given(lab, &[]);
    let link = mount.scratch("link");
    symlink(lab.disk(4), &link).expect("a link");
    let mut ways = vec![lab.disk(4), link];
    if lab.is_kernel() {
        let number = output(&format!("stat -c '%Hr:%Lr' {}", lab.disk(4)));
        ways.push(number.trim().into());
    }
    for way in ways {
        mount.write("m0/ctl", &format!("add {way}@8M"));
        mount.write("m0/ctl", "drop 2");
    }
    for way in ["/dev/fd/0", "/proc/self/fd/3", "/dev/stdin"] {
        let refused = mount.try_write("m0/ctl", &format!("add {way}"));
        let (errno, why) = refused.expect_err(way);
        assert_eq!(errno, Errno::EINVAL, "{way}: {why}");
        assert!(why.contains("each process"), "{why}");
    }
    mount.write("m0/ctl", "remove");
}

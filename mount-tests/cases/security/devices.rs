//! What a caller may name, and what he learns by naming it.

use std::fs;
use std::os::unix::fs::symlink;

use nix::errno::Errno;

use super::{STRANGER, given, secret, stranger};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::engine::no_root;
use crate::lab::shell::{Undo, attempt, output};

pub const CASES: &[Case] = &[
    kernel_only("other_kinds_of_targets", "no other kind is known", kinds),
    kernel_only("what_a_loaded_table_holds", "no other kind is known", held),
    both("a_device_is_one_s_own_by_extent", extent).needing(no_root),
    both("a_path_tells_nothing", tells).needing(no_root),
    both("who_sees_other_files", elsewhere).needing(no_namespaces),
    kernel_only(
        "a_list_that_lets_him",
        "files are nobody else's to name",
        acl,
    ),
];

/// For tests with mounts of their own.
fn no_namespaces() -> Option<&'static str> {
    no_root().or_else(|| {
        let missing = attempt("unshare -m true").0 != 0;
        missing.then_some("this machine gives no mount namespace")
    })
}

/// A kind of target that is not understood maps root's disk.
fn kinds(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "m0/table", "new"]);
    let (disk, table) = (lab.disk(5), mount.read("m0/table"));
    for kind in [
        format!("striped 1 8 {disk} 0"),
        format!("snapshot-origin {disk}"),
        format!("flakey {disk} 0 9 0"),
    ] {
        let two = format!("{},2048 64 {kind}", table.trim());
        for (line, to) in [
            (format!("0 64 {kind}"), "m0/table"),
            (two.clone(), "m0/table"),
            (format!("n,,,,{two}"), "new"),
        ] {
            let (status, said) = stranger(&mount, &format!("echo '{line}' >{to}"));
            assert!(status != 0, "{line}: {said}");
            let events = mount.read("events");
            let last = events.lines().last().unwrap_or_default();
            assert!(last.contains("EPERM"), "{line}: {last}");
            assert_eq!(mount.read("m0/table"), table, "{line}");
        }
    }
    for line in ["0 64 error", "0 64 zero"] {
        let (status, said) = stranger(&mount, &format!("echo '{line}' >m0/table"));
        assert_eq!(status, 0, "{line}: {said}");
        mount.write("m0/table", table.trim());
    }
    mount.write("m0/ctl", "remove");
}

/// Which devices a kind of target names that is not understood, the kernel says: root's
/// tables too get the checks.
fn held(lab: &Lab) {
    let mount = given(lab, &[]);
    let (disk, whole) = (lab.disk(6), lab.disk(7));
    mount.write(
        "new",
        &format!(
            "other: 0 64 mirror core 2 8 nosync 2 {disk} 0 {} 0",
            lab.disk(8)
        ),
    );
    output(&format!(
        "mkfs.ext4 -q -F {whole} 8M; mkdir -p {0} && mount {whole} {0}",
        mount.scratch("fs")
    ));
    let _undo = Undo(format!("umount {}", mount.scratch("fs")));
    let before = (mount.read("m0/table"), output("dmsetup ls | sort"));
    for (device, errno, word) in [
        (disk.as_str(), Errno::EBUSY, "used by the mapping other"),
        (whole.as_str(), Errno::EBUSY, ""),
        ("/dev/mapper/m0", Errno::EINVAL, ""),
    ] {
        let two = format!("{},2048 64 striped 1 8 {device} 0", before.0.trim());
        let (got, why) = mount
            .try_write("m0/ctl", "suspend")
            .and_then(|_| mount.try_write("m0/ctl", "resume"))
            .and_then(|_| mount.try_write("m0/table", &two))
            .expect_err(&two);
        let events = mount.read("events");
        assert!(
            got == errno && events.contains(word),
            "{device}: {got} {why} {events}"
        );
        let one = format!(
            "n,,,,0 64 mirror core 2 8 nosync 2 {0} 0 {0} 64,64 64 striped 1 8 {device} 0",
            lab.disk(5)
        );
        let made = mount.try_write("new", &one);
        if device != "/dev/mapper/m0" {
            assert_eq!(made.map_err(|(errno, _)| errno), Err(Errno::EBUSY), "{one}");
        } else if made.is_ok() {
            mount.write("n/ctl", "remove");
        }
        let after = (mount.read("m0/table"), output("dmsetup ls | sort"));
        assert_eq!(after, before, "{device}");
        assert_eq!(mount.read("m0/suspended"), "0\n");
        assert!(!output("dmsetup info m0").contains("INACTIVE"));
    }
    // One that nobody has is root's to use.
    let free = format!("{},2048 64 striped 1 8 {} 0", before.0.trim(), lab.disk(9));
    mount.write("m0/table", &free);
    mount.write("m0/ctl", "remove");
    mount.write("other/ctl", "remove");
}

/// Of a disk that his mirror has a part of, the rest is root's.
fn extent(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "m0/table"]);
    let table = mount.read("m0/table");
    let (one, other) = (lab.disk(0), lab.disk(1));
    let own = table.trim();
    let sets = [
        own.replace("0 2048 mirror", "0 4096 mirror"),
        own.replace(" 0 1 handle", " 8192 1 handle"),
        own.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
            + &format!(" core 2 512 nosync 2 {one} 4096 {other} 0"),
        format!("0 64 linear {one} 4096"),
        format!("0 2049 linear {one} 0"),
    ];
    for line in sets {
        let (status, said) = stranger(&mount, &format!("echo '{line}' >m0/table"));
        assert!(status != 0 && said.contains("denied"), "{line}: {said}");
        assert_eq!(mount.read("m0/table"), table, "{line}");
    }
    for line in [
        "grow",
        "grow 2M",
        &format!("add {other}@4M"),
        &format!("replace 1 {other}@4M"),
    ] {
        let (status, said) = stranger(&mount, &format!("echo '{line}' >m0/ctl"));
        assert!(status != 0, "{line}: {said}");
        assert_eq!(mount.read("m0/table"), table, "{line}");
        let events = mount.read("events");
        assert!(
            events
                .lines()
                .last()
                .is_some_and(|last| last.contains("EACCES")),
            "{line}: {events}"
        );
    }
    // What is his own he may do with as he likes.
    let (status, said) = stranger(&mount, &format!("echo '{own}' >m0/table"));
    assert_eq!(status, 0, "{said}");
    mount.write("m0/ctl", "grow 2M");
    mount.write("m0/ctl", "remove");
}

/// Whether a file is there that he cannot see is not said.
fn tells(lab: &Lab) {
    let mount = given(lab, &["m0/ctl", "new"]);
    let (file, _) = secret(mount.folder(), "there");
    let hidden = mount.folder().join("hidden");
    fs::create_dir(&hidden).expect("a folder");
    output(&format!("chmod 700 {}", hidden.display()));
    secret(&hidden, "inside");
    let link = "/dev/shm/mirrorfs-link";
    let _undo = Undo(format!("rm -f {link}"));
    let last = || {
        let events = mount.read("events");
        events
            .lines()
            .last()
            .unwrap_or_default()
            .split_once(" error ")
            .map(|(_, text)| text.to_string())
    };
    let pairs = [
        (format!("/dev/..{file}"), "/dev/../no/such/file".to_string()),
        (file.clone(), "/no/such/file".into()),
    ];
    for (there, missing) in &pairs {
        for to in ["add X", "replace 1 X"] {
            let answers = [there, missing].map(|path| {
                stranger(&mount, &format!("echo '{}' >m0/ctl", to.replace('X', path)));
                last().map(|text| text.replace(path.as_str(), "X"))
            });
            assert!(
                answers[0]
                    .as_ref()
                    .is_some_and(|text| text.contains("EACCES")),
                "{answers:?}"
            );
            assert_eq!(answers[0], answers[1], "{there}");
        }
    }
    let inside = ["inside", "outside"].map(|name| {
        let _ = fs::remove_file(link);
        symlink(hidden.join(name), link).expect("a link");
        output(&format!("chown -h {STRANGER} {link}"));
        stranger(&mount, &format!("echo 'n: {link} {link}' >new"));
        last()
    });
    assert!(
        inside[0]
            .as_ref()
            .is_some_and(|text| text.contains("EACCES")),
        "{inside:?}"
    );
    assert_eq!(inside[0], inside[1]);
    mount.write("m0/ctl", "remove");
}

/// Root in a container: a path means another file there.
fn elsewhere(lab: &Lab) {
    let mount = given(lab, &[]);
    let (outer, bytes) = secret(mount.folder(), "outer");
    let (inner, _) = secret(mount.folder(), "inner");
    let at = mount.at.display();
    for line in [
        format!("n: {inner} {outer} force=yes"),
        format!("n: {} {outer} force=yes", lab.disk(2)),
    ] {
        let (status, said) = attempt(&format!(
            "unshare -m bash -c 'mount --bind {inner} {outer} && echo \"{line}\" >{at}/new' 2>&1"
        ));
        assert!(status != 0 && said.contains("denied"), "{line}: {said}");
        let events = mount.read("events");
        assert!(events.contains("sees other files"), "{events}");
        assert!(fs::read(&outer).expect("a file") == bytes);
    }
    // Changed after the opening it is the view of then that counts; and numbers are the
    // same for everybody.
    if lab.is_kernel() {
        let numbers = [2, 3].map(|disk| {
            let stat = output(&format!("stat -c '%Hr:%Lr' {}", lab.disk(disk)));
            stat.trim().to_string()
        });
        output(&format!(
            "unshare -m bash -c 'mount --bind {inner} {outer} && echo \"n: 0 64 mirror core 2 8 nosync 2 {} 0 {} 0\" >{at}/new'",
            numbers[0], numbers[1]
        ));
        mount.write("n/ctl", "remove");
    }
    mount.write("m0/ctl", "remove");
}

/// An access control list is asked as the kernel asks it, and so is each folder on the
/// way.
fn acl(lab: &Lab) {
    let mount = given(lab, &["m0/ctl"]);
    let disk = lab.disk(4);
    let add = format!("echo 'add {disk}' >m0/ctl");
    assert_ne!(stranger(&mount, &add).0, 0);
    let _undo = Undo(format!("setfacl -b {disk} 2>/dev/null; chmod 660 {disk}"));
    if attempt(&format!("setfacl -m u:{STRANGER}:rw {disk}")).0 != 0 {
        output(&format!("chmod 666 {disk}"));
    }
    let (status, said) = stranger(&mount, &add);
    assert_eq!(status, 0, "{said}");
    mount.write("m0/ctl", "remove");
}

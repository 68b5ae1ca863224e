//! What was looked at is what is used: names that lead elsewhere a moment later, hidden
//! and borrowed names, and names that look like something else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{given, secret};
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::mount::COMMAND;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[
    both("a_link_that_flips", flips),
    kernel_only(
        "a_loop_device_of_a_hidden_file",
        "no loop device is used",
        hidden,
    ),
    kernel_only("a_mount_that_borrows_a_name", "needs a device", borrowed),
    both("an_at_in_a_name", at_in_a_name),
    both("a_space_in_a_name", space),
    kernel_only("keys", "no target with keys is known", keys),
];

/// Let a link lead to one and the other until the end.
fn flip(link: &Path, ways: [&Path; 2], over: &AtomicBool) {
    let new = link.with_extension("new");
    while !over.load(Ordering::Relaxed) {
        for way in ways {
            let _ = fs::remove_file(&new);
            symlink(way, &new).expect("a link");
            fs::rename(&new, link).expect("in its place");
        }
    }
}

/// A user's folder leads to a file that is in use, and to one that is free, by turns.
fn flips(lab: &Lab) {
    let mount = given(lab, &[]);
    let (used, before) = secret(mount.folder(), "used");
    let free = mount.scratch("free");
    let source = mount.scratch("source");
    output(&format!(
        "head -c {MIB} /dev/urandom >{source}; cp {source} {free}"
    ));
    let _undo = if lab.is_kernel() {
        let node = output(&format!("losetup --find --show {used}"));
        Undo(format!("losetup -d {}", node.trim()))
    } else {
        mount.write(
            "new",
            &format!(
                "user: {} {used} sync=no log=core length=1M force=yes",
                lab.disk(2)
            ),
        );
        Undo("true".into())
    };
    let link = mount.folder().join("link");
    symlink(&free, &link).expect("a link");
    let (over, start) = (AtomicBool::new(false), Instant::now());
    let time = Duration::from_secs(if long() { 120 } else { 15 });
    let (mut made, mut refused) = (0, 0);
    let ways = [Path::new(&used), Path::new(&free)];
    thread::scope(|scope| {
        scope.spawn(|| flip(&link, ways, &over));
        while start.elapsed() < time {
            let line = format!("n: {source} {} log=core force=yes", link.display());
            match mount.try_write("new", &line) {
                Ok(_) => {
                    made += 1;
                    mount.wait_in_sync("n");
                    let path = mount.read("n/legs/1/path");
                    mount.write("n/ctl", "remove");
                    if path.trim() != free {
                        over.store(true, Ordering::Relaxed);
                        panic!("{path} was taken");
                    }
                }
                Err((errno, why)) => {
                    refused += 1;
                    let known = [Errno::EBUSY, Errno::ENOENT].contains(&errno);
                    if !known {
                        over.store(true, Ordering::Relaxed);
                        panic!("{errno}: {why}");
                    }
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("{made} made, {refused} refused");
    assert!(made > 3 && refused > 3, "{made} {refused}");
    assert!(
        fs::read(&used).expect("a file") == before,
        "the used file was written to"
    );
    if !lab.is_kernel() {
        mount.write("user/ctl", "remove");
    }
    mount.write("m0/ctl", "remove");
}

/// The file behind a loop device, whose path is gone, replaced, or covered.
fn hidden(lab: &Lab) {
    let mount = given(lab, &[]);
    let folder = mount.scratch("files");
    let (image, fs_at) = (format!("{folder}/image"), mount.scratch("fs"));
    output(&format!(
        "mkdir {folder} {fs_at}; truncate -s 16M {image}; mkfs.ext4 -q -F {image}"
    ));
    output(&format!(
        "mount -o loop {image} {fs_at}; echo kept >{fs_at}/file; sync"
    ));
    let _undo = Undo(format!(
        "umount {fs_at}; umount {folder} 2>/dev/null; rm -rf {folder}"
    ));
    let other = mount.scratch("other-name");
    output(&format!("ln {image} {other}"));
    let source = lab.disk(2);
    let refuse = |what: &str, path: &str| {
        let line = format!("n: {source} {path} length=1M log=core force=yes");
        let refused = mount.try_write("new", &line).map_err(|(errno, _)| errno);
        assert_eq!(refused, Err(Errno::EBUSY), "{what}");
    };
    refuse("by another name", &other);
    // Another file has its name now.
    output(&format!("mv {image} {image}.old; truncate -s 16M {image}"));
    refuse("renamed", &format!("{image}.old"));
    refuse("renamed, by another name", &other);
    output(&format!("mount -t tmpfs none {folder}"));
    refuse("covered", &other);
    output(&format!("umount {folder}; rm {image}.old"));
    refuse("its first name is gone", &other);
    assert_eq!(
        fs::read_to_string(format!("{fs_at}/file")).expect("a file"),
        "kept\n"
    );
    mount.write("m0/ctl", "remove");
}

/// Anybody may call his FUSE mount as he likes.
fn borrowed(lab: &Lab) {
    let mount = given(lab, &[]);
    let (disk, at, state) = (
        lab.disk(5),
        mount.scratch("other"),
        mount.scratch("other-state"),
    );
    output(&format!(
        "mkdir {at}; {COMMAND} {disk} {at} -o engine=embedded,state_dir={state}"
    ));
    let mounts = output("cat /proc/self/mountinfo");
    assert!(
        mounts.contains(&format!("fuse.mirrorfs {disk} ")),
        "{mounts}"
    );
    let made = mount.try_write(
        "new",
        &format!("n: {disk} {} length=1M log=core", lab.disk(6)),
    );
    output(&format!("umount {at}"));
    assert_eq!(made, Ok("n\n".into()));
    mount.write("n/ctl", "remove");
    mount.write("m0/ctl", "remove");
}

/// A file whose name ends like an offset is that file.
fn at_in_a_name(lab: &Lab) {
    let mount = given(lab, &[]);
    let folder = mount.scratch("snap@2024-01-01");
    output(&format!("mkdir {folder}"));
    let (plain, odd) = (format!("{folder}/vol"), format!("{folder}/vol@1024"));
    output(&format!(
        "head -c 2M /dev/zero >{plain}; head -c 1M /dev/zero >{odd}"
    ));
    let target = lab.disk(2);
    for (word, path, offset) in [
        (odd.clone(), &odd, "0"),
        (format!("{folder}/vol\\@1024"), &odd, "0"),
        (format!("{odd}@4096"), &odd, "4096"),
        (plain.clone(), &plain, "0"),
        (format!("{plain}@2s"), &plain, "1024"),
        (format!("{plain}@8K"), &plain, "8192"),
    ] {
        mount.write(
            "new",
            &format!("n: {word} {target} length=512K log=core force=yes"),
        );
        assert_eq!(mount.read("n/legs/0/path").trim(), *path, "{word}");
        assert_eq!(mount.read("n/legs/0/offset").trim(), offset, "{word}");
        mount.write("n/ctl", "remove");
    }
    mount.write("m0/ctl", &format!("add {odd} force=yes"));
    assert_eq!(mount.read("m0/legs/2/path").trim(), odd);
    let wrong = mount.try_write("m0/ctl", &format!("add {plain}@1000"));
    assert!(
        matches!(wrong, Err((Errno::EINVAL, ref why)) if why.contains("offset")),
        "{wrong:?}"
    );
    mount.write("m0/ctl", "remove");
}

fn space(lab: &Lab) {
    let mount = given(lab, &[]);
    let file = mount.scratch("my disk");
    output(&format!("head -c 1M /dev/zero >'{file}'"));
    let disk = lab.disk(2);
    for (line, to) in [
        (format!("n: {file} {disk}"), "new"),
        (format!("n: {disk} {file}"), "new"),
        (format!("add {file}"), "m0/ctl"),
        (
            format!("n: 0 64 mirror core 2 8 nosync 2 {file} 0 {disk} 0"),
            "new",
        ),
    ] {
        let (errno, why) = mount.try_write(to, &line).expect_err(&line);
        assert_eq!(errno, Errno::EINVAL, "{line}: {why}");
        assert!(
            why.contains(r"a space in a path is written `\ `"),
            "{line}: {why}"
        );
    }
    let escaped = file.replace(' ', "\\ ");
    mount.write("new", &format!("n: {escaped} {disk} log=core force=yes"));
    assert_eq!(mount.read("n/legs/0/path").trim(), file);
    mount.write("n/ctl", "remove");
    mount.write("m0/ctl", "remove");
}

/// As dmsetup hides them.
fn keys(lab: &Lab) {
    if attempt("modprobe dm_crypt").0 != 0 {
        println!("this kernel has no dm-crypt: the text alone was tried");
    }
    let mount = given(lab, &[]);
    let key = "0123456789abcdef0123456789abcdef";
    let disk = lab.disk(5);
    let two = format!(
        "{},2048 64 crypt aes-cbc-essiv:sha256 {key} 0 {disk} 0",
        mount.read("m0/table").trim()
    );
    let loaded = mount.try_write("m0/table", &two);
    for file in [
        "m0/table",
        "table",
        "events",
        "m0/info.json",
        "mirrors.json",
        "m0/health",
    ] {
        assert!(
            !mount.read(file).contains("456789ab"),
            "{file} after {loaded:?}"
        );
    }
    if loaded.is_ok() {
        assert_eq!(mount.read("m0/table"), output("dmsetup table m0"));
        // It was not forgotten for that.
        mount.write("m0/ctl", "suspend");
        mount.write("m0/ctl", "resume");
        assert!(output("dmsetup table --showkeys m0").contains(key));
    }
    let wrong = mount.try_write("new", &format!("a b: 0 8 crypt aes {key} 0 {disk} 0"));
    assert!(wrong.is_err_and(|(_, why)| !why.contains("456789ab")));
    assert!(!mount.read("events").contains("456789ab"));
    mount.write("m0/ctl", "remove");
}

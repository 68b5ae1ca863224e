//! The short form of `new`: one line and no arithmetic, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::records::{lasting, refused};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{self, MIB, SIZE, bytes, put};
use crate::lab::mount::Mount;
use crate::lab::shell::output;

pub const CASES: &[Case] = &[
    both("one_line", one_line),
    both("keys", keys),
    both("files", files),
    both("signatures", signatures),
    both("an_earlier_target", an_earlier_target),
    both("wrong", wrong),
];

/// The log files that nobody has named.
pub fn own_logs(mount: &Mount) -> Vec<PathBuf> {
    let entries = fs::read_dir(mount.state().join("logs"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The table of an expert, from a line without a number in it.
fn one_line(lab: &Lab) {
    let (source, target) = (lab.random(0, 4 * MIB), lab.zeroed(1));
    let mount = lasting(lab);
    mount.mount("");
    let answer = mount.try_write("new", &format!("{source} {target}"));
    assert_eq!(answer, Ok("mirror0\n".into()));
    mount.wait_in_sync("mirror0");
    let [log] = &own_logs(&mount)[..] else {
        panic!("one log: {:?}", own_logs(&mount))
    };
    let log = log.display();
    let table = format!(
        "0 {} mirror disk 2 {log} 8192 2 {source} 0 {target} 0 1 handle_errors",
        SIZE / 512
    );
    lab.assert_in_sync(&mount, "mirror0", &[&table]);
    assert_eq!(mount.read("mirror0/log/file"), format!("{log}\n"));
    assert_eq!(mount.read("mirror0/persist"), "yes\n");
    assert_eq!(mount.read("mirror0/on_failure"), "drop\n");
    disks::assert_equal(&source, &target, SIZE);
    mount.write("mirror0/ctl", "remove");
    assert_eq!(own_logs(&mount), [] as [PathBuf; 0]);
}

fn keys(lab: &Lab) {
    let (source, from) = lab.noise(0, 4 * MIB);
    let [one, other] = [1, 2].map(|number| lab.zeroed(number));
    let mount = lab.mount();
    let log = mount.scratch("own.log");
    let line =
        format!("k: {source}@1M {one}@2M {other} length=1M region=64K log={log} errors=hold");
    mount.write("new", &line);
    mount.wait_in_sync("k");
    let table = format!(
        "0 2048 mirror disk 2 {log} 128 3 {source} 2048 {one} 4096 {other} 0 1 handle_errors"
    );
    lab.assert_in_sync(&mount, "k", &[&table]);
    assert_eq!(mount.read("k/on_failure"), "hold\n");
    let wanted = &from[MIB as usize..2 * MIB as usize];
    assert!(bytes(&one, 2 * MIB, MIB) == wanted && bytes(&other, 0, MIB) == wanted);
    assert!(bytes(&one, 0, 2 * MIB).iter().all(|byte| *byte == 0));
    mount.write("k/ctl", "remove");
    assert!(!Path::new(&log).exists());
    // Nothing is copied; and a log in memory.
    mount.write(
        "new",
        &format!("k: {source} {other}@8M sync=no log=core length=1M force=no"),
    );
    assert_eq!(mount.read("k/sync/state"), "in_sync\n");
    assert_eq!(mount.read("k/log/type"), "core\n");
    assert_eq!(mount.read("k/sync/regions_total"), "1\n");
    assert_eq!(mount.read("k/persist"), "no\n");
    assert!(bytes(&other, 8 * MIB, MIB).iter().all(|byte| *byte == 0));
    mount.write("k/ctl", "remove");
}

/// Files as source and target, of which the target is larger.
fn files(lab: &Lab) {
    let mount = lab.mount();
    let [source, target, odd] = ["source.img", "target.img", "odd"].map(|name| mount.scratch(name));
    output(&format!(
        "head -c 3M /dev/urandom >{source}; truncate -s 5M {target}; head -c 1000 /dev/zero >{odd}"
    ));
    mount.write("new", &format!("img: {source} {target}"));
    mount.wait_in_sync("img");
    assert_eq!(mount.read("img/size"), "3145728\n");
    mount.write("img/ctl", "remove");
    output(&format!("cmp -n 3145728 {source} {target}"));
    let answer = mount.try_write("new", &format!("odd: {odd} {target}"));
    refused(answer, Errno::EINVAL, "1000 bytes");
}

/// What a target holds is looked for where the copy begins, after all else that is
/// refused; force=yes overrides it and nothing else.
fn signatures(lab: &Lab) {
    let (source, _) = lab.noise(0, MIB);
    let target = lab.zeroed(1);
    let mount = lab.mount();
    let one =
        |words: &str| mount.try_write("new", &format!("s: {source} {target}{words} length=1M"));
    let marks: [(&str, &str); 5] = [
        ("ext4", &format!("mkfs.ext4 -qF {target} 8M")),
        ("swap", &format!("mkswap {target} 8192")),
        (
            "dos partition table",
            // One partition, and the mark at the end of the sector.
            &format!(
                "printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\10\\0\\0\\0\\10\\0\\0' | dd of={target} bs=1 seek=446 conv=notrunc; \
                 printf '\\125\\252' | dd of={target} bs=1 seek=510 conv=notrunc"
            ),
        ),
        (
            "LVM2_member",
            // The label and its sum (lib/format_text/layout.h, lib/misc/crc.c of LVM2).
            &format!(
                "python3 -c 'import sys, zlib; \
                 tail = (32).to_bytes(4, \"little\") + b\"LVM2 001\" + bytes(480); \
                 sum = zlib.crc32(tail, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff; \
                 sys.stdout.buffer.write(b\"LABELONE\" + (1).to_bytes(8, \"little\") + sum.to_bytes(4, \"little\") + tail)' \
                 | dd of={target} bs=512 seek=1 conv=notrunc"
            ),
        ),
        (
            "crypto_LUKS",
            &format!("printf 'LUKS\\272\\276\\0\\1' | dd of={target} conv=notrunc"),
        ),
    ];
    for (kind, make) in marks {
        put(&target, 0, &vec![0; MIB as usize]);
        output(&format!("({make}) 2>&1; sync"));
        let before = bytes(&target, 0, MIB);
        let (errno, why) = one("").expect_err(kind);
        assert!(
            errno == Errno::ENOTEMPTY && why.contains(kind),
            "{kind}: {why}"
        );
        assert!(bytes(&target, 0, MIB) == before, "{kind}");
        assert_eq!(own_logs(&mount), [] as [PathBuf; 0]);
    }
    refused(one("@252M log=/nowhere/log"), Errno::ENOENT, "/nowhere/log");
    let large = mount.try_write("new", &format!("s: {source} {target}@1M force=yes"));
    refused(large, Errno::ENOSPC, "too small");
    let twice = mount.try_write("new", &format!("s: {source} {source} length=1M force=yes"));
    refused(twice, Errno::EINVAL, "overlaps");
    // Where it begins nothing is.
    assert_eq!(one("@16M"), Ok("s\n".into()));
    mount.write("s/ctl", "remove");
    let forced = mount.try_write("new", &format!("s: {source} {target} length=1M force=yes"));
    assert_eq!(forced, Ok("s\n".into()));
    mount.wait_in_sync("s");
    disks::assert_equal(&source, &target, MIB);
    mount.write("s/ctl", "remove");
}

/// What was copied to this target looks like something that somebody wants, and may
/// be written over: but not in the other direction, not once it was used for itself,
/// and not once it was cut over to.
fn an_earlier_target(lab: &Lab) {
    let (source, target) = (lab.zeroed(0), lab.zeroed(1));
    output(&format!("mkfs.ext4 -qF {source} 32M 2>&1; sync"));
    let mount = lab.mount();
    let copy = |words: &str| mount.try_write("new", &format!("e: {words} length=32M region=1M"));
    let (there, back) = (format!("{source} {target}"), format!("{target} {source}"));
    for verb in ["remove", "remove", "finish"] {
        assert_eq!(copy(&there), Ok("e\n".into()), "{verb}");
        mount.wait_in_sync("e");
        mount.write("e/ctl", verb);
        if verb == "remove" {
            refused(copy(&back), Errno::ENOTEMPTY, "ext4");
        }
    }
    mount.write("e/ctl", "remove");
    refused(copy(&there), Errno::ENOTEMPTY, "ext4");
    assert_eq!(copy(&format!("{there} force=yes")), Ok("e\n".into()));
    mount.write("e/ctl", "abort");
    mount.write("e/ctl", "remove");
    // Of another source it is none.
    let other = lab.zeroed(2);
    refused(copy(&format!("{other} {target}")), Errno::ENOTEMPTY, "ext4");
    output(&format!("tune2fs -L used {target}; sync"));
    refused(copy(&there), Errno::ENOTEMPTY, "LABEL=used");
}

/// Each makes nothing: no mirror, no log, no byte on the target.
fn wrong(lab: &Lab) {
    let (source, target) = (lab.disk(0), lab.zeroed(1));
    let mount = lab.mount();
    for (errno, word, rest) in [
        (Errno::EINVAL, "no TARGET", String::new()),
        (Errno::ENOENT, "/dev/nowhere", "/dev/nowhere".into()),
        (Errno::ENODEV, "/dev/null", "/dev/null".into()),
        (Errno::EINVAL, "live", format!("{target} live=yes")),
        (Errno::EINVAL, "size", format!("{target} size=1M")),
        (Errno::EINVAL, "power of two", format!("{target} region=3K")),
        (Errno::ENOSPC, "too small", format!("{target}@1M")),
        (Errno::ENOSPC, "sectors", format!("{target} length=1T")),
        (Errno::EINVAL, "overlaps", source.clone()),
        (Errno::EINVAL, "overlaps", format!("{target} {target}")),
        (Errno::EINVAL, "overlaps", format!("{target} log={target}")),
        (Errno::EINVAL, "yes", format!("{target} force=1")),
    ] {
        let answer = mount.try_write("new", &format!("w: {source} {rest}"));
        let (found, why) = answer.expect_err(&rest);
        assert!(
            found == errno && why.contains(word),
            "{rest}: {found}: {why}"
        );
        assert!(!mount.exists("w") && own_logs(&mount).is_empty(), "{rest}");
    }
    assert!(bytes(&target, 0, MIB).iter().all(|byte| *byte == 0));
}

//! Devices and logs that a request may not use.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use libc::O_EXCL;

use super::checker::RefusalChecker;
use super::rows::{BLOCKS, DEVICES, MAPPED, rows};
use crate::lab::Lab;
use crate::lab::disks::{self, MIB};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::wait_for;

pub fn refused_devices(lab: &Lab) {
    let mount = lab.mount();
    let (leg, other) = (lab.disk(6), lab.disk(7));
    mount.write(
        "new",
        &format!("there: 0 64 mirror core 1 8 2 {leg} 0 {other} 0"),
    );
    mount.wait_in_sync("there");
    files(lab, &mount);
    let mut checker = RefusalChecker::new(lab, &mount);
    let other = fs::read(mount.scratch("other")).expect("a log");
    assess(&mut checker, DEVICES, &[("{leg}", &leg)]);
    if fs::read(mount.scratch("other")).expect("a log") != other {
        checker.note("another mirror's log is not what it was".into());
    }
    if Path::new("/dev/nolog").exists() {
        checker.note("/dev/nolog was made".into());
    }
    checker.end();
    mount.write("there/ctl", "remove");
}

/// Judge each row, with names of its own.
fn assess(checker: &mut RefusalChecker<'_>, text: &'static str, names: &[(&str, &str)]) {
    for [errno, word, line] in rows(text) {
        let fill = |text: &str| {
            let named = |text: String, (name, path): &(&str, &str)| text.replace(name, path);
            names.iter().fold(checker.fill(text), named)
        };
        let (line, word) = (fill(line), fill(word));
        checker.assess("new", &line, errno, &[&word]);
    }
}

/// Files of all sorts in the folder of the mount.
fn files(lab: &Lab, mount: &Mount) {
    let (folder, first) = (mount.folder().display(), lab.disk(0));
    output(&format!(
        "cd {folder} && truncate -s 4M leg && truncate -s 1024 small && truncate -s 1535 short \
         && ln leg hard && ln -s {first} soft && mkfifo fifo"
    ));
    fs::write(mount.scratch("other"), log(2, 99)).expect("a log");
}

/// Mounted, attached to a loop device, or open exclusively.
pub fn refused_blocks(lab: &Lab) {
    let mount = lab.mount();
    let folder = mount.folder().display().to_string();
    let (mounted, _first) = block(lab, 3);
    output(&format!(
        "mkfs.ext4 -q -F {mounted} 8M && mkdir {folder}/ext4 && mount {mounted} {folder}/ext4"
    ));
    let _mounted = Undo(format!("umount {folder}/ext4"));
    output(&format!(
        "cd {folder} && truncate -s 4M attached && losetup -f {folder}/attached"
    ));
    let _attached = Undo(format!(
        "losetup -j {folder}/attached | cut -d: -f1 | xargs -r losetup -d"
    ));
    let (exclusive, _second) = block(lab, 8);
    let mut options = OpenOptions::new();
    let open = options.read(true).custom_flags(O_EXCL).open(&exclusive);
    let _open = open.expect("for itself alone");
    let mut checker = RefusalChecker::new(lab, &mount);
    let names = [("{mounted}", mounted.as_str()), ("{exclusive}", &exclusive)];
    assess(&mut checker, BLOCKS, &names);
    checker.end();
}

/// A disk as a block device; it is one no more when the second is dropped.
fn block(lab: &Lab, number: usize) -> (String, Option<Undo>) {
    let disk = lab.zeroed(number);
    if lab.is_kernel() {
        return (disk, None);
    }
    let device = output(&format!("losetup --show -f {disk}"));
    let device = device.trim().to_owned();
    let undo = Undo(format!("losetup -d {device}"));
    (device, Some(undo))
}

/// A partition and its disk, used as swap, or by mappings.
pub fn refused_mapped(lab: &Lab) {
    let mount = lab.mount();
    let (swap, mapped) = (lab.disk(4), lab.disk(5));
    let (image, _image) = partitioned(&mount.scratch("image"));
    // One that nobody uses.
    let (whole, _whole) = partitioned(&mount.scratch("whole"));
    let users = [
        (
            format!("mkswap -q {swap} 2>&1 && swapon {swap}"),
            format!("swapoff {swap}"),
        ),
        (
            format!("dmsetup create holder --table '0 8192 linear {mapped} 0'"),
            "dmsetup remove --retry holder".into(),
        ),
        (
            format!("dmsetup create part --table '0 64 linear {image}p1 0'"),
            "dmsetup remove --retry part".into(),
        ),
    ];
    let _undo = users.map(|(make, end)| (output(&make), Undo(end)).1);
    let mut checker = RefusalChecker::new(lab, &mount);
    let names = [
        ("{swap}", swap.as_str()),
        ("{mapped}", &mapped),
        ("{image}", &image),
        ("{whole}", &whole),
    ];
    assess(&mut checker, MAPPED, &names);
    checker.end();
}

/// A disk log of this version for so many regions, none of them clean.
fn log(version: u32, regions: u64) -> Vec<u8> {
    let header = [0x4D69_5272_u32.to_le_bytes(), version.to_le_bytes()].concat();
    let mut bytes = [header, regions.to_le_bytes().to_vec()].concat();
    bytes.resize(4096, 0);
    bytes
}

/// A loop device of 8 MiB with one partition, sectors 2048 to 10240.
fn partitioned(path: &str) -> (String, Undo) {
    let file = File::create(path).expect(path);
    file.set_len(8 * MIB).expect("8 MiB");
    let mut entry = vec![0, 0, 0, 0, 0x83, 0, 0, 0];
    entry.extend([2048_u32, 8192].map(u32::to_le_bytes).concat());
    file.write_all_at(&entry, 446).expect("a partition");
    file.write_all_at(&[0x55, 0xAA], 510)
        .expect("its table's end");
    let device = output(&format!("losetup -P --show -f {path}"));
    let device = device.trim().to_owned();
    wait_for("the partition's node", || {
        Path::new(&format!("{device}p1")).exists()
    });
    let undo = Undo(format!("losetup -d {device}"));
    (device, undo)
}

/// The kernel takes logs that it cannot use, counts them as failed and begins to
/// copy: by then it is too late to refuse.
pub fn refused_logs(lab: &Lab) {
    let mount = lab.mount();
    let version = mount.scratch("version3");
    fs::write(&version, log(3, 8)).expect("a log");
    let unwritable = lab.is_kernel().then(|| unwritable(lab));
    let mut checker = RefusalChecker::new(lab, &mount);
    refused_whole(lab, &mount, &mut checker, &version, "2 {log} 1024");
    if let Some((path, _)) = &unwritable {
        // `sync` asks for a log that is begun afresh, whatever it was.
        for words in ["2 {log} 1024", "3 {log} 1024 sync"] {
            refused_whole(lab, &mount, &mut checker, path, words);
        }
    }
    if fs::read(&version).expect("the log") != log(3, 8) {
        checker.note("the log of version 3 is not what it was".into());
    }
    checker.end();
}

/// A device that can be read and not be written.
fn unwritable(lab: &Lab) -> (String, Undo) {
    let bad = lab.disk(4);
    output(&format!(
        "modprobe dm-flakey; dmsetup create unwritable --table '0 8192 flakey {bad} 0 0 1000 1 error_writes'"
    ));
    let undo = Undo("dmsetup remove --retry unwritable".into());
    ("/dev/mapper/unwritable".into(), undo)
}

/// Whatever the errno: it names the log, and `b` is not copied to.
fn refused_whole(
    lab: &Lab,
    mount: &Mount,
    checker: &mut RefusalChecker<'_>,
    path: &str,
    words: &str,
) {
    let words = words.replace("{log}", path);
    let line = checker.fill(&format!("0 8192 mirror disk {words} 2 {{a}} 0 {{b}} 0"));
    let target = lab.disk(1);
    let before = disks::bytes(&target, 0, MIB);
    match mount.try_write("new", &line) {
        Ok(name) => checker.note(format!("`{line}` made {name}")),
        Err((errno, reason)) if !reason.contains(path) => {
            checker.note(format!(
                "{errno:?}: `{}` does not name {path}",
                reason.trim()
            ));
        }
        Err(_) => {}
    }
    if disks::bytes(&target, 0, MIB) != before {
        checker.note(format!("`{line}` was refused after it had copied"));
        lab.random(1, MIB);
    }
}

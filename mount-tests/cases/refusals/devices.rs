//! Devices and logs that a request may not use.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use libc::O_EXCL;

use super::field::Field;
use super::rows::{DEVICES, rows};
use crate::lab::disks::{self, MIB, disk};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::wait_for;

pub fn refused_devices() {
    let mount = Mount::start();
    let users = Users::new(&mount);
    let mut field = Field::new(&mount);
    let other = fs::read(mount.scratch("other")).expect("a log");
    for [errno, word, line] in rows(DEVICES) {
        let (line, word) = (users.fill(&field.fill(line)), users.fill(&field.fill(word)));
        field.judge("new", &line, errno, &[&word]);
    }
    if fs::read(mount.scratch("other")).expect("a log") != other {
        field.note("another mirror's log is not what it was".into());
    }
    if Path::new("/dev/nolog").exists() {
        field.note("/dev/nolog was made".into());
    }
    field.end();
    mount.write("there/ctl", "remove");
}

/// Devices and files that somebody uses; they are free again when it is dropped.
struct Users {
    whole: String,
    image: String,
    _exclusive: File,
    _undo: Vec<Undo>,
}

impl Users {
    fn new(mount: &Mount) -> Users {
        let folder = mount.at.parent().expect("a folder").display().to_string();
        let (leg, other) = (disk(6), disk(7));
        mount.write(
            "new",
            &format!("there: 0 64 mirror core 1 8 2 {leg} 0 {other} 0"),
        );
        let mut undo = mounted_swapped_mapped(&folder);
        undo.extend(files(&folder));
        let (whole, first) = partitioned(&format!("{folder}/whole"));
        let (image, second) = partitioned(&format!("{folder}/image"));
        output(&format!(
            "dmsetup create part --table '0 64 linear {image}p1 0'"
        ));
        // What stands on another goes first.
        undo.insert(0, Undo("dmsetup remove --retry part".into()));
        undo.extend([first, second]);
        let mut exclusive = OpenOptions::new();
        let exclusive = exclusive.read(true).custom_flags(O_EXCL).open(disk(8));
        Users {
            whole,
            image,
            _exclusive: exclusive.expect("for itself alone"),
            _undo: undo,
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{whole}", &self.whole)
            .replace("{image}", &self.image)
            .replace("{mounted}", &disk(3))
            .replace("{swap}", &disk(4))
            .replace("{mapped}", &disk(5))
            .replace("{leg}", &disk(6))
            .replace("{exclusive}", &disk(8))
    }
}

fn mounted_swapped_mapped(folder: &str) -> Vec<Undo> {
    let (ext4, swap, mapped) = (disks::zeroed(3), disk(4), disk(5));
    let users = [
        (
            format!(
                "mkfs.ext4 -q -F {ext4} 8M && mkdir {folder}/ext4 && mount {ext4} {folder}/ext4"
            ),
            format!("umount {folder}/ext4"),
        ),
        (
            format!("mkswap -q {swap} 2>&1 && swapon {swap}"),
            format!("swapoff {swap}"),
        ),
        (
            format!("dmsetup create holder --table '0 8192 linear {mapped} 0'"),
            "dmsetup remove --retry holder".into(),
        ),
    ];
    users.map(|(make, end)| (output(&make), Undo(end)).1).into()
}

fn files(folder: &str) -> [Undo; 1] {
    let first = disk(0);
    output(&format!(
        "cd {folder} && truncate -s 4M leg attached && truncate -s 1024 small && truncate -s 1535 short \
         && ln leg hard && ln -s {first} soft && mkfifo fifo && losetup -f {folder}/attached"
    ));
    fs::write(format!("{folder}/other"), log(2, 99)).expect("a log");
    [Undo(format!(
        "losetup -j {folder}/attached | cut -d: -f1 | xargs -r losetup -d"
    ))]
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
pub fn refused_logs() {
    let mount = Mount::start();
    let (version, bad) = (mount.scratch("version3"), disk(4));
    fs::write(&version, log(3, 8)).expect("a log");
    output(&format!(
        "modprobe dm-flakey; dmsetup create unwritable --table '0 8192 flakey {bad} 0 0 1000 1 error_writes'"
    ));
    let unwritable = Undo("dmsetup remove --retry unwritable".into());
    let mut field = Field::new(&mount);
    // `sync` asks for a log that is begun afresh, whatever it was.
    for (path, words) in [
        (version.as_str(), "2 {log} 1024"),
        ("/dev/mapper/unwritable", "2 {log} 1024"),
        ("/dev/mapper/unwritable", "3 {log} 1024 sync"),
    ] {
        let words = words.replace("{log}", path);
        let line = field.fill(&format!("0 8192 mirror disk {words} 2 {{a}} 0 {{b}} 0"));
        refused_whole(&mount, &mut field, &line, path);
    }
    if fs::read(&version).expect("the log") != log(3, 8) {
        field.note("the log of version 3 is not what it was".into());
    }
    field.end();
    drop(unwritable);
}

/// Whatever the errno: it names the log, and `b` is not copied to.
fn refused_whole(mount: &Mount, field: &mut Field<'_>, line: &str, path: &str) {
    let before = disks::bytes(&disk(1), 0, MIB);
    match mount.try_write("new", line) {
        Ok(name) => field.note(format!("`{line}` made {name}")),
        Err((errno, reason)) if !reason.contains(path) => {
            field.note(format!(
                "{errno:?}: `{}` does not name {path}",
                reason.trim()
            ));
        }
        Err(_) => {}
    }
    if disks::bytes(&disk(1), 0, MIB) != before {
        field.note(format!("`{line}` was refused after it had copied"));
        disks::random(1, MIB);
    }
}

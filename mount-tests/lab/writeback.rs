//! A file whose disk fails after write(2) has succeeded: it lies on an ext4 that
//! allocates and writes late, on a disk that breaks below it.

use std::fs::create_dir;

use super::Lab;
use super::disks::MIB;
use super::dm::{create, reload, run};
use super::shell::{Undo, attempt, output};

/// Bytes of the disk below: one group of blocks, whose metadata lie together.
const DISK: u64 = 120 * MIB;

/// Bytes of a block of the file system.
const BLOCK: u64 = 4096;

/// A file of which a part, or what is allocated last, can be made to fail. It goes
/// when it is dropped: declare it before the mount that uses it.
pub struct Late {
    /// Its path.
    pub path: String,
    way: Way,
    _undo: Undo,
}

/// How it is broken.
enum Way {
    /// The disk is a mapping, and gets the `error` target in its middle.
    Zone { name: String, device: String },
    /// The disk is a file without blocks where the file system has free ones, and
    /// what that lies on is full.
    Full { folder: String, room: u64 },
}

impl Lab {
    /// A file of `size` bytes, all allocated and filled with noise; broken, 8 MiB
    /// of its disk answer every read and write with EIO. Needs device-mapper.
    pub fn late_zone(&self, size: u64) -> Late {
        let folder = self.late_folder();
        let name = format!("late{}", std::process::id());
        let undo = Undo(format!(
            "umount -l {folder}/fs; dmsetup remove --retry {name}; \
             losetup -d $(losetup -nO NAME -j {folder}/image); rm -rf {folder}"
        ));
        output(&format!("fallocate -l {DISK} {folder}/image"));
        let device = output(&format!("losetup --show -f {folder}/image"));
        let device = device.trim().to_string();
        create(&name, "", &linear(&device, 0, DISK));
        make(&format!("/dev/mapper/{name}"));
        output(&format!(
            "mount /dev/mapper/{name} {folder}/fs && chmod 777 {folder}/fs \
             && head -c {size} /dev/urandom >{folder}/fs/disk && sync -f {folder}/fs"
        ));
        Late {
            path: format!("{folder}/fs/disk"),
            way: Way::Zone { name, device },
            _undo: undo,
        }
    }

    /// A sparse file of `size` bytes; broken, the disk takes `room` bytes more and
    /// then no others. Needs loop devices.
    pub fn late_full(&self, size: u64, room: u64) -> Late {
        let folder = self.late_folder();
        let undo = Undo(format!(
            "umount -l {folder}/fs; umount -l {folder}/pool; rm -rf {folder}"
        ));
        let (pool, image) = (DISK + 4 * MIB, format!("{folder}/pool/image"));
        output(&format!(
            "mkdir {folder}/pool && mount -t tmpfs -o size={pool} none {folder}/pool \
             && fallocate -l {DISK} {image}"
        ));
        make(&image);
        // mkfs has made holes where its zeros are. A few blocks here and there: then the
        // file has a block of extents before the disk is full, and only its data fail.
        output(&format!(
            "fallocate -l {DISK} {image} && mount -o loop {image} {folder}/fs \
             && chmod 777 {folder}/fs && cd {folder}/fs && truncate -s {size} disk \
             && for at in 1 2 3 4 5 6 7; do \
                dd if=/dev/zero of=disk bs={BLOCK} count=1 seek=$((at * 1000)) conv=notrunc 2>/dev/null; \
             done && sync -f ."
        ));
        Late {
            path: format!("{folder}/fs/disk"),
            way: Way::Full { folder, room },
            _undo: undo,
        }
    }

    fn late_folder(&self) -> String {
        let folder = self.path("late");
        create_dir(&folder).expect("a folder");
        create_dir(folder.join("fs")).expect("a folder");
        folder.display().to_string()
    }
}

fn make(device: &str) {
    let at_once = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
    output(&format!("mkfs.ext4 -q -F -b {BLOCK} -E {at_once} {device}"));
}

fn linear(device: &str, start: u64, end: u64) -> String {
    let (start, length) = (start / 512, (end - start) / 512);
    format!("{start} {length} linear {device} {start}\n")
}

impl Late {
    /// From now on it fails.
    pub fn fail(&self) {
        match &self.way {
            Way::Zone { name, device } => {
                let start = self.block_of(8 * MIB / BLOCK) * BLOCK;
                let end = start + 8 * MIB;
                let zone = format!("{} {} error\n", start / 512, 8 * MIB / 512);
                let table = [linear(device, 0, start), zone, linear(device, end, DISK)];
                reload(name, &table.concat());
            }
            Way::Full { folder, room } => {
                let punch = |(first, count): (u64, u64)| {
                    let (start, length) = (first * BLOCK, count * BLOCK);
                    format!("fallocate --punch-hole -o {start} -l {length} image && ")
                };
                let free = free(&format!("{folder}/pool/image")).into_iter();
                let punched: String = free.map(punch).collect();
                output(&format!(
                    "cd {folder}/pool && {punched} ! dd if=/dev/zero of=filler bs=64K 2>/dev/null \
                     && truncate -s -{room} filler"
                ));
            }
        }
    }

    /// From now on it works again.
    pub fn repair(&self) {
        match &self.way {
            Way::Zone { name, device } => reload(name, &linear(device, 0, DISK)),
            Way::Full { folder, .. } => drop(output(&format!("rm {folder}/pool/filler"))),
        }
    }

    /// Where a block of the file lies on the disk.
    fn block_of(&self, wanted: u64) -> u64 {
        let text = run("filefrag", &["-v", "-b4096", &self.path]);
        let extent = |line: &str| -> Option<[u64; 3]> {
            let numbers = line.split([':', '.', ' ']).filter(|word| !word.is_empty());
            let numbers = numbers.map_while(|word| word.parse().ok());
            let numbers: Vec<u64> = numbers.collect();
            // Its number, first and last block of the file, first on the disk.
            (numbers.len() > 4).then(|| [numbers[1], numbers[2], numbers[3]])
        };
        let mut extents = text.lines().filter_map(extent);
        let found = extents.find(|[first, last, _]| (*first..=*last).contains(&wanted));
        let [first, _, disk] = found.unwrap_or_else(|| panic!("block {wanted}: {text}"));
        disk + wanted - first
    }
}

/// The runs of free blocks: where each begins, and how many.
fn free(image: &str) -> Vec<(u64, u64)> {
    let (_, text) = attempt(&format!("dumpe2fs {image} 2>/dev/null"));
    let lists = text
        .lines()
        .filter_map(|line| line.strip_prefix("  Free blocks: "));
    let run = |run: &str| {
        let (first, last) = run.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        Some((first, last + 1 - first))
    };
    let runs: Vec<(u64, u64)> = lists
        .flat_map(|list| list.split(", "))
        .filter_map(run)
        .collect();
    assert!(!runs.is_empty(), "no free blocks: {text}");
    runs
}

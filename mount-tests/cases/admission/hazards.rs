//! What may stand on a device, or who may use it, when somebody names it.

use std::fs;
use std::path::Path;

use crate::lab::Lab;
use crate::lab::disks::{MIB, bytes, put};
use crate::lab::shell::{Undo, attempt, output};

/// Bytes of each device here.
pub const SIZE: u64 = 8 * MIB;

/// One of them.
pub struct Hazard {
    pub name: &'static str,
    pub kind: Kind,
    /// The errno and a word of the reason.
    pub errno: &'static str,
    pub word: &'static str,
    /// First sector that is asked for.
    pub offset: u64,
    make: fn(&str) -> Option<Undo>,
}

/// What overrides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signature: looked for by some, and overridden by force=yes.
    Held,
    /// Larger blocks: overridden where the device is not in use.
    Blocks,
    /// Nothing.
    Never,
}

const fn held(name: &'static str, word: &'static str, make: fn(&str) -> Option<Undo>) -> Hazard {
    Hazard {
        name,
        kind: Kind::Held,
        errno: "ENOTEMPTY",
        word,
        offset: 0,
        make,
    }
}

const fn never(
    name: &'static str,
    errno: &'static str,
    word: &'static str,
    make: fn(&str) -> Option<Undo>,
) -> Hazard {
    Hazard {
        kind: Kind::Never,
        errno,
        ..held(name, word, make)
    }
}

/// All of a target's.
pub const HAZARDS: &[Hazard] = &[
    held("ext4", "ext4", |at| ran(&format!("mkfs.ext4 -qF {at} 4M"))),
    held("swap", "swap", |at| ran(&format!("mkswap {at}"))),
    held("GPT", "gpt", |at| {
        gpt(at, &[(2048, 4096)]);
        None
    }),
    held("MBR", "dos", |at| {
        mbr(at, &[(2048, 4096)]);
        None
    }),
    // The second partition begins inside, the first is nobody's.
    Hazard {
        offset: 4096,
        ..held("a used partition inside", "partition 2", |at| {
            gpt(at, &[(2048, 1024), (5120, 8192)]);
            ran(&format!("mkfs.ext4 -qF -E offset={} {at} 4M", 5120 * 512))
        })
    },
    // It begins before, and reaches into what would be written over.
    Hazard {
        offset: 4096,
        ..held("a used partition that reaches in", "partition 1", |at| {
            mbr(at, &[(2048, 8192)]);
            ran(&format!("mkfs.ext4 -qF -E offset={} {at} 4M", 2048 * 512))
        })
    },
    Hazard {
        kind: Kind::Blocks,
        ..never("4K blocks", "EINVAL", "4096", |_| None)
    },
    never("read-only", "EROFS", "read-only", |at| {
        output(&format!("blockdev --setro {at}"));
        Some(Undo(format!("blockdev --setrw {at}")))
    }),
    never("mounted", "EBUSY", "mounted on", |at| {
        let point = format!("/run/admission{}", at.replace('/', "-"));
        output(&format!(
            "mkfs.ext4 -qF {at} 4M 2>&1 && mkdir -p {point} && mount -o ro,noload {at} {point} && sync -f {point}"
        ));
        Some(Undo(format!("umount {point}; rmdir {point}")))
    }),
    never("a neighbour's mapping", "EBUSY", "neighbour", |at| {
        output(&format!(
            "dmsetup create neighbour --table '0 64 linear {at} 12000'"
        ));
        Some(Undo("dmsetup remove --retry neighbour".into()))
    }),
];

fn ran(line: &str) -> Option<Undo> {
    output(&format!("({line}) 2>&1; sync"));
    None
}

impl Hazard {
    /// Whether this engine's machine can have it.
    pub fn is_on(&self, lab: &Lab) -> bool {
        lab.is_kernel() || self.name != "a neighbour's mapping"
    }
}

/// A block device of a file, all zeros but for what a hazard put there.
pub struct Device {
    pub path: String,
    file: String,
    undo: Option<Undo>,
}

impl Device {
    pub fn new(lab: &Lab, name: &str, hazard: Option<&Hazard>) -> Device {
        let file = lab.path(name).display().to_string();
        let block = match hazard.map(|hazard| hazard.kind) {
            Some(Kind::Blocks) => 4096,
            _ => 512,
        };
        output(&format!("truncate -s {SIZE} {file}"));
        let path = output(&format!("losetup -b {block} -f --show {file}"));
        let path = path.trim().to_owned();
        Device {
            undo: hazard.and_then(|hazard| (hazard.make)(&path)),
            path,
            file,
        }
    }

    /// All that is on it.
    pub fn bytes(&self) -> Vec<u8> {
        bytes(&self.path, 0, SIZE)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(self.undo.take());
        let (path, file) = (&self.path, &self.file);
        attempt(&format!("losetup -d {path}; rm -f {file}"));
        // A loop device that somebody still has open goes a moment later.
        let backing = format!("/sys/block/{}/loop", path.trim_start_matches("/dev/"));
        for _ in 0..100 {
            if !Path::new(&backing).exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// The disk of this number, so many bytes of it zeros.
pub fn cleared(lab: &Lab, number: usize) -> String {
    let disk = lab.disk(number);
    put(&disk, 0, &vec![0; SIZE as usize]);
    disk
}

/// A table of a PC with these partitions: start and sectors.
pub fn mbr(path: &str, parts: &[(u32, u32)]) {
    let mut sector = vec![0; 512];
    for (number, (start, length)) in parts.iter().enumerate() {
        let entry = 446 + 16 * number;
        sector[entry + 4] = 0x83;
        sector[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
        sector[entry + 12..entry + 16].copy_from_slice(&length.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    put(path, 0, &sector);
}

/// A GUID partition table with these partitions, at the beginning and at the end of
/// a disk of so many bytes (UEFI 2.10, chapter 5).
pub fn gpt(path: &str, parts: &[(u64, u64)]) {
    let size = match fs::metadata(path).expect(path).len() {
        0 => SIZE,
        size => size,
    };
    let last = size / 512 - 1;
    mbr(path, &[(1, u32::MAX)]);
    put(path, 446 + 4, &[0xEE]);
    let mut entries = vec![0; 128 * 128];
    for (number, (start, length)) in parts.iter().enumerate() {
        let entry = &mut entries[128 * number..][..128];
        // Linux's data, and a number of its own.
        entry[..16].copy_from_slice(&LINUX);
        entry[16] = number as u8 + 1;
        entry[32..40].copy_from_slice(&start.to_le_bytes());
        entry[40..48].copy_from_slice(&(start + length - 1).to_le_bytes());
    }
    for (at, other, table) in [(1, last, 2), (last, 1, last - 32)] {
        put(path, table * 512, &entries);
        put(path, at * 512, &header(at, other, table, last, &entries));
    }
}

const LINUX: [u8; 16] = [
    0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47, 0x7D, 0xE4,
];

fn header(at: u64, other: u64, table: u64, last: u64, entries: &[u8]) -> Vec<u8> {
    let mut bytes = b"EFI PART\0\0\x01\0\x5C\0\0\0".to_vec();
    bytes.extend([0; 8]);
    bytes.extend([at, other, 34, last - 33].map(u64::to_le_bytes).concat());
    bytes.extend([7; 16]);
    bytes.extend(table.to_le_bytes());
    bytes.extend(
        [128_u32, 128, crc32(entries)]
            .map(u32::to_le_bytes)
            .concat(),
    );
    let sum = crc32(&bytes);
    bytes[16..20].copy_from_slice(&sum.to_le_bytes());
    bytes.resize(512, 0);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

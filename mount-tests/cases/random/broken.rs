//! The kernel's disks of this test, which break and are repaired, and what is read
//! from them past every cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use libc::{O_DIRECT, O_DSYNC};

use super::disks::Version;
use crate::lab::Lab;
use crate::lab::disks::put;
use crate::lab::dm::{self, create};
use crate::lab::shell::attempt;

/// Disks, and bytes of each; as many are the mirror's.
pub const DISKS: usize = 5;
pub const SIZE: u64 = 8 << 20;

/// Sectors of a region, of which the first block is written and read.
pub const REGION: u64 = 128;

/// Bytes of a block.
pub const BLOCK: usize = 4096;

/// A block at an address that O_DIRECT takes.
#[repr(C, align(4096))]
struct Aligned([u8; BLOCK]);

/// A device or disk, past every cache.
pub fn open(path: &str) -> File {
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .custom_flags(O_DIRECT | O_DSYNC);
    options.open(path).expect(path)
}

/// Blocks that are written and read.
pub fn cells() -> usize {
    (SIZE / 512 / REGION) as usize
}

fn place(cell: usize) -> u64 {
    cell as u64 * REGION * 512
}

/// Write a block that holds its number all over.
pub fn write_block(device: &File, cell: usize, version: Version) -> io::Result<()> {
    let mut block = Box::new(Aligned([0; BLOCK]));
    let words = block.0.chunks_exact_mut(8);
    words.for_each(|word| word.copy_from_slice(&version.to_le_bytes()));
    device.write_all_at(&block.0, place(cell))
}

/// The number in each block of a device or disk, read in one; what fails there is tried
/// block by block.
pub fn read_all(file: &File) -> Vec<Result<Version, ()>> {
    let mut bytes = vec![0; SIZE as usize + BLOCK];
    let skip = bytes.as_ptr().align_offset(BLOCK);
    let all = &mut bytes[skip..skip + SIZE as usize];
    let whole = file.read_exact_at(all, 0).is_ok();
    let read = |cell: usize| {
        let at = place(cell) as usize;
        let block = &mut all[at..at + BLOCK];
        if !whole {
            file.read_exact_at(block, place(cell)).map_err(drop)?;
        }
        let word = block.first_chunk().expect("a word");
        Ok(Version::from_le_bytes(*word))
    };
    (0..cells()).map(read).collect()
}

/// Switch a disk between what it stands on and the target that fails; udev is not
/// waited for, which reads from whatever changes.
pub fn switch(number: usize, below: &str, fails: bool) {
    let (name, length) = (format!("random{number}"), SIZE / 512);
    let table = if fails {
        format!("0 {length} error")
    } else {
        format!("0 {length} linear {below} 0")
    };
    dm::switch(&name, &table);
}

/// Mappings that go with this.
pub struct Disks(pub Vec<String>);

impl Disks {
    pub fn new(lab: &Lab) -> Disks {
        let below: Vec<String> = (0..DISKS).map(|number| lab.disk(number)).collect();
        for (number, disk) in below.iter().enumerate() {
            let length = SIZE / 512;
            create(
                &format!("random{number}"),
                "",
                &format!("0 {length} linear {disk} 0"),
            );
            let words = (number as Version + 1)
                .to_le_bytes()
                .repeat(SIZE as usize / 8);
            put(disk, 0, &words);
        }
        Disks(below)
    }

    pub fn path(&self, number: usize) -> String {
        format!("/dev/mapper/random{number}")
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for number in 0..DISKS {
            attempt(&format!("dmsetup remove --retry random{number}"));
        }
    }
}

//! Disks in memory (brd), and what is on them.

use std::fs::{File, OpenOptions, read_to_string};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Once;

use super::shell::{attempt, dmsetup, output};

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;

/// How many disks there are.
pub const COUNT: usize = 12;

/// The size of each, in bytes.
pub const SIZE: u64 = 256 * MIB;

static READY: Once = Once::new();

/// The disk of this number.
pub fn disk(number: usize) -> String {
    READY.call_once(|| {
        let size = SIZE / 1024;
        output(&format!("modprobe brd rd_nr={COUNT} rd_size={size}"));
    });
    assert!(number < COUNT, "there are {COUNT} disks");
    format!("/dev/ram{number}")
}

/// The disk of this number, `size` bytes of noise at its beginning.
pub fn random(number: usize, size: u64) -> String {
    let path = disk(number);
    output(&format!(
        "head -c {size} /dev/urandom >{path}; blockdev --flushbufs {path}"
    ));
    path
}

/// The disk of this number, with `size` bytes of noise at its beginning, which
/// are answered too. Quicker than [`random`] for a few mebibytes.
pub fn noise(number: usize, size: u64) -> (String, Vec<u8>) {
    let path = disk(number);
    let mut bytes = Vec::new();
    let source = File::open("/dev/urandom").expect("noise");
    source.take(size).read_to_end(&mut bytes).expect("noise");
    put(&path, 0, &bytes);
    (path, bytes)
}

/// The disk of this number, its first mebibyte zeros.
pub fn zeroed_start(number: usize) -> String {
    let path = disk(number);
    put(&path, 0, &vec![0; MIB as usize]);
    path
}

/// The disk of this number, without the log that another test left on it.
pub fn blank(number: usize) -> String {
    let path = disk(number);
    put(&path, 0, &[0; 4096]);
    path
}

/// The disk of this number, all zeros.
pub fn zeroed(number: usize) -> String {
    let path = disk(number);
    output(&format!(
        "blkdiscard -z {path} 2>/dev/null || dd if=/dev/zero of={path} bs=1M 2>/dev/null; blockdev --flushbufs {path}"
    ));
    path
}

/// A disk that takes a while for each write, so that a copy can be watched. It
/// goes when it is dropped.
pub struct Slow {
    /// Its path.
    pub path: String,
}

/// `millis` more for each write to the disk of this number.
pub fn slow(number: usize, millis: u32) -> Slow {
    let (path, sectors) = (zeroed(number), SIZE / 512);
    output(&format!(
        "modprobe dm-delay; dmsetup create slow{number} --table '0 {sectors} delay {path} 0 0 {path} 0 {millis}'"
    ));
    let path = format!("/dev/mapper/slow{number}");
    Slow { path }
}

impl Slow {
    /// As fast as the disk itself from now on.
    pub fn hurry(&self) {
        let name = self.path.trim_start_matches("/dev/mapper/");
        let table = dmsetup(&format!("table {name}"));
        let last = table.trim().rsplit_once(' ').expect("a delay").0;
        output(&format!(
            "dmsetup suspend {name} && dmsetup reload {name} --table '{last} 0' && dmsetup resume {name}"
        ));
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        attempt(&format!("dmsetup remove --retry {}", self.path));
    }
}

/// The disk's number as the kernel prints it.
pub fn number(path: &str) -> String {
    let name = path.trim_start_matches("/dev/");
    read_to_string(format!("/sys/class/block/{name}/dev"))
        .expect("a number")
        .trim()
        .into()
}

/// Bytes of a device or file, past the page cache's old copies.
pub fn bytes(path: &str, offset: u64, size: u64) -> Vec<u8> {
    output(&format!("blockdev --flushbufs {path} 2>/dev/null || true"));
    let mut file = File::open(path).expect(path);
    file.seek(SeekFrom::Start(offset)).expect("seek");
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).expect("read");
    bytes
}

/// Write `bytes` at `offset`, through to the device.
pub fn put(path: &str, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect(path);
    file.seek(SeekFrom::Start(offset)).expect("seek");
    file.write_all(bytes).expect("write");
    file.sync_all().expect("sync");
}

/// Panics where the first `size` bytes of both differ.
pub fn assert_equal(one: &str, other: &str, size: u64) {
    assert_equal_at((one, 0), (other, 0), size);
}

/// Panics where `size` bytes from an offset of each differ.
pub fn assert_equal_at(one: (&str, u64), other: (&str, u64), size: u64) {
    let (left, right) = (bytes(one.0, one.1, size), bytes(other.0, other.1, size));
    assert_eq!(left.len() as u64, size, "{} is too short", one.0);
    // Quick where they are equal: a debug build compares slowly by bytes.
    if left == right {
        return;
    }
    let at = left
        .iter()
        .zip(&right)
        .position(|(left, right)| left != right);
    panic!("{one:?} and {other:?} differ at byte {at:?}");
}

/// The table of a small mirror of two disks that is in sync from the beginning.
pub fn equal(one: usize, other: usize) -> String {
    let (one, other) = (disk(one), disk(other));
    format!("0 2048 mirror core 2 512 nosync 2 {one} 0 {other} 0 1 handle_errors")
}

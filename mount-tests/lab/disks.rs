//! Disks, and what is on them: in memory (brd) for the kernel, which wants block
//! devices; sparse files for the embedded engine. Both are of the same size, so
//! that one test can use either.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use mirrorfs::text::device::DevNo;

use super::Lab;
use super::dm::run;
use super::shell::output;

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;

/// How many disks there are.
pub const COUNT: usize = 12;

/// The size of each, in bytes.
pub const SIZE: u64 = 256 * MIB;

/// Bytes of the smallest group of blocks of ext4, those of 1 KiB (ext4(5), mke2fs(8)).
const GROUP: u64 = 8 * MIB;

/// Bytes at the beginning of a group that a repeated superblock is in.
const GROUP_HEAD: usize = 4096;

static READY: Once = Once::new();

/// Which disks the tests since the last wipe were given, a bit each.
static USED: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// The disk of this number.
    pub fn disk(&self, number: usize) -> String {
        assert!(number < COUNT, "there are {COUNT} disks");
        if self.is_kernel() {
            READY.call_once(|| {
                let size = SIZE / 1024;
                output(&format!("modprobe brd rd_nr={COUNT} rd_size={size}"));
            });
            USED.fetch_or(1 << number, Ordering::Relaxed);
            return format!("/dev/ram{number}");
        }
        let path = self.path(&format!("disk{number}"));
        if !path.exists() {
            let file = File::create(&path).expect("a disk");
            file.set_len(SIZE).expect("its size");
        }
        path.display().to_string()
    }

    /// Disks on which no earlier test's file system, table of partitions or log is:
    /// none of these is written over unasked. Those that nobody was given are blank.
    /// ext4 repeats its superblock in groups of blocks, where a leg at an offset that is
    /// the beginning of one would find it.
    pub fn nothing_on_disks(&self) {
        let used = USED.swap(0, Ordering::Relaxed);
        let zeros = vec![0; MIB as usize];
        for number in (0..COUNT).filter(|number| used & (1 << number) != 0) {
            let disk = File::options()
                .write(true)
                .open(format!("/dev/ram{number}"));
            let disk = disk.expect("a disk");
            let write = |at, zeros| disk.write_all_at(zeros, at).expect("zeros");
            write(0, &zeros[..]);
            write(SIZE - MIB, &zeros[..]);
            for group in 1..SIZE / GROUP {
                write(group * GROUP, &zeros[..GROUP_HEAD]);
            }
            disk.sync_all().expect("sync");
        }
    }

    /// The disk of this number, `size` bytes of noise at its beginning.
    pub fn random(&self, number: usize, size: u64) -> String {
        let path = self.disk(number);
        output(&format!(
            "head -c {size} /dev/urandom | dd of={path} bs=1M conv=notrunc 2>/dev/null"
        ));
        flush(&path);
        path
    }

    /// The disk of this number, with `size` bytes of noise at its beginning,
    /// which are answered too. Quicker than [`Lab::random`] for a few mebibytes.
    pub fn noise(&self, number: usize, size: u64) -> (String, Vec<u8>) {
        let path = self.disk(number);
        let mut bytes = Vec::new();
        let source = File::open("/dev/urandom").expect("noise");
        source.take(size).read_to_end(&mut bytes).expect("noise");
        put(&path, 0, &bytes);
        (path, bytes)
    }

    /// The disk of this number, its first mebibyte zeros.
    pub fn zeroed_start(&self, number: usize) -> String {
        let path = self.disk(number);
        put(&path, 0, &vec![0; MIB as usize]);
        path
    }

    /// The disk of this number, without the log that another test left on it.
    pub fn blank(&self, number: usize) -> String {
        let path = self.disk(number);
        put(&path, 0, &[0; 4096]);
        path
    }

    /// The disk of this number, all zeros.
    pub fn zeroed(&self, number: usize) -> String {
        let path = self.disk(number);
        if self.is_kernel() {
            output(&format!(
                "blkdiscard -z {path} 2>/dev/null || dd if=/dev/zero of={path} bs=1M 2>/dev/null"
            ));
            flush(&path);
            return path;
        }
        fs::remove_file(&path).expect("a disk");
        self.disk(number)
    }

    /// A disk, or a file that a mirror uses, as a table prints it: a device by
    /// its number, a file by its loop device's, which the kernel needs, or on
    /// the embedded engine by its path.
    pub fn number(&self, path: &str) -> String {
        let stat = fs::metadata(path).expect(path);
        if stat.file_type().is_block_device() {
            return DevNo::of_dev_t(stat.rdev()).to_string();
        }
        if self.is_kernel() {
            self.number(run("losetup", &["-nO", "NAME", "-j", path]).trim())
        } else {
            path.into()
        }
    }

    /// The table of a small mirror of two disks that is in sync from the
    /// beginning.
    pub fn equal(&self, one: usize, other: usize) -> String {
        let (one, other) = (self.disk(one), self.disk(other));
        format!("0 2048 mirror core 2 512 nosync 2 {one} 0 {other} 0 1 handle_errors")
    }
}

/// Whether it is a file that [`Lab::disk`] made.
pub fn is_disk(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix("disk"));
    number.is_some_and(|number| number.parse::<usize>().is_ok_and(|number| number < COUNT))
}

/// Bytes of a device or file, past the page cache's old copies.
pub fn bytes(path: &str, offset: u64, size: u64) -> Vec<u8> {
    flush(path);
    let mut file = File::open(path).expect(path);
    file.seek(SeekFrom::Start(offset)).expect("seek");
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).expect("read");
    bytes
}

/// The kernel's mirrors write past the cache of the devices that they stand on.
fn flush(path: &str) {
    if path.starts_with("/dev/") {
        run("blockdev", &["--flushbufs", path]);
    }
}

/// Write `bytes` at `offset`, through to the device.
pub fn put(path: &str, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect(path);
    file.seek(SeekFrom::Start(offset)).expect("seek");
    file.write_all(bytes).expect("write");
    file.sync_all().expect("sync");
}

/// Write other bytes there than there are, in each place: noise has the first byte of
/// any text that is put over it once in 256 times. Answers what stands there then.
pub fn turn(path: &str, offset: u64, size: u64) -> Vec<u8> {
    let mut other = bytes(path, offset, size);
    other.iter_mut().for_each(|byte| *byte = !*byte);
    put(path, offset, &other);
    other
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

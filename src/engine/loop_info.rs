//! What the kernel says of a loop device (include/uapi/linux/loop.h): which file is behind
//! it, whatever its path leads to by now.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::error::Errno;

/// LO_FLAGS_READ_ONLY and LO_FLAGS_AUTOCLEAR.
pub(super) const READ_ONLY: u32 = 1;
pub(super) const AUTOCLEAR: u32 = 4;

/// Words of LO_NAME_SIZE and LO_KEY_SIZE bytes.
const NAME: usize = 64 / 8;
const KEY: usize = 32 / 8;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Info {
    /// What stat(2) shows of the file: the number of its file system, and its own.
    pub(super) device: u64,
    pub(super) inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u64; NAME],
    crypt_name: [u64; NAME],
    encrypt_key: [u64; KEY],
    init: [u64; 2],
}

impl Info {
    /// Of a part of a file, with these flags; a limit of 0 is none.
    pub(super) fn with(flags: u32, offset: u64, limit: u64) -> Info {
        Info {
            flags,
            offset,
            size_limit: limit,
            ..Info::default()
        }
    }
}

nix::ioctl_read_bad!(
    /// LOOP_GET_STATUS64
    loop_get_status64,
    0x4C05,
    Info
);

/// What is behind a loop device.
///
/// ENXIO where nothing is any more, ENOTTY of what is no loop device, and what the file
/// system of the file answers.
pub(super) fn status(device: &File) -> Result<Info, Errno> {
    let mut info = Info::default();
    // SAFETY: the structure is laid out as the kernel's and lives through the call, which
    // fills it; any bytes are numbers.
    unsafe { loop_get_status64(device.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_the_kernel_s() {
        assert_eq!(size_of::<Info>(), 232);
        let null = File::open("/dev/null").unwrap();
        assert_eq!(status(&null).err(), Some(Errno::ENOTTY));
    }
}

//! A file attached to a loop device in one step, LOOP_CONFIGURE (Linux 5.8,
//! drivers/block/loop.c): in two steps, a daemon that is killed between them leaves
//! a loop device that nothing frees.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use crate::error::Errno;

/// LO_FLAGS_READ_ONLY and LO_FLAGS_AUTOCLEAR (include/uapi/linux/loop.h).
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;

/// Bytes of LO_NAME_SIZE and LO_KEY_SIZE.
const NAME: usize = 64;
const KEY: usize = 32;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; NAME],
    crypt_name: [u8; NAME],
    encrypt_key: [u8; KEY],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
pub struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

nix::ioctl_write_ptr_bad!(
    /// LOOP_CONFIGURE
    loop_configure,
    0x4C0A,
    Config
);

/// Attach `backing` to the loop device `device`, to be freed by its last close.
///
/// EBUSY where another was quicker, ENOTTY or EINVAL of a kernel older than 5.8.
pub(super) fn configure(device: RawFd, backing: &File, read_only: bool) -> Result<(), Errno> {
    let fd = u32::try_from(backing.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let config = Config {
        fd,
        block_size: 0,
        info: Info {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: AUTOCLEAR | if read_only { READ_ONLY } else { 0 },
            file_name: [0; NAME],
            crypt_name: [0; NAME],
            encrypt_key: [0; KEY],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the structure is laid out as the kernel's and lives through the call,
    // which only reads it; the caller keeps the device open.
    unsafe { loop_configure(device, &config) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernel_s() {
        assert_eq!(size_of::<Info>(), 232);
        assert_eq!(size_of::<Config>(), 304);
    }

    #[test]
    fn what_is_no_loop_device_is_refused() {
        let null = File::open("/dev/null").unwrap();
        assert_eq!(configure(null.as_raw_fd(), &null, true), Err(Errno::ENOTTY));
    }
}

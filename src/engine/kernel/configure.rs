//! A file attached to a loop device in one step, LOOP_CONFIGURE (Linux 5.8,
//! drivers/block/loop.c): in two steps, a daemon that is killed between them leaves
//! a loop device that nothing frees.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use crate::engine::identity::{LOOP_BLOCK, Window};
use crate::engine::loop_info::{AUTOCLEAR, Info, READ_ONLY};
use crate::error::Errno;

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

/// Attach this part of `backing` to the loop device `device`, to be freed by its last close.
///
/// EBUSY where another was quicker, ENOTTY or EINVAL of a kernel older than 5.8.
pub(super) fn configure(device: RawFd, backing: &File, window: Window) -> Result<(), Errno> {
    let fd = u32::try_from(backing.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let read_only = if window.read_only { READ_ONLY } else { 0 };
    // The kernel's own choice is for whole files.
    let block_size = u32::try_from(window.block_size).ok();
    let config = Config {
        fd,
        block_size: block_size
            .filter(|size| u64::from(*size) != LOOP_BLOCK)
            .unwrap_or(0),
        info: Info::with(AUTOCLEAR | read_only, window.offset, window.limit),
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
    fn the_structure_is_the_kernel_s() {
        assert_eq!(size_of::<Config>(), 304);
    }

    #[test]
    fn what_is_no_loop_device_is_refused() {
        let null = File::open("/dev/null").unwrap();
        assert_eq!(
            configure(null.as_raw_fd(), &null, Window::WHOLE),
            Err(Errno::ENOTTY)
        );
    }
}

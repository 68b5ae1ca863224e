//! A device with a number of one's own choice. The devicemapper crate has no way
//! to pass one, so this is DM_DEV_CREATE by hand (include/uapi/linux/dm-ioctl.h);
//! it knows nothing else.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::error::Errno;

/// DM_PERSISTENT_DEV_FLAG: `dev` is asked for, not only answered.
const PERSISTENT: u32 = 1 << 3;

/// The largest minor number that a device can have (MINORBITS).
const MOST: u32 = (1 << 20) - 1;

/// `struct dm_ioctl`.
#[repr(C)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

const SIZE: u32 = 312;
const _: () = assert!(size_of::<Header>() == SIZE as usize);

nix::ioctl_readwrite!(dm_dev_create, 0xfd, 3, Header);

/// Create `name` with this minor number; an empty `uuid` is none.
///
/// EINVAL for a number or text that does not fit, EBUSY where the name or the UUID
/// is taken, ENXIO where the number is (drivers/md/dm-ioctl.c, dev_create).
pub(super) fn create(control: &File, name: &str, uuid: &str, minor: u32) -> Result<(), Errno> {
    if minor > MOST {
        return Err(Errno::EINVAL);
    }
    let mut header = Header {
        version: [4, 0, 0],
        data_size: SIZE,
        data_start: SIZE,
        target_count: 0,
        open_count: 0,
        flags: PERSISTENT,
        event_nr: 0,
        padding: 0,
        dev: encode(minor),
        name: text(name)?,
        uuid: text(uuid)?,
        data: [0; 7],
    };
    // SAFETY: `header` is a whole `struct dm_ioctl` that says its own size, so
    // the kernel reads and writes inside of it, and it outlives the call.
    unsafe { dm_dev_create(control.as_raw_fd(), &raw mut header) }.map(drop)
}

// huge_encode_dev of major 0, which the kernel does not look at.
fn encode(minor: u32) -> u64 {
    u64::from(minor & 0xff) | u64::from(minor & !0xff) << 12
}

// A text with its final NUL.
fn text<const ROOM: usize>(from: &str) -> Result<[u8; ROOM], Errno> {
    let mut to = [0; ROOM];
    let part = to.get_mut(..from.len()).ok_or(Errno::EINVAL)?;
    if from.len() == ROOM || from.contains('\0') {
        return Err(Errno::EINVAL);
    }
    part.copy_from_slice(from.as_bytes());
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_number_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(encode(0), 0);
        assert_eq!(encode(255), 255);
        assert_eq!(encode(256), 0x10_0000);
        assert_eq!(encode(MOST), 0xfff0_00ff);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let null = File::open("/dev/null").unwrap();
        let long = "m".repeat(128);
        assert_eq!(create(&null, "m", "", MOST + 1), Err(Errno::EINVAL));
        assert_eq!(create(&null, &long, "", 1), Err(Errno::EINVAL));
        assert_eq!(create(&null, "m\0n", "", 1), Err(Errno::EINVAL));
        assert_eq!(create(&null, "m", "", 1), Err(Errno::ENOTTY));
    }
}

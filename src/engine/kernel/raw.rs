//! device-mapper's ioctls by hand, for the few that the devicemapper crate has no
//! way to ask for (include/uapi/linux/dm-ioctl.h). It knows the header and
//! nothing of what is asked.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::engine::{Id, Info};
use crate::error::Errno;
use crate::text::device::DevNo;

/// DM_SUSPEND_FLAG: DM_DEV_SUSPEND suspends; without it, it resumes.
pub(super) const SUSPEND: u32 = 1 << 1;
/// DM_PERSISTENT_DEV_FLAG: `dev` is asked for, not only answered.
pub(super) const PERSISTENT: u32 = 1 << 3;
/// DM_SKIP_LOCKFS_FLAG: the file system is not frozen.
pub(super) const SKIP_LOCKFS: u32 = 1 << 10;
/// DM_DEFERRED_REMOVE: at the last close.
pub(super) const DEFERRED: u32 = 1 << 17;
/// DM_UEVENT_GENERATED_FLAG, of an answer: udev has something to do.
const UEVENT_GENERATED: u32 = 1 << 13;
/// DM_NOFLUSH_FLAG: held I/O is requeued, not waited for.
pub(super) const NOFLUSH: u32 = 1 << 11;

/// DM_STATUS_TABLE_FLAG: the table, not what it is doing.
pub(super) const STATUS_TABLE: u32 = 1 << 4;
/// DM_QUERY_INACTIVE_TABLE_FLAG: the table that waits for a resume.
pub(super) const QUERY_INACTIVE: u32 = 1 << 12;
/// DM_READONLY_FLAG, DM_ACTIVE_PRESENT_FLAG, DM_INACTIVE_PRESENT_FLAG, of an answer.
const READ_ONLY: u32 = 1 << 0;
const LIVE: u32 = 1 << 5;
const INACTIVE: u32 = 1 << 6;
/// DM_BUFFER_FULL_FLAG, of an answer: there was no room for all of it.
const BUFFER_FULL: u32 = 1 << 8;

/// Bytes of a header.
pub(super) const SIZE: u32 = 312;
const NAME: usize = 128;
const UUID: usize = 129;

/// `struct dm_ioctl`. The kernel writes into it: one serves one call.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME],
    uuid: [u8; UUID],
    data: [u8; 7],
}

const _: () = assert!(size_of::<Header>() == SIZE as usize);

impl Header {
    /// EINVAL for a name or a UUID that does not fit.
    pub(super) fn new(name: &str, uuid: &str) -> Result<Self, Errno> {
        Ok(Header {
            version: [4, 0, 0],
            data_size: SIZE,
            data_start: SIZE,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: text(name)?,
            uuid: text(uuid)?,
            data: [0; 7],
        })
    }

    /// EINVAL for what does not fit.
    pub(super) fn of(id: &Id) -> Result<Self, Errno> {
        match id {
            Id::Name(name) => Header::new(name, ""),
            Id::Uuid(uuid) => Header::new("", uuid),
        }
    }

    /// With these flags.
    pub(super) fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// With this room for the answer, the header included.
    pub(super) fn set_room(&mut self, bytes: usize) {
        self.data_size = u32::try_from(bytes).unwrap_or(u32::MAX).max(SIZE);
    }

    /// Bytes that the header says there are, itself included.
    pub(super) fn size(&self) -> usize {
        self.data_size as usize
    }

    /// Whether there was no room for all of an answer.
    pub(super) fn is_full(&self) -> bool {
        self.flags & BUFFER_FULL != 0
    }

    /// The targets of an answer.
    pub(super) fn targets(&self) -> usize {
        self.target_count as usize
    }

    /// Where the text of an answer stands.
    pub(super) fn text(&self) -> std::ops::Range<usize> {
        self.data_start as usize..self.data_size as usize
    }

    /// A device's number as the header has it (`huge_decode_dev`, linux/kdev_t.h).
    pub(super) fn number(dev: u64) -> DevNo {
        let minor = (dev & 0xff) | (dev >> 12 & 0xfff_ff00);
        DevNo {
            major: (dev >> 8 & 0xfff) as u32,
            minor: minor as u32,
        }
    }

    /// Whether an answer says this of its device.
    pub(super) fn is_of(&self, info: &Info) -> bool {
        let has = |flag| self.flags & flag != 0;
        let flags = [SUSPEND, READ_ONLY, LIVE, INACTIVE, DEFERRED].map(has);
        let Info {
            suspended,
            read_only,
            live,
            inactive,
            deferred,
            ..
        } = *info;
        flags == [suspended, read_only, live, inactive, deferred]
            && Header::number(self.dev) == info.dev
            && self.event_nr == info.event_nr
            && u32::try_from(self.open_count).unwrap_or(0) == info.open_count
            && up_to_nul(&self.name) == info.name.as_bytes()
            && up_to_nul(&self.uuid) == info.uuid.as_bytes()
    }

    /// What an answer says of its device.
    pub(super) fn info(&self) -> Info {
        let has = |flag| self.flags & flag != 0;
        Info {
            name: word(&self.name),
            uuid: word(&self.uuid),
            dev: Header::number(self.dev),
            event_nr: self.event_nr,
            open_count: self.open_count.try_into().unwrap_or(0),
            suspended: has(SUSPEND),
            read_only: has(READ_ONLY),
            live: has(LIVE),
            inactive: has(INACTIVE),
            deferred: has(DEFERRED),
        }
    }

    /// For a change that udev's rules act on, and tell of by this cookie.
    pub(super) fn event_nr(self, event_nr: u32) -> Self {
        Header { event_nr, ..self }
    }

    /// Whether the kernel told udev of the change.
    pub(super) fn told_udev(&self) -> bool {
        self.flags & UEVENT_GENERATED != 0
    }

    /// Whether the device is suspended, of an answer.
    pub(super) fn is_suspended(&self) -> bool {
        self.flags & SUSPEND != 0
    }

    /// With this minor number, laid out as huge_encode_dev does (linux/kdev_t.h);
    /// the kernel does not look at the major one.
    pub(super) fn minor(self, minor: u32) -> Self {
        let dev = u64::from(minor & 0xff) | u64::from(minor & !0xff) << 12;
        Header { dev, ..self }
    }
}

/// The header with the text that DM_DEV_RENAME wants behind it.
#[repr(C)]
pub(super) struct Renaming {
    header: Header,
    name: [u8; NAME],
}

impl Renaming {
    /// EINVAL for a name that does not fit.
    pub(super) fn new(old: &str, new: &str, event_nr: u32) -> Result<Self, Errno> {
        let mut header = Header::new(old, "")?.event_nr(event_nr);
        header.data_size += NAME as u32;
        let name = text(new)?;
        Ok(Renaming { header, name })
    }

    /// As [`Header::told_udev`].
    pub(super) fn told_udev(&self) -> bool {
        self.header.told_udev()
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Create,
    Remove,
    Suspend,
    Status,
    Clear,
}

nix::ioctl_readwrite!(dev_create, 0xfd, 3, Header);
nix::ioctl_readwrite!(dev_remove, 0xfd, 4, Header);
nix::ioctl_readwrite!(dev_rename, 0xfd, 5, Header);
nix::ioctl_readwrite!(dev_suspend, 0xfd, 6, Header);
nix::ioctl_readwrite!(dev_status, 0xfd, 7, Header);
nix::ioctl_readwrite!(table_clear, 0xfd, 10, Header);

/// Ask it. Allocates nothing and takes no lock, so that a forked child may.
pub(super) fn call(control: &impl AsRawFd, call: Call, header: &mut Header) -> Result<(), Errno> {
    let control = control.as_raw_fd();
    // SAFETY: `header` is a whole `struct dm_ioctl` that says its own size, so the
    // kernel reads and writes inside of it, and it outlives the call.
    let answer = unsafe {
        match call {
            Call::Create => dev_create(control, header),
            Call::Remove => dev_remove(control, header),
            Call::Suspend => dev_suspend(control, header),
            Call::Status => dev_status(control, header),
            Call::Clear => table_clear(control, header),
        }
    };
    answer.map(drop)
}

/// Rename a device.
pub(super) fn rename(control: &File, renaming: &mut Renaming) -> Result<(), Errno> {
    let header = (&raw mut *renaming).cast::<Header>();
    // SAFETY: the header is the first field of `renaming`, and the size that it
    // gives is that of the whole, which outlives the call.
    unsafe { dev_rename(control.as_raw_fd(), header) }.map(drop)
}

/// A text up to its final NUL.
pub(super) fn up_to_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0);
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn word(text: &[u8]) -> String {
    String::from_utf8_lossy(up_to_nul(text)).into_owned()
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
        let dev = |minor| Header::new("m0", "").unwrap().minor(minor).dev;
        assert_eq!(dev(0), 0);
        assert_eq!(dev(255), 255);
        assert_eq!(dev(256), 0x10_0000);
        assert_eq!(dev((1 << 20) - 1), 0xfff0_00ff);
        for minor in [0, 255, 256, (1 << 20) - 1] {
            let major = 253;
            let number = Header::number(dev(minor) | u64::from(major) << 8);
            assert_eq!(number, DevNo { major, minor });
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |name: &str, uuid: &str| Header::new(name, uuid).err();
        assert_eq!(refused(&"m".repeat(127), &"u".repeat(128)), None);
        assert_eq!(refused(&"m".repeat(128), ""), Some(Errno::EINVAL));
        assert_eq!(refused("", &"u".repeat(129)), Some(Errno::EINVAL));
        assert_eq!(refused("m\0n", ""), Some(Errno::EINVAL));
    }

    #[test]
    fn the_errno_is_passed_on() {
        let null = File::open("/dev/null").unwrap();
        let suspend = [Call::Suspend, Call::Status, Call::Clear];
        for what in [Call::Create, Call::Remove].into_iter().chain(suspend) {
            let mut header = Header::new("m0", "").unwrap();
            assert_eq!(call(&null, what, &mut header), Err(Errno::ENOTTY));
        }
        let mut renaming = Renaming::new("m0", "m1", 0).unwrap();
        assert_eq!(rename(&null, &mut renaming), Err(Errno::ENOTTY));
    }
}

//! The seam to device-mapper: what mirrorfs asks of it, and nothing more.
//!
//! [`Engine`] is device-mapper itself, [`Devices`] the block devices and files
//! below it. Policy, planning and the tree stand above and exist once; an
//! implementation knows nothing of them.

mod arrivals;
pub mod bell;
mod buffer;
mod device_id;
mod dm;
pub mod embedded;
mod facts;
pub mod home;
pub mod host;
pub mod identity;
pub mod inject;
pub mod kernel;
mod loop_info;
pub mod patience;

use std::os::fd::BorrowedFd;

use self::home::{Home, Lying};
use self::identity::Identity;
use crate::error::{Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Line;

pub use self::arrivals::Arrivals;
pub use self::dm::{Id, Info, Kind, Listed, Slot, Suspend, Versions};
pub use self::facts::{
    Attachment, Brought, Doomed, Extent, Facts, Held, Holder, Pin, Span, Traffic,
};

/// The device-mapper operations that mirrorfs needs.
///
/// Calls may block (a suspend waits for I/O, a resume for udev): never make one
/// that changes something on a thread that answers FUSE. A device that is not
/// there answers ENODEV, a name that is taken EEXIST, a device in use EBUSY.
pub trait Engine: Send + Sync {
    /// Which implementation this is.
    fn kind(&self) -> Kind;
    /// Whether its mirrors go on when this process ends.
    fn survives_daemon(&self) -> bool {
        self.kind() == Kind::Kernel
    }
    /// Whether reads and writes of others go through its mirrors, which can be held.
    fn carries_io(&self) -> bool {
        self.kind() == Kind::Kernel
    }
    /// Versions of the interface and of the mirror target.
    fn versions(&self) -> Result<Versions>;
    /// All devices, in the kernel's order (DM_LIST_DEVICES).
    fn list(&self) -> Result<Vec<Listed>>;
    /// The device's header (DM_DEV_STATUS).
    fn info(&self, id: &Id) -> Result<Info>;
    /// The live table's status (DM_TABLE_STATUS).
    fn status(&self, id: &Id) -> Result<(Info, Vec<Line>)>;
    /// A table (DM_TABLE_STATUS with DM_STATUS_TABLE).
    fn table(&self, id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)>;
    /// The devices and files that a table holds open (DM_TABLE_DEPS); none where there is
    /// no such table.
    fn deps(&self, id: &Id, slot: Slot) -> Result<Vec<DeviceRef>>;
    /// A new device without a table (DM_DEV_CREATE); `minor` asks for a number.
    fn create(&self, name: &str, uuid: &str, minor: Option<u32>) -> Result<Info>;
    /// Load a table into the inactive slot (DM_TABLE_LOAD). The error carries
    /// the kernel's own reason where the kernel log has one.
    fn load(&self, id: &Id, table: &[Line], read_only: bool) -> Result<()>;
    /// Throw the inactive table away (DM_TABLE_CLEAR).
    fn clear(&self, id: &Id) -> Result<()>;
    /// Hold I/O (DM_DEV_SUSPEND). Signals are blocked meanwhile.
    fn suspend(&self, id: &Id, how: Suspend) -> Result<()>;
    /// Switch to the inactive table, if any, and resume I/O.
    fn resume(&self, id: &Id) -> Result<()>;
    /// Remove the device; `deferred`: at its last close (DM_DEV_REMOVE).
    fn remove(&self, id: &Id, deferred: bool) -> Result<()>;
    /// Give it another name (DM_DEV_RENAME).
    fn rename(&self, id: &Id, name: &str) -> Result<()>;
    /// Forget past events: [`Engine::events`] is readable only for later ones
    /// (DM_DEV_ARM_POLL).
    fn arm(&self) -> Result<()>;
    /// Each becomes readable at an event, creation, removal, rename or resume of some
    /// device.
    fn events(&self) -> Vec<BorrowedFd<'_>>;
    /// The life that a device's table is in: a count that rises with every resume of
    /// that device, whoever asks for it, also of the same table once more. What was
    /// seen of a table holds for one life.
    ///
    /// Read before a look and again after it, two equal answers say that all that was
    /// seen is of this life.
    fn life(&self, dev: DevNo) -> Result<u64>;
    /// All lives together: a count that rises with each life of any device's table, and
    /// where a device goes. As long as it is the same, so are all tables.
    fn lives(&self) -> Result<u64>;
    /// Percent of time that copying may take (`raid1_resync_throttle`).
    fn throttle(&self) -> Result<u32>;
    /// Set it, 1 to 100.
    fn set_throttle(&self, percent: u32) -> Result<()>;
    /// The process ends: what runs only in it comes to a good end.
    fn close(&self) {}
}

/// EINVAL for anything but 1 to 100: the kernel takes 0 as 1 and more than 100
/// as no limit (drivers/md/dm-kcopyd.c, io_job_start).
fn check_throttle(percent: u32) -> Result<()> {
    let sentence = || format!("a throttle of {percent} is not 1 to 100 percent");
    let right = (1..=100).contains(&percent);
    right
        .then_some(())
        .ok_or_else(|| Error::invalid(sentence()))
}

/// The block devices and files below device-mapper.
pub trait Devices: Send + Sync {
    /// What is known of `device`. A path that does not exist is ENOENT; what is
    /// neither a block device nor a regular file is ENODEV.
    fn facts(&self, device: &DeviceRef) -> Result<Facts>;
    /// What tells it from all others, whatever it is called later. A loop device is
    /// known by its file.
    fn identity(&self, facts: &Facts) -> Result<Identity>;
    /// How a table names what has this identity now: ENODEV where a device is not there,
    /// ENOENT where a file is not, EINVAL where it has changed or two have it.
    fn find(&self, identity: &Identity) -> Result<DeviceRef>;
    /// The same, made where it is a part of a file that a loop device showed and shows no
    /// more.
    fn bring(&self, identity: &Identity) -> Result<Brought> {
        self.find(identity).map(Brought::There)
    }
    /// Make the regular file that was looked at usable in a table.
    fn attach(&self, facts: &Facts, read_only: bool) -> Result<Attachment>;
    /// Read the block of `device` that has this byte, past every cache; the errno
    /// is read(2)'s.
    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()>;
    /// Who holds a block device, or what shares its bytes, but for mappings that are
    /// made of the very device, whose tables say which part of it they use: arrays,
    /// loop devices of the same file, mappings of its partitions or of its disk. Asks
    /// the kernel alone, and waits for nobody.
    fn holders(&self, device: &DeviceRef) -> Vec<Holder>;
    /// Let the device's own cache reach its medium, as a flush through it does; the
    /// errno is fsync(2)'s.
    fn flush(&self, device: &DeviceRef) -> Result<()>;
    /// Read the first and the last block of these bytes and write them back as they
    /// are, past every cache: only a write tells whether a disk can be written. A
    /// hole of a file stays one.
    fn prove(&self, device: &DeviceRef, span: Span) -> Result<()>;
    /// What would be lost with these bytes, as libblkid(3) names it: a file system, a
    /// partition table, a part of a RAID or of LVM where they begin, or in a
    /// partition of the device that they reach into; none where it knows nothing.
    fn signature(&self, device: &DeviceRef, doomed: Doomed) -> Result<Option<Held>>;
    /// What these bytes begin with, and nothing behind them, as [`Devices::signature`]
    /// names it.
    fn carried(&self, device: &DeviceRef, span: Span) -> Result<Option<Held>>;
    /// The partitions of what these bytes are a disk of, seen from their beginning.
    fn partitions(&self, device: &DeviceRef, span: Span) -> Result<Vec<Span>>;
    /// What goes through a block device; none of what is none.
    fn traffic(&self, dev: DevNo) -> Option<Traffic>;
    /// What the bytes of a device, of a file, or of a file that would be made, lie on.
    /// This looks at file systems, which may not answer while a device below them is
    /// held: ask before.
    fn home(&self, device: &DeviceRef) -> Home;
    /// Whether something with this home lies on a device, or on what is made of it.
    /// This looks at no file system.
    fn lies_on(&self, home: &Home, dev: DevNo) -> Lying;
    /// Let the system look again at a device that nothing here uses any more: a
    /// `change` event of it and of its partitions, by which udev's links are made. It
    /// waits for no disk. What is no device has none.
    fn let_go(&self, device: &DeviceRef) -> Result<()>;
    /// Let the kernel read the partition table of a whole disk in again that nobody
    /// uses. It may wait for as long as the disk hangs.
    fn read_partitions(&self, device: &DeviceRef) -> Result<()>;
    /// Listen for devices and mounts that come.
    fn arrivals(&self) -> Result<Arrivals> {
        Arrivals::open()
    }
    /// Who else uses the device or file, as words for a sentence: `mounted on
    /// /home`, `used by the mapping vg0-root`; none where it is free. What the
    /// devices in `own` hold does not count.
    fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>>;
}

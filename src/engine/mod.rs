//! The seam to device-mapper: what mirrorfs asks of it, and nothing more.
//!
//! [`Engine`] is device-mapper itself, [`Devices`] the block devices and files
//! below it. Policy, planning and the tree stand above and exist once; an
//! implementation knows nothing of them.

mod arrivals;
pub mod bell;
mod buffer;
mod changes;
mod device_id;
mod direct;
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
mod prompt;
pub mod shown;

use self::home::Home;
use self::identity::Identity;
use crate::error::{Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Line;

pub use self::arrivals::Arrivals;
pub use self::buffer::Buffer;
pub use self::changes::Changes;
pub use self::direct::{Direct, is_of_the_medium};
pub use self::dm::{Id, Info, Kind, Listed, Slot, Suspend, Versions};
pub use self::facts::{
    Attachment, Brought, Doomed, Extent, Facts, Found, Held, Holder, Medium, Pin, Sight, Span,
    Traffic,
};
pub use self::prompt::{PromptDevices, PromptEngine};

/// The device-mapper operations that change something, beside those that look.
///
/// They may block (a suspend waits for I/O, a resume for udev). A device that is not
/// there answers ENODEV, a name that is taken EEXIST, a device in use EBUSY.
pub trait Engine: PromptEngine {
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
    /// The same of a device that is in use, without waiting for anybody who only looks at
    /// it afterwards.
    fn resume_at_once(&self, id: &Id) -> Result<()> {
        self.resume(id)
    }
    /// Remove the device; `deferred`: at its last close (DM_DEV_REMOVE).
    fn remove(&self, id: &Id, deferred: bool) -> Result<()>;
    /// Give it another name (DM_DEV_RENAME).
    fn rename(&self, id: &Id, name: &str) -> Result<()>;
    /// Set the percent of time that copying may take, 1 to 100.
    fn set_throttle(&self, percent: u32) -> Result<()>;
    /// A device answers late: what is copied from or to it goes in large jobs.
    fn note_late(&self, _: DevNo) {}
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

/// The block devices and files below device-mapper. Calls may wait for as long as a disk
/// or a file system hangs, but for those of [`PromptDevices`].
pub trait Devices: PromptDevices {
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
    /// Open a device or file to read it past every cache, or to `write` it too; the
    /// errno is open(2)'s.
    fn direct(&self, device: &DeviceRef, write: bool) -> Result<Box<dyn Direct>>;
    /// How long the quickest of a few small reads of each block device takes, and whether it
    /// says that it turns (`queue/rotational`); none of what is no device, or does not
    /// answer within a moment.
    fn media(&self, devices: &[DeviceRef]) -> Vec<Option<Medium>> {
        vec![None; devices.len()]
    }
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
    /// What the bytes of a device, of a file, or of a file that would be made, lie on.
    /// This looks at file systems, which may not answer while a device below them is
    /// held: ask before.
    fn home(&self, device: &DeviceRef) -> Home;
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

//! The calls that answer at once, whatever hangs: device-mapper's ioctls that only look,
//! and what /sys says of devices. Whoever lets writers go on, and whoever answers a read,
//! makes no others; it is these types that they are given.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::changes::Changes;
use super::dm::{Id, Info, Kind, Listed, Slot, Versions};
use super::facts::{Found, Holder, Traffic};
use super::home::{Home, Lying};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Line;

/// The device-mapper operations that look, and wait for no device. One that is not there
/// answers ENODEV.
pub trait PromptEngine: Send + Sync {
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
    /// All devices, in the kernel's order (DM_LIST_DEVICES), each with the life that its
    /// table was in before. As long as nothing of it is otherwise it may be the same list.
    fn list(&self) -> Result<Arc<[Listed]>>;
    /// The device's header (DM_DEV_STATUS).
    fn info(&self, id: &Id) -> Result<Info>;
    /// The live table's status (DM_TABLE_STATUS).
    fn status(&self, id: &Id) -> Result<(Info, Vec<Line>)>;
    /// The same, where it is another than what was seen before; none where it is not.
    fn status_unless(&self, id: &Id, seen: (&Info, &[Line])) -> Result<Option<(Info, Vec<Line>)>> {
        let (info, lines) = self.status(id)?;
        let same = (&info, lines.as_slice()) == seen;
        Ok((!same).then_some((info, lines)))
    }
    /// A table (DM_TABLE_STATUS with DM_STATUS_TABLE).
    fn table(&self, id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)>;
    /// The devices and files that a table holds open (DM_TABLE_DEPS); none where there is
    /// no such table.
    fn deps(&self, id: &Id, slot: Slot) -> Result<Vec<DeviceRef>>;
    /// Forget past events: [`PromptEngine::events`] is readable only for later ones
    /// (DM_DEV_ARM_POLL).
    fn arm(&self) -> Result<()>;
    /// Each becomes readable at an event, creation, removal, rename or resume of some
    /// device.
    fn events(&self) -> Vec<BorrowedFd<'_>>;
    /// Becomes readable when there may be something to [`PromptEngine::hear`], most of
    /// which is nothing to anybody here.
    fn messages(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Take in what is to be heard. Where it is something, one of
    /// [`PromptEngine::events`] is readable then, whoever has heard it.
    fn hear(&self) {}
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
    /// What the kernel has said of block devices so far, whoever uses them.
    ///
    /// # Errors
    /// ENOTSUP where nobody listens: what was seen of a device may be otherwise at any time.
    fn changes(&self) -> Result<Changes> {
        let sentence = "nobody listens for changes of block devices";
        Err(Error::new(Errno::ENOTSUP, sentence))
    }
    /// Percent of time that copying may take (`raid1_resync_throttle`).
    fn throttle(&self) -> Result<u32>;
}

/// What can be known of block devices and files without waiting for any of them.
pub trait PromptDevices: Send + Sync {
    /// What a device or file is called and how large it is. Of a device the kernel alone
    /// is asked, each time; of a file its file system, which may not answer.
    fn sight(&self, device: &DeviceRef) -> Found;
    /// The first bytes of a device or file, past every cache; none where it does not answer
    /// within a moment.
    fn head(&self, device: &DeviceRef, size: u64) -> Option<Vec<u8>>;
    /// Who holds each of these block devices, or what shares its bytes, but for mappings
    /// that are made of the very device, whose tables say which part of it they use:
    /// arrays, loop devices of the same file, mappings of its partitions or of its disk.
    fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>>;
    /// What goes through a block device; none of what is none.
    fn traffic(&self, dev: DevNo) -> Option<Traffic>;
    /// Whether something with this home lies on a device, or on what is made of it.
    fn lies_on(&self, home: &Home, dev: DevNo) -> Lying;
    /// Let the system look again at a device that nothing here uses any more: a
    /// `change` event of it and of its partitions, by which udev's links are made. What
    /// is no device has none.
    fn let_go(&self, device: &DeviceRef) -> Result<()>;
}

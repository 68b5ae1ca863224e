//! The kernel's device-mapper behind the seam, through the devicemapper crate.
//! Only this folder names `devicemapper::DM`; it knows nothing of what a mirror
//! is for.

mod alone;
mod answers;
mod change;
mod configure;
mod convert;
mod cookie;
mod create;
pub mod devices;
mod failure;
mod guards;
mod ids;
mod kmsg;
mod listing;
mod lives;
mod loops;
mod nodes;
mod only;
mod open;
mod raw;
mod signals;
mod subjobs;
mod suspend;
mod throttle;
mod turn;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use devicemapper::{DM, DmError, DmFlags, DmOptions};

use self::convert::{number, target};
use self::failure::{failure, refusal};
use self::guards::Guards;
use self::ids::Fitting;
use self::kmsg::Mark;
use self::listing::Listing;
use self::lives::Lives;
use self::nodes::Nodes;
use self::only::Only;
use self::raw::{Call, DEFERRED, NOFLUSH};
use self::signals::Blocked;
use self::subjobs::Subjobs;
use self::turn::Turn;
use super::{Changes, Engine, Id, Info, Kind, Listed, PromptEngine, Slot, Suspend, Versions};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Line;

/// How long a load waits for others, so that the kernel log's lines that name no device can
/// be told apart; then it goes on without them. Short: writers may wait for it, and another
/// load may hang on a dead disk.
const LOAD_TURN_WITHIN: Duration = Duration::from_millis(250);

/// How long a removal waits for those who hold the device open for a moment.
const REMOVE_TRIES: u32 = 15;
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// device-mapper, as the kernel has it.
pub struct Kernel {
    dm: DM,
    // Readiness belongs to the open file: no other call may touch this one.
    events: DM,
    nodes: Nodes,
    loads: Turn,
    guards: Guards,
    lives: Lives,
    listing: Listing,
    subjobs: Subjobs,
    _only: Option<Only>,
}

impl Kernel {
    /// Open device-mapper, and load its modules where they are missing.
    ///
    /// ENODEV where this kernel has none, EACCES or EPERM for who is not root,
    /// ENOTSUP where it is older than 4.37 (drivers/md/dm-ioctl.c,
    /// DM_DEV_ARM_POLL).
    pub fn open() -> Result<Kernel> {
        Ok(Kernel {
            dm: open::dm()?,
            events: open::dm()?,
            nodes: Nodes::default(),
            loads: Turn::default(),
            guards: Guards::default(),
            lives: Lives::listen()?,
            listing: Listing::default(),
            subjobs: Subjobs::default(),
            _only: None,
        })
    }

    /// The same, and no other daemon beside it as long as it is kept.
    ///
    /// # Errors
    /// EBUSY where another daemon has it.
    pub fn claimed(self) -> Result<Kernel> {
        let _only = Some(only::only()?);
        self.subjobs.put_back();
        Ok(Kernel { _only, ..self })
    }

    /// Leave `kcopyd_subjob_size_kb` alone.
    pub fn keep_subjobs(&self) {
        self.subjobs.turn_off();
    }

    fn failed(&self, doing: &str, id: &Id, error: &DmError) -> Error {
        // People know a device by its name, not its UUID.
        let called = self
            .info(id)
            .map_or_else(|_| id.to_string(), |info| info.name);
        failure(format_args!("{doing} {called}"), error)
    }

    fn lines(&self, id: &Id, flags: u32, doing: &str) -> Result<(Info, Vec<Line>)> {
        let lines = self.lines_unless(id, flags, None, doing)?;
        lines.ok_or_else(|| Error::new(Errno::EIO, format!("{doing} {id}: there is no answer")))
    }

    fn lines_unless(
        &self,
        id: &Id,
        flags: u32,
        seen: Option<(&Info, &[Line])>,
        doing: &str,
    ) -> Result<Option<(Info, Vec<Line>)>> {
        let header = ids::header(id)?.flags(flags | NOFLUSH);
        answers::lines_unless(self.dm.file(), header, seen).map_err(|errno| {
            // People know a device by its name, not its UUID.
            let info = self.info(id);
            let called = info.map_or_else(|_| id.to_string(), |info| info.name);
            refusal(format_args!("{doing} {called}"), errno)
        })
    }

    fn make(&self, name: &str, uuid: &str, minor: Option<u32>) -> Result<()> {
        let asked = format!("creating {name}");
        let known = ids::name(name)?;
        let unique = match uuid {
            "" => None,
            text => Some(ids::uuid(text)?),
        };
        match minor {
            Some(minor) => create::create(self.dm.file(), name, uuid, minor)
                .map_err(|errno| refusal(&asked, errno)),
            None => self
                .dm
                .device_create(&known, unique.as_deref(), DmOptions::default())
                .map(drop)
                .map_err(|e| failure(asked, &e)),
        }
    }

    fn not_removed(&self, device: &Info, errno: Errno) -> Error {
        let name = &device.name;
        let open = self.info(&device.id()).map_or(0, |info| info.open_count);
        match errno {
            Errno::EBUSY => Error::busy(format!(
                "{name} is open (users: {open}): unmount or close it first, or write `remove deferred`"
            )),
            errno => refusal(format_args!("removing {name}"), errno),
        }
    }

    /// Which of the three is taken, if one is.
    fn taken(&self, name: &str, uuid: &str, minor: Option<u32>) -> Option<Error> {
        if self.info(&Id::Name(name.into())).is_ok() {
            let sentence = format!("the name {name} is taken");
            return Some(Error::new(Errno::EEXIST, sentence));
        }
        if let Ok(other) = self.info(&Id::Uuid(uuid.into())) {
            let sentence = format!("the UUID {uuid} is that of {}", other.name);
            return Some(Error::new(Errno::EEXIST, sentence));
        }
        minor.map(|minor| Error::busy(format!("creating {name}: minor number {minor} is in use")))
    }
}

fn options(flags: DmFlags) -> DmOptions {
    DmOptions::default().set_flags(flags)
}

impl PromptEngine for Kernel {
    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn versions(&self) -> Result<Versions> {
        let asked = "asking device-mapper for its versions";
        let (major, minor, patch) = self.dm.version().map_err(|e| failure(asked, &e))?;
        let targets = self.dm.list_versions().map_err(|e| failure(asked, &e))?;
        let mirror = targets.iter().find(|(name, ..)| name == "mirror");
        Ok(Versions {
            dm: format!("{major}.{minor}.{patch}"),
            mirror: mirror.map(|(_, major, minor, patch)| format!("{major}.{minor}.{patch}")),
        })
    }

    fn list(&self) -> Result<Arc<[Listed]>> {
        self.listing.now(self.dm.file(), &self.lives)
    }

    fn info(&self, id: &Id) -> Result<Info> {
        let mut header = ids::header(id)?;
        raw::call(self.dm.file(), Call::Status, &mut header)
            .map(|()| header.info())
            .map_err(|errno| refusal(format_args!("looking up {id}"), errno))
    }

    fn status(&self, id: &Id) -> Result<(Info, Vec<Line>)> {
        // Without it, reading a thin pool's status would write its metadata.
        self.lines(id, 0, "reading the status of")
    }

    fn status_unless(&self, id: &Id, seen: (&Info, &[Line])) -> Result<Option<(Info, Vec<Line>)>> {
        self.lines_unless(id, 0, Some(seen), "reading the status of")
    }

    fn table(&self, id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)> {
        let flags = match slot {
            Slot::Live => raw::STATUS_TABLE,
            Slot::Inactive => raw::STATUS_TABLE | raw::QUERY_INACTIVE,
        };
        self.lines(id, flags, "reading the table of")
    }

    fn deps(&self, id: &Id, slot: Slot) -> Result<Vec<DeviceRef>> {
        let which = Fitting::new(id)?;
        let flags = match slot {
            Slot::Live => DmFlags::empty(),
            Slot::Inactive => DmFlags::DM_QUERY_INACTIVE_TABLE,
        };
        self.dm
            .table_deps(&which.dev_id(), options(flags))
            .map(|devices| {
                devices
                    .into_iter()
                    .map(number)
                    .map(DeviceRef::Number)
                    .collect()
            })
            .map_err(|e| self.failed("asking for the devices below", id, &e))
    }

    fn arm(&self) -> Result<()> {
        let asked = "arming the poll of device-mapper's events";
        self.lives.catch_up();
        self.events
            .arm_poll()
            .map(drop)
            .map_err(|e| failure(asked, &e))
    }

    fn events(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.events.file().as_fd(), self.lives.news()]
    }

    fn messages(&self) -> Option<BorrowedFd<'_>> {
        self.lives.messages()
    }

    fn hear(&self) {
        self.lives.hear();
    }

    fn life(&self, dev: DevNo) -> Result<u64> {
        self.lives.of(dev)
    }

    fn lives(&self) -> Result<u64> {
        self.lives.all()
    }

    fn changes(&self) -> Result<Changes> {
        self.lives.changes()
    }

    fn throttle(&self) -> Result<u32> {
        throttle::get()
    }
}

impl Kernel {
    /// Resume a device; `by` makes the change.
    fn resume_by(&self, id: &Id, by: &dyn Fn(&File) -> Result<(), Errno>) -> Result<()> {
        let device = self.info(id)?;
        // The kernel would suspend by itself, and without the care that it takes:
        // with a flush, which fails what is held.
        if device.live && device.inactive && !device.suspended {
            self.suspend(id, Suspend::REQUEUE)?;
        }
        self.guards.check(&device)?;
        let mark = Mark::now();
        by(self.dm.file())
            .map_err(|errno| refusal(format_args!("resuming {}", device.name), errno))
            // Other calls may go on at the same time, so only what names this
            // device counts.
            .map_err(|e| mark.explain(e, device.dev, false))?;
        self.guards.release(device.dev);
        self.nodes.make(&device.name, device.dev);
        Ok(())
    }
}

impl Engine for Kernel {
    fn create(&self, name: &str, uuid: &str, minor: Option<u32>) -> Result<Info> {
        self.make(name, uuid, minor).map_err(|e| match e.errno() {
            // EBUSY for a name or a UUID, ENXIO for a number (dm-ioctl.c,
            // dev_create).
            Errno::EBUSY | Errno::ENODEV => self.taken(name, uuid, minor).unwrap_or(e),
            _ => e,
        })?;
        self.info(&Id::Name(name.into()))
    }

    fn load(&self, id: &Id, table: &[Line], read_only: bool) -> Result<()> {
        let targets = table.iter().map(target).collect::<Result<Vec<_>>>()?;
        let which = Fitting::new(id)?;
        let Info { name, dev, .. } = self.info(id)?;
        let flags = if read_only {
            DmFlags::DM_READONLY
        } else {
            DmFlags::empty()
        };
        let alone = self.loads.take(LOAD_TURN_WITHIN);
        let _enlarged = self.subjobs.enlarge(table);
        let mark = Mark::now();
        self.dm
            .table_load(&which.dev_id(), &targets, options(flags))
            .map(drop)
            .map_err(|e| failure(format_args!("loading a table into {name}"), &e))
            .map_err(|e| mark.explain(e, dev, alone.is_some()))
    }

    fn clear(&self, id: &Id) -> Result<()> {
        let which = Fitting::new(id)?;
        self.dm
            .table_clear(&which.dev_id())
            .map(|header| self.guards.cleared(number(header.device())))
            .map_err(|e| self.failed("clearing the inactive table of", id, &e))
    }

    fn suspend(&self, id: &Id, how: Suspend) -> Result<()> {
        let device = self.info(id)?;
        let _quiet = Blocked::all()?;
        let guard = suspend::suspend(self.dm.file(), id, how)
            .map_err(|errno| refusal(format_args!("suspending {}", device.name), errno))?;
        let guard = guard.into_iter();
        guard.for_each(|guard| self.guards.stand(&device, guard));
        Ok(())
    }

    fn resume(&self, id: &Id) -> Result<()> {
        self.resume_by(id, &|control| change::change(control, Call::Suspend, id, 0))
    }

    fn resume_at_once(&self, id: &Id) -> Result<()> {
        self.resume_by(id, &|control| change::at_once(control, Call::Suspend, id))
    }

    fn remove(&self, id: &Id, deferred: bool) -> Result<()> {
        let device = self.info(id)?;
        let flags = if deferred { DEFERRED } else { 0 };
        let mut tries = 0..REMOVE_TRIES;
        while let Err(errno) = change::change(self.dm.file(), Call::Remove, id, flags) {
            // udev opens each new or changed device for a moment.
            let again = errno == Errno::EBUSY && tries.next().is_some();
            if !again {
                return Err(self.not_removed(&device, errno));
            }
            sleep(REMOVE_PAUSE);
        }
        // One that waits for its last close keeps its node until then.
        if self.info(&device.id()).is_err() {
            self.guards.release(device.dev);
            self.nodes.remove(&device.name, device.dev);
        }
        Ok(())
    }

    fn rename(&self, id: &Id, name: &str) -> Result<()> {
        ids::name(name)?;
        let before = self.info(id)?;
        change::rename(self.dm.file(), &before.name, name).map_err(|errno| match errno {
            Errno::EBUSY => Error::new(
                Errno::EEXIST,
                format!("renaming {}: the name {name} is taken", before.name),
            ),
            errno => refusal(format_args!("renaming {} to {name}", before.name), errno),
        })?;
        self.nodes.remove(&before.name, before.dev);
        if before.live {
            self.nodes.make(name, before.dev);
        }
        Ok(())
    }

    fn set_throttle(&self, percent: u32) -> Result<()> {
        throttle::set(percent)
    }

    fn note_late(&self, dev: DevNo) {
        self.subjobs.note_late(dev);
    }

    fn close(&self) {
        change::forget_late();
    }
}

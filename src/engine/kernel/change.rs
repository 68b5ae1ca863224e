//! Changes that udev's rules act on: the ioctl with signals blocked, then a
//! bounded wait for the rules' end.

use std::fs::File;
use std::time::Duration;

use parking_lot::Mutex;

use super::cookie::Cookie;
use super::raw::{self, Call, Header, Renaming};
use super::signals::Blocked;
use crate::engine::Id;
use crate::engine::patience::Patience;
use crate::error::Errno;

/// How long udev has to make the links of a device that was resumed, and to take
/// away or rename those of one that is gone: that is only for the eye, and who
/// removes or renames a folder keeps the whole root locked.
const UDEV_MAKES: Duration = Duration::from_secs(3);
const UDEV_TIDIES: Duration = Duration::from_secs(1);

/// With udev as a whole: a worker that hangs in one device answers for no other, but a
/// daemon that has stopped answers for none.
static UDEV: Patience = Patience::new(UDEV_MAKES, UDEV_WHEN_LATE, UDEV_FORGIVEN);
const UDEV_WHEN_LATE: Duration = Duration::from_millis(500);
const UDEV_FORGIVEN: Duration = Duration::from_secs(30);

/// What it has not answered yet: once it has, it is waited for again.
static LATE: Mutex<Option<Cookie>> = Mutex::new(None);

/// Make a change; the errno is the kernel's (drivers/md/dm-ioctl.c).
pub(super) fn change(control: &File, what: Call, id: &Id, flags: u32) -> Result<(), Errno> {
    let _quiet = Blocked::all().map_err(|error| error.errno())?;
    let cookie = Cookie::new();
    let told_udev = call(control, what, id, flags, &cookie)?;
    let limit = match what {
        Call::Remove => UDEV_TIDIES,
        _ => UDEV_MAKES,
    };
    settle(cookie, told_udev, limit);
    Ok(())
}

/// The same without waiting for udev's rules.
pub(super) fn at_once(control: &File, what: Call, id: &Id) -> Result<(), Errno> {
    let _quiet = Blocked::all().map_err(|error| error.errno())?;
    call(control, what, id, 0, &Cookie::none()).map(drop)
}

/// Whether udev was told of it.
fn call(control: &File, what: Call, id: &Id, flags: u32, cookie: &Cookie) -> Result<bool, Errno> {
    let header = Header::of(id)?.flags(flags);
    let mut header = header.event_nr(cookie.event_nr());
    raw::call(control, what, &mut header)?;
    Ok(header.told_udev())
}

/// Rename a device, which the kernel does by name only.
pub(super) fn rename(control: &File, old: &str, new: &str) -> Result<(), Errno> {
    let _quiet = Blocked::all().map_err(|error| error.errno())?;
    let cookie = Cookie::new();
    let mut renaming = Renaming::new(old, new, cookie.event_nr())?;
    raw::rename(control, &mut renaming)?;
    settle(cookie, renaming.told_udev(), UDEV_TIDIES);
    Ok(())
}

fn settle(cookie: Cookie, told_udev: bool, limit: Duration) {
    if !told_udev {
        return;
    }
    let mut late = LATE.lock();
    if late.take_if(|late| late.wait(Duration::ZERO)).is_some() {
        UDEV.answered();
    }
    drop(late);
    if cookie.wait(UDEV.at_most(limit)) {
        UDEV.answered();
    } else {
        UDEV.ran_out();
        log::warn!("udev has not processed the change yet: device links may be late");
        *LATE.lock() = Some(cookie);
    }
}

/// The process ends: no semaphore stays.
pub(super) fn forget_late() {
    drop(LATE.lock().take());
}

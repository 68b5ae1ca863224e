//! The lives of tables. device-mapper has no number that tells one load of a table
//! from the next: the same text, loaded again, looks the same, and a switch raises no
//! device's event number. But each resume sends a `change` to whoever listens to the
//! kernel's uevents (drivers/md/dm-ioctl.c, `do_resume`), before the call that resumed
//! returns. They are counted here. Where some may have been missed, every device has a
//! new life.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket,
};
use parking_lot::{Mutex, MutexGuard};

use crate::engine::bell::Bell;
use crate::error::{Errno, Error, Result};
use crate::text::device::DevNo;

/// The multicast group of the kernel itself; 2 is udev's.
const KERNEL: u32 = 1;

/// More than any message (UEVENT_BUFFER_SIZE, include/linux/kobject.h, and a path).
const MESSAGE: usize = 8192;

/// What may wait to be heard, in bytes: a thousand mirrors come and go at once.
const ROOM: usize = 4 << 20;

/// How often each device was resumed, as far as it was heard.
pub(super) struct Lives {
    socket: Option<OwnedFd>,
    heard: Mutex<Heard>,
    /// Rung by whoever hears of one: a message is there for the first who asks, who need
    /// not be the one who waits for it.
    news: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Added to every count: rises where something may have been missed.
    missed: u64,
    /// Of all devices together.
    all: u64,
    counts: Arc<HashMap<DevNo, u64>>,
}

/// The lives of all tables at one moment.
pub(super) struct AllLives {
    missed: u64,
    counts: Arc<HashMap<DevNo, u64>>,
}

impl AllLives {
    /// That of a device.
    pub(super) fn of(&self, dev: DevNo) -> u64 {
        let count = self.counts.get(&dev).copied().unwrap_or(0);
        self.missed.saturating_add(count)
    }
}

impl Lives {
    /// Listen from now on.
    ///
    /// # Errors
    /// EMFILE, ENFILE where no descriptor can be had.
    pub(super) fn listen() -> Result<Lives> {
        let socket = open().map_err(|errno| {
            log::warn!(
                "cannot receive kernel uevents ({}): which legs were equal is not remembered",
                errno.desc()
            );
        });
        Ok(Lives {
            socket: socket.ok(),
            heard: Mutex::default(),
            news: Bell::new()?,
        })
    }

    /// Becomes readable when there is a message, of whatever device.
    pub(super) fn messages(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Becomes readable when it was heard that some mapping was resumed.
    pub(super) fn news(&self) -> BorrowedFd<'_> {
        self.news.fd()
    }

    /// Count what was sent meanwhile.
    pub(super) fn hear(&self) {
        drop(self.heard_now());
    }

    /// Forget the news so far: called before the look that they ask for.
    pub(super) fn catch_up(&self) {
        self.hear();
        self.news.silence();
    }

    /// The life of a device's table.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn of(&self, dev: DevNo) -> Result<u64> {
        Ok(self.each()?.of(dev))
    }

    /// That of each device, of this moment.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn each(&self) -> Result<AllLives> {
        let heard = self.ask()?;
        Ok(AllLives {
            missed: heard.missed,
            counts: Arc::clone(&heard.counts),
        })
    }

    /// All lives of all tables together.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn all(&self) -> Result<u64> {
        let heard = self.ask()?;
        Ok(heard.missed.saturating_add(heard.all))
    }

    fn ask(&self) -> Result<MutexGuard<'_, Heard>> {
        if self.socket.is_none() {
            let sentence = "cannot receive kernel uevents";
            return Err(Error::new(Errno::ENOTSUP, sentence));
        }
        Ok(self.heard_now())
    }

    fn heard_now(&self) -> MutexGuard<'_, Heard> {
        let mut heard = self.heard.lock();
        if let Some(socket) = &self.socket
            && heard.hear(socket)
        {
            self.news.ring();
        }
        heard
    }
}

impl Heard {
    /// Count what was sent; answers whether there was something to count.
    fn hear(&mut self, socket: &OwnedFd) -> bool {
        let before = (self.all, self.missed);
        let mut message = [0; MESSAGE];
        loop {
            match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut message) {
                Ok((size, from)) => {
                    let kernel = from.is_some_and(|from| from.pid() == 0);
                    let text = message.get(..size).filter(|_| kernel);
                    if let Some(dev) = text.and_then(resumed) {
                        *Arc::make_mut(&mut self.counts).entry(dev).or_default() += 1;
                        self.all += 1;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // ENOBUFS: there was no room for some.
                Err(_) => {
                    self.missed += 1;
                    break;
                }
            }
        }
        before != (self.all, self.missed)
    }
}

fn open() -> std::result::Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkKObjectUEvent;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
    // With less room more is missed, and that is only more careful.
    let _ = setsockopt(&socket, RcvBufForce, &ROOM);
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL))?;
    Ok(socket)
}

/// The mapping that a message says was made, resumed, renamed or removed; none of what
/// somebody only asked the kernel to say (`SYNTH_UUID`, lib/kobject_uevent.c), as udev
/// does whenever a device that was written to is closed.
fn resumed(message: &[u8]) -> Option<DevNo> {
    let lines = message.split(|byte| *byte == 0);
    let words = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once('='));
    let words: HashMap<&str, &str> = words.collect();
    let is_mapping = words
        .get("DEVNAME")
        .is_some_and(|name| name.starts_with("dm-"));
    let counts = is_mapping && !words.contains_key("SYNTH_UUID");
    let number = |word: &str| words.get(word)?.parse().ok();
    counts.then_some(())?;
    Some(DevNo {
        major: number("MAJOR")?,
        minor: number("MINOR")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESUMED: &str = "change@/devices/virtual/block/dm-3\0ACTION=change\0\
        DEVPATH=/devices/virtual/block/dm-3\0SUBSYSTEM=block\0DM_COOKIE=4198402\0MAJOR=254\0\
        MINOR=3\0DEVNAME=dm-3\0DEVTYPE=disk\0DISKSEQ=9\0SEQNUM=1201\0";

    #[test]
    fn a_resume_counts_and_what_udev_asked_for_does_not() {
        let dev = DevNo {
            major: 254,
            minor: 3,
        };
        assert_eq!(resumed(RESUMED.as_bytes()), Some(dev));
        let asked = RESUMED.to_owned() + "SYNTH_UUID=0\0";
        assert_eq!(resumed(asked.as_bytes()), None);
        let disk = RESUMED.replace("DEVNAME=dm-3", "DEVNAME=sda");
        assert_eq!(resumed(disk.as_bytes()), None);
        for odd in ["", "\0", "libudev\0\u{1}", "DEVNAME=dm-1\0MAJOR=x\0MINOR=1"] {
            assert_eq!(resumed(odd.as_bytes()), None, "{odd:?}");
        }
    }

    #[test]
    fn where_nothing_can_be_heard_nothing_is_known() {
        let deaf = Lives {
            socket: None,
            heard: Mutex::default(),
            news: Bell::new().unwrap(),
        };
        let dev = DevNo { major: 0, minor: 0 };
        assert_eq!(deaf.of(dev).map_err(|e| e.errno()), Err(Errno::ENOTSUP));
        assert!(deaf.messages().is_none());
    }
}

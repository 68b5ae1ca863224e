//! The lives of tables. device-mapper has no number that tells one load of a table
//! from the next: the same text, loaded again, looks the same, and a switch raises no
//! device's event number. But each resume sends a `change` to whoever listens to the
//! kernel's uevents (drivers/md/dm-ioctl.c, `do_resume`), before the call that resumed
//! returns. They are counted here. Where some may have been missed, every device has a
//! new life. What is said of other block devices is counted beside.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket,
};
use parking_lot::{Mutex, MutexGuard};

use crate::engine::Changes;
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
    /// The lives of mappings.
    lives: Changes,
    /// All that was said of block devices, also since somebody asked for it.
    changes: Changes,
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
        Ok(self.ask()?.lives.of(dev))
    }

    /// That of each device, of this moment.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn each(&self) -> Result<Changes> {
        Ok(self.ask()?.lives.clone())
    }

    /// All lives of all tables together.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn all(&self) -> Result<u64> {
        Ok(self.ask()?.lives.all())
    }

    /// What was said of block devices, of this moment.
    ///
    /// # Errors
    /// ENOTSUP where nothing can be heard.
    pub(super) fn changes(&self) -> Result<Changes> {
        Ok(self.ask()?.changes.clone())
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
    /// Count what was sent; answers whether a table has a new life.
    fn hear(&mut self, socket: &OwnedFd) -> bool {
        let before = self.lives.all();
        let mut message = [0; MESSAGE];
        loop {
            match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut message) {
                Ok((size, from)) => {
                    let kernel = from.is_some_and(|from| from.pid() == 0);
                    let text = message.get(..size).filter(|_| kernel);
                    text.and_then(said)
                        .into_iter()
                        .for_each(|said| self.note(said));
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // ENOBUFS: there was no room for some.
                Err(_) => {
                    self.lives.miss();
                    self.changes.miss();
                    break;
                }
            }
        }
        before != self.lives.all()
    }

    fn note(&mut self, said: Said) {
        self.changes.note(said.dev);
        if said.is_life {
            self.lives.note(said.dev);
        }
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

/// What a message says of a block device.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    dev: DevNo,
    /// Whether it is a mapping that was made, resumed, renamed or removed: not what
    /// somebody only asked the kernel to say (`SYNTH_UUID`, lib/kobject_uevent.c), as udev
    /// does whenever a device that was written to is closed.
    is_life: bool,
}

fn said(message: &[u8]) -> Option<Said> {
    let (mut major, mut minor) = (None, None);
    let (mut is_block, mut is_mapping, mut is_asked) = (false, false, false);
    for line in message.split(|byte| *byte == 0) {
        let line = std::str::from_utf8(line).unwrap_or_default();
        match line.split_once('=') {
            Some(("MAJOR", number)) => major = number.parse().ok(),
            Some(("MINOR", number)) => minor = number.parse().ok(),
            Some(("SUBSYSTEM", kind)) => is_block = kind == "block",
            Some(("DEVNAME", name)) => is_mapping = name.starts_with("dm-"),
            Some(("SYNTH_UUID", _)) => is_asked = true,
            _ => {}
        }
    }
    is_block.then_some(Said {
        dev: DevNo {
            major: major?,
            minor: minor?,
        },
        is_life: is_mapping && !is_asked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESUMED: &str = "change@/devices/virtual/block/dm-3\0ACTION=change\0\
        DEVPATH=/devices/virtual/block/dm-3\0SUBSYSTEM=block\0DM_COOKIE=4198402\0MAJOR=254\0\
        MINOR=3\0DEVNAME=dm-3\0DEVTYPE=disk\0DISKSEQ=9\0SEQNUM=1201\0";

    #[test]
    fn a_resume_counts_and_what_udev_asked_for_is_no_life() {
        let dev = DevNo {
            major: 254,
            minor: 3,
        };
        let of = |is_life| Some(Said { dev, is_life });
        assert_eq!(said(RESUMED.as_bytes()), of(true));
        let asked = RESUMED.to_owned() + "SYNTH_UUID=0\0";
        assert_eq!(said(asked.as_bytes()), of(false));
        let disk = RESUMED.replace("DEVNAME=dm-3", "DEVNAME=sda");
        assert_eq!(said(disk.as_bytes()), of(false));
        let tty = RESUMED.replace("SUBSYSTEM=block", "SUBSYSTEM=tty");
        let odd = "SUBSYSTEM=block\0DEVNAME=dm-1\0MAJOR=x\0MINOR=1";
        for odd in ["", "\0", "libudev\0\u{1}", odd, &tty] {
            assert_eq!(said(odd.as_bytes()), None, "{odd:?}");
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

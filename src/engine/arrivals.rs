//! Devices that come: the kernel's and udev's messages of them
//! (NETLINK_KOBJECT_UEVENT, netlink(7)), and file systems that are mounted
//! (proc_pid_mountinfo(5)).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::error::{Errno, Error, Result};

const MOUNTS: &str = "/proc/self/mountinfo";

/// The kernel's own messages, and those that udev sends once its rules are done.
const GROUPS: u32 = 1 | 2;

/// A message is at most a page.
const MESSAGE: usize = 8192;

/// What tells that something may be there that was not.
pub struct Arrivals {
    /// None where this process may not listen.
    messages: Option<OwnedFd>,
    mounts: File,
}

impl Arrivals {
    /// Listen from now on.
    ///
    /// # Errors
    /// What opening the list of mounts answers.
    pub fn open() -> Result<Arrivals> {
        let mounts = File::open(MOUNTS).map_err(|error| Error::io(MOUNTS, &error))?;
        let messages = messages();
        if let Err(errno) = &messages {
            log::info!("no messages of new devices: {}", errno.desc());
        }
        Ok(Arrivals {
            messages: messages.ok(),
            mounts,
        })
    }

    /// Wait until something came, or may have.
    ///
    /// # Errors
    /// What poll(2) answers.
    pub fn wait(&mut self) -> Result<()> {
        let mounts = PollFd::new(self.mounts.as_fd(), PollFlags::POLLPRI);
        let messages = self.messages.iter();
        let messages = messages.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        let mut fds: Vec<PollFd<'_>> = [mounts].into_iter().chain(messages).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("waiting for devices", errno)),
        }
        self.drain();
        Ok(())
    }

    fn drain(&self) {
        let mut bytes = [0; MESSAGE];
        let Some(fd) = &self.messages else {
            return;
        };
        // One that was lost (ENOBUFS) is as good as one that was read.
        while let Ok(_) | Err(Errno::ENOBUFS) =
            recv(fd.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT)
        {}
    }
}

fn messages() -> Result<OwnedFd, Errno> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(fd)
}

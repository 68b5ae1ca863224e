//! The netlink socket by which the kernel asks (Documentation/driver-api/connector.rst).
//! Everybody who listens hears each request: there is one server a machine.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::{AF_NETLINK, NETLINK_CONNECTOR, SOCK_CLOEXEC, SOCK_DGRAM};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recvfrom, sendto, setsockopt};

use crate::cluster::ulog::packet::{ADDRESS, Packet};
use crate::error::{Errno, Error, Result};

/// The group of a connector has the number of its first half (`cn_queue_add_callback`,
/// drivers/connector/cn_queue.c), as a bit.
const GROUP: u32 = 1 << (ADDRESS.0 - 1);

/// A request has at most 1 KiB (`DM_ULOG_PREALLOCED_SIZE`, dm-log-userspace-transfer.c).
const MESSAGE: usize = 8192;

/// Room for requests that wait, in bytes: each log has a few at a time.
const ROOM: usize = 4 << 20;

/// The socket.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Listen from now on.
    ///
    /// # Errors
    /// EPERM for who is not root; EPROTONOSUPPORT where the kernel has no connector.
    pub fn open() -> Result<Link> {
        let failed = |errno| Error::sys("listening for requests of the kernel", errno);
        let kind = SOCK_DGRAM | SOCK_CLOEXEC;
        // SAFETY: socket(2) takes numbers only.
        let socket = Errno::result(unsafe { libc::socket(AF_NETLINK, kind, NETLINK_CONNECTOR) });
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(socket.map_err(failed)?) };
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUP)).map_err(failed)?;
        if let Err(errno) = setsockopt(&fd, RcvBufForce, &ROOM) {
            log::debug!("little room for requests: {}", errno.desc());
        }
        Ok(Link(fd))
    }

    /// The next request of the kernel; none where it is something else, or was lost: then
    /// it is sent again.
    ///
    /// # Errors
    /// What recvfrom(2) answers.
    pub fn receive(&self) -> Result<Option<Packet>> {
        let mut bytes = [0; MESSAGE];
        match recvfrom::<NetlinkAddr>(self.0.as_raw_fd(), &mut bytes) {
            Ok((size, from)) => {
                let by_kernel = from.is_none_or(|from| from.pid() == 0);
                let message = bytes.get(..size).filter(|_| by_kernel);
                Ok(message.and_then(Packet::parse))
            }
            Err(Errno::ENOBUFS) => {
                log::warn!("requests of the kernel were lost: they come again in 15 s");
                Ok(None)
            }
            Err(Errno::EINTR) => Ok(None),
            Err(errno) => Err(Error::sys("hearing the kernel's requests", errno)),
        }
    }

    /// Answer.
    ///
    /// # Errors
    /// What sendto(2) answers.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        let sent = sendto(self.0.as_raw_fd(), message, &kernel, MsgFlags::empty());
        sent.map(drop)
            .map_err(|errno| Error::sys("answering the kernel", errno))
    }
}

//! Mounting and unmounting. fuser would mount with the type `fuse`; by that no
//! program could tell a mirrorfs from another file system, nor could
//! `umount -t fuse.mirrorfs` or the next daemon.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{getegid, geteuid};

use crate::error::{Error, Result};

/// The file-system type that the mount table shows.
pub const FS_TYPE: &str = "fuse.mirrorfs";

/// Where the kernel's end of FUSE is.
const DEVICE: &str = "/dev/fuse";

/// Mount options that are flags of mount(2), and those that take one away.
pub const FLAGS: &[(&str, MsFlags, bool)] = &[
    ("dev", MsFlags::MS_NODEV, false),
    ("nodev", MsFlags::MS_NODEV, true),
    ("suid", MsFlags::MS_NOSUID, false),
    ("nosuid", MsFlags::MS_NOSUID, true),
    ("exec", MsFlags::MS_NOEXEC, false),
    ("noexec", MsFlags::MS_NOEXEC, true),
    ("atime", MsFlags::MS_NOATIME, false),
    ("noatime", MsFlags::MS_NOATIME, true),
    ("async", MsFlags::MS_SYNCHRONOUS, false),
    ("sync", MsFlags::MS_SYNCHRONOUS, true),
    ("dirsync", MsFlags::MS_DIRSYNC, true),
    ("rw", MsFlags::MS_RDONLY, false),
    ("ro", MsFlags::MS_RDONLY, true),
];

/// What holds unless an option says otherwise: there are no devices and no
/// programs in the tree.
pub fn default_flags() -> MsFlags {
    MsFlags::MS_NODEV | MsFlags::MS_NOSUID
}

/// Mount on `folder`, and answer the kernel's end.
///
/// # Errors
/// ENOENT, ENODEV where the kernel has no FUSE; what mount(2) answers.
pub fn attach(folder: &Path, source: &str, flags: MsFlags, allow_other: bool) -> Result<OwnedFd> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device =
        opened.map_err(|error| Error::io(format!("{DEVICE}, the kernel's FUSE"), &error))?;
    let (fd, user, group) = (device.as_raw_fd(), geteuid(), getegid());
    let others = if allow_other { ",allow_other" } else { "" };
    let data = format!(
        "fd={fd},rootmode=40000,user_id={user},group_id={group},default_permissions{others}"
    );
    mount(
        Some(source),
        folder,
        Some(FS_TYPE),
        flags,
        Some(data.as_str()),
    )
    .map_err(|errno| Error::sys(format!("mounting on {}", folder.display()), errno))?;
    Ok(device.into())
}

/// Unmount; `lazily`: at once, and whoever is in it keeps a dead folder.
///
/// # Errors
/// EBUSY where it is in use, unless lazily; EINVAL where nothing is mounted.
pub fn detach(folder: &Path, lazily: bool) -> Result<()> {
    let flags = if lazily {
        MntFlags::MNT_DETACH
    } else {
        MntFlags::empty()
    };
    umount2(folder, flags | MntFlags::UMOUNT_NOFOLLOW)
        .map_err(|errno| Error::sys(format!("unmounting {}", folder.display()), errno))
}

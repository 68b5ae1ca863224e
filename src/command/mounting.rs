//! Mounting and unmounting. fuser would mount with the type `fuse`; by that no
//! program could tell a mirrorfs from another file system, nor could
//! `umount -t fuse.mirrorfs` or the next daemon.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use fuser::{Config, MountOption, Session, SessionACL};
use nix::mount::{MntFlags, mount, umount2};
use nix::unistd::{getegid, geteuid};

use super::config::{FLAGS, Options};
use crate::error::{Errno, Error, Result};
use crate::fuse::Fs;

/// The file-system type that the mount table shows.
pub const FS_TYPE: &str = "fuse.mirrorfs";

/// The program that mounts and unmounts for who is not root.
const HELPER: &str = "fusermount3";

/// Threads that answer FUSE. None of them ever waits for a device, so a few are
/// enough for many readers.
const THREADS: usize = 4;

/// Where the kernel's end of FUSE is.
const DEVICE: &str = "/dev/fuse";

/// Mount on `folder`: as root by hand, for anybody else by `fusermount3`.
///
/// # Errors
/// ENOENT, ENODEV where the kernel has no FUSE; what mount(2) or fusermount3
/// answers.
pub fn attach(fs: Fs, folder: &Path, options: &Options) -> Result<Session<Fs>> {
    let root = geteuid().is_root();
    // Root's mirrors can be looked at by all, as `default_permissions` allows.
    let allow_other = options.allow_other.unwrap_or(root);
    let config = config(options, allow_other);
    if !root {
        return Session::new(fs, folder, &config).map_err(|error| helper_failed(folder, &error));
    }
    let device = mount_by_hand(folder, options, allow_other)?;
    Session::from_fd(fs, device, config.acl, config).map_err(|error| {
        // Nobody would answer for the mount: the reason is what matters.
        let _ = detach(folder, true);
        Error::io(format!("mounting on {}", folder.display()), &error)
    })
}

fn config(options: &Options, allow_other: bool) -> Config {
    let mut config = Config::default();
    config.acl = if allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    config.mount_options = vec![
        MountOption::FSName(options.source.clone()),
        MountOption::Subtype("mirrorfs".into()),
        MountOption::DefaultPermissions,
    ];
    let set = FLAGS
        .iter()
        .filter(|(_, flag, on)| *on && options.flags.contains(*flag));
    let words = set.map(|(name, ..)| MountOption::CUSTOM((*name).into()));
    config.mount_options.extend(words);
    config
}

fn helper_failed(folder: &Path, error: &io::Error) -> Error {
    let doing = format!("mounting on {}", folder.display());
    if error.kind() == io::ErrorKind::NotFound {
        let sentence = format!("{doing}: {HELPER} is missing: install the package fuse3");
        return Error::new(Errno::ENOENT, sentence);
    }
    // What the program says may have lines and a name in front.
    let said = error.to_string();
    let said = said.trim().trim_start_matches("fusermount3: ");
    let errno = error.raw_os_error().map_or(Errno::EPERM, Errno::from_raw);
    Error::new(errno, format!("{doing}: {said}"))
}

fn mount_by_hand(folder: &Path, options: &Options, allow_other: bool) -> Result<OwnedFd> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device =
        opened.map_err(|error| Error::io(format!("{DEVICE}, the kernel's FUSE"), &error))?;
    let (fd, user, group) = (device.as_raw_fd(), geteuid(), getegid());
    let others = if allow_other { ",allow_other" } else { "" };
    let data = format!(
        "fd={fd},rootmode=40000,user_id={user},group_id={group},default_permissions{others}"
    );
    mount(
        Some(options.source.as_str()),
        folder,
        Some(FS_TYPE),
        options.flags,
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
    if !geteuid().is_root() {
        return unmount_by_helper(folder, lazily);
    }
    let flags = if lazily {
        MntFlags::MNT_DETACH
    } else {
        MntFlags::empty()
    };
    umount2(folder, flags | MntFlags::UMOUNT_NOFOLLOW)
        .map_err(|errno| Error::sys(format!("unmounting {}", folder.display()), errno))
}

fn unmount_by_helper(folder: &Path, lazily: bool) -> Result<()> {
    let doing = format!("unmounting {} by {HELPER}", folder.display());
    let mut helper = Command::new(HELPER);
    helper
        .arg("-u")
        .args(lazily.then_some("-z"))
        .arg("--")
        .arg(folder);
    let ended = helper
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io(&doing, &error))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_string();
    Err(Error::busy(format!("{doing}: {said}")))
}

//! `/dev/mapper/NAME` where nobody else makes it. With udev running, its rules
//! do, and a second hand would race with them; without it libdevmapper makes the
//! node itself, and so do we (libdm-common.c in LVM2). A node that cannot be made
//! is a warning: the device works without it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Group;

use super::cookie::UDEV;
use crate::text::device::DevNo;

const FOLDER: &str = "/dev/mapper";

/// The nodes of device-mapper's devices.
pub(super) struct Nodes {
    folder: PathBuf,
    udev: PathBuf,
}

impl Default for Nodes {
    fn default() -> Self {
        Nodes {
            folder: FOLDER.into(),
            udev: UDEV.into(),
        }
    }
}

impl Nodes {
    /// Whether the nodes are ours to make: asked each time, since udev comes and
    /// goes.
    pub(super) fn ours(&self) -> bool {
        !self.udev.exists()
    }

    /// See to it that `name` leads to `dev`.
    pub(super) fn make(&self, name: &str, dev: DevNo) {
        if self.ours() {
            log_failure("making", name, self.try_make(name, dev));
        }
    }

    /// Take the node away, if it leads to `dev`.
    pub(super) fn remove(&self, name: &str, dev: DevNo) {
        if self.ours() {
            log_failure("removing", name, self.try_remove(name, dev));
        }
    }

    fn try_make(&self, name: &str, dev: DevNo) -> io::Result<()> {
        let Some(path) = self.path(name) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        match leads_to(&path) {
            Ok(there) if there == Some(dev) => return Ok(()),
            // A stale node of a device that is gone; mknod refuses anything else.
            Ok(Some(_)) => fs::remove_file(&path)?,
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => fs::create_dir_all(&self.folder)?,
            Err(e) => return Err(e),
        }
        let number = makedev(dev.major.into(), dev.minor.into());
        mknod(&path, SFlag::S_IFBLK, Mode::S_IRUSR | Mode::S_IWUSR, number)?;
        give_to_disk_group(&path)
    }

    fn try_remove(&self, name: &str, dev: DevNo) -> io::Result<()> {
        let Some(path) = self.path(name) else {
            return Ok(());
        };
        match leads_to(&path) {
            Ok(there) if there == Some(dev) => fs::remove_file(path),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    // None for what would lead out of the folder.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let plain = !name.contains('/') && !matches!(name, "" | "." | "..");
        plain.then(|| self.folder.join(name))
    }
}

// The block device that the node itself is, not what a link leads to.
fn leads_to(path: &Path) -> io::Result<Option<DevNo>> {
    let node = fs::symlink_metadata(path)?;
    let block = node.file_type().is_block_device();
    Ok(block.then(|| DevNo::of_dev_t(node.rdev())))
}

// 0660 root:disk, as Debian and Fedora have it; 0600 where there is no such group.
fn give_to_disk_group(path: &Path) -> io::Result<()> {
    let Some(group) = Group::from_name("disk")? else {
        return Ok(());
    };
    chown(path, None, Some(group.gid.as_raw()))?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o660))
}

fn log_failure(doing: &str, name: &str, done: io::Result<()>) {
    if let Err(error) = done {
        log::warn!("{doing} {FOLDER}/{name}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: DevNo = DevNo {
        major: 7,
        minor: 200,
    };

    fn nodes(folder: &Path) -> Nodes {
        Nodes {
            folder: folder.join("mapper"),
            udev: folder.join("control"),
        }
    }

    // Making device nodes takes CAP_MKNOD.
    fn may_make(nodes: &Nodes) -> bool {
        let made = nodes.try_make("probe", DEV);
        if let Err(error) = &made {
            eprintln!("SKIPPED: no block device node can be made here: {error}");
        }
        made.is_ok()
    }

    #[test]
    fn a_node_is_made_mended_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = nodes(folder.path());
        if !may_make(&nodes) {
            return;
        }
        let other = DevNo { minor: 201, ..DEV };
        let path = folder.path().join("mapper/m0");
        nodes.make("m0", other);
        nodes.make("m0", DEV);
        assert_eq!(leads_to(&path).unwrap(), Some(DEV));
        nodes.remove("m0", other);
        assert!(path.exists());
        nodes.remove("m0", DEV);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_block_device_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = nodes(folder.path());
        let control = folder.path().join("mapper/control");
        fs::create_dir_all(&nodes.folder).unwrap();
        fs::write(&control, "").unwrap();
        assert!(nodes.try_make("control", DEV).is_err());
        assert!(nodes.try_make("..", DEV).is_err());
        nodes.remove("control", DEV);
        assert!(control.exists());
    }

    #[test]
    fn with_udev_nothing_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = nodes(folder.path());
        fs::write(&nodes.udev, "").unwrap();
        nodes.make("m0", DEV);
        assert!(!nodes.folder.exists());
    }
}

//! Who asks. The kernel has checked that he may write the file; but a verb names
//! devices, and what the daemon opens for him he must be allowed to write himself:
//! who was given one mirror was not given every disk.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::unistd::geteuid;

use super::Daemon;
use crate::engine::Facts;
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;

/// Who wrote into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    uid: u32,
    groups: Vec<u32>,
}

impl Caller {
    /// The caller of a FUSE request. His other groups are those of his process,
    /// where it is still there (proc(5)).
    pub fn of(uid: u32, gid: u32, pid: u32) -> Caller {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        let others = line.unwrap_or_default().split_whitespace();
        let others = others.filter_map(|group| group.parse().ok());
        Caller {
            uid,
            groups: std::iter::once(gid).chain(others).collect(),
        }
    }

    /// The daemon's own user.
    pub fn daemon() -> Caller {
        Caller {
            uid: geteuid().as_raw(),
            groups: Vec::new(),
        }
    }

    /// Whether the daemon can do nothing that he could not.
    fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == geteuid().as_raw()
    }

    /// Whether the bits of a file let him read and write it; an access control list
    /// is not asked.
    fn may_write(&self, stat: &fs::Metadata) -> bool {
        let shift = match () {
            () if stat.uid() == self.uid => 6,
            () if self.groups.contains(&stat.gid()) => 3,
            () => 0,
        };
        stat.mode() >> shift & 0o6 == 0o6
    }
}

impl Daemon {
    /// Check that a caller may name these devices, of which those in `own` are the
    /// mirror's already. Afterwards they are numbers: what a path leads to may
    /// change.
    ///
    /// # Errors
    /// EACCES for a device that he may not write himself, and for any file.
    pub(super) fn check_caller<'a>(
        &self,
        caller: &Caller,
        devices: impl Iterator<Item = &'a mut DeviceRef>,
        own: impl FnOnce() -> Result<Vec<DeviceRef>>,
    ) -> Result<()> {
        if caller.is_trusted() {
            return Ok(());
        }
        let own = own()?;
        devices.into_iter().try_for_each(|device| {
            check_is_device(device)?;
            let facts = self.devices.facts(device)?;
            if !own.contains(&facts.device) {
                check_allowed(caller, device, &facts)?;
            }
            *device = facts.device;
            Ok(())
        })
    }
}

/// Refused before it is looked at: whether there is such a file is not for everybody.
fn check_is_device(device: &DeviceRef) -> Result<()> {
    match device.path() {
        Some(path) if !path.starts_with("/dev") => Err(Error::new(
            Errno::EACCES,
            format!("{device}: only the daemon's own user may name what is not in /dev"),
        )),
        _ => Ok(()),
    }
}

fn check_allowed(caller: &Caller, device: &DeviceRef, facts: &Facts) -> Result<()> {
    let refused = |why: &str| {
        let sentence = format!("{device}: {why}");
        Err(Error::new(Errno::EACCES, sentence))
    };
    let stat = fs::metadata(&facts.node);
    let stat = stat.map_err(|error| Error::io(facts.node.display(), &error))?;
    match stat.file_type().is_block_device() {
        true if caller.may_write(&stat) => Ok(()),
        true => refused("you may not write to this device yourself"),
        false => refused("only the daemon's own user may name a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_bits_of_the_first_that_applies_decide() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stat = |mode| {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            file.path().metadata().unwrap()
        };
        let (uid, gid) = (stat(0o600).uid(), stat(0o600).gid());
        let caller = |uid, groups: &[u32]| Caller {
            uid,
            groups: groups.into(),
        };
        let (owner, member, other) = (
            caller(uid, &[]),
            caller(uid + 1, &[7, gid]),
            caller(uid + 1, &[gid + 1]),
        );
        for (mode, wanted) in [
            (0o600, [true, false, false]),
            (0o060, [false, true, false]),
            (0o006, [false, false, true]),
            (0o424, [false, false, false]),
            (0o666, [true, true, true]),
        ] {
            let stat = stat(mode);
            let found = [&owner, &member, &other].map(|caller| caller.may_write(&stat));
            assert_eq!(found, wanted, "{mode:o}");
        }
    }

    #[test]
    fn the_groups_of_a_process_count() {
        let own = Caller::of(1, 2, std::process::id());
        assert_eq!((own.uid, own.groups.first()), (1, Some(&2)));
        assert_eq!(Caller::of(1, 2, u32::MAX).groups, [2]);
        assert!(Caller::daemon().is_trusted());
    }
}

//! Who asks. The kernel has checked that he may open the file; but a verb names
//! devices, and what the daemon opens for him he must be allowed to write himself:
//! who was given one mirror was not given every disk.
//!
//! Judged is who opened the file, not who writes into it: a program with more rights may
//! write what he likes, once it was given the file as its standard output.

use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path};

use nix::unistd::geteuid;

use super::admit::Admission;
use super::extent::places;
use super::looks::Looks;
use super::own::Own;
use super::rights::{Rights, Taken};
use crate::engine::shown;
use crate::error::{Errno, Error, Result};
use crate::plan::leg_name::LegName;
use crate::text::device::{DevNo, DeviceRef};
use crate::text::new_request::NewRequest;
use crate::text::place::Place;
use crate::text::table::{Mapping, Table};

/// Kinds of targets that others than the daemon's own user may load: what any other does
/// with a device that it names is not known here.
const KINDS: &[&str] = &["mirror", "linear", "error", "zero"];

/// Paths that lead each process to what it has open itself: the daemon would find what it
/// has open, and not the caller.
const OF_EACH: &[&str] = &[
    "/proc/self",
    "/proc/thread-self",
    "/dev/fd",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
];

/// How often two lists of mounts are compared: one may change in between.
const LOOKS: usize = 3;

/// Who opened a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    rights: Rights,
    /// Whether a path leads him to where it leads the daemon.
    sees_the_same: bool,
}

impl Caller {
    /// The caller of a FUSE request that is still waiting for its answer, as his process
    /// is (proc(5)).
    pub fn of(uid: u32, gid: u32, pid: u32) -> Caller {
        let status = shown::text(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        let others = line.unwrap_or_default().split_whitespace();
        let others = others.filter_map(|group| group.parse().ok());
        let groups = std::iter::once(gid).chain(others).collect();
        Caller {
            rights: Rights { uid, groups },
            sees_the_same: sees_the_same(pid),
        }
    }

    /// One who only reads: he is counted, and names nothing.
    pub fn reader(uid: u32) -> Caller {
        let groups = Vec::new();
        Caller {
            rights: Rights { uid, groups },
            sees_the_same: false,
        }
    }

    /// The daemon's own user.
    pub fn daemon() -> Caller {
        Caller {
            sees_the_same: true,
            ..Caller::reader(geteuid().as_raw())
        }
    }

    /// His user.
    pub fn uid(&self) -> u32 {
        self.rights.uid
    }

    /// Decide of words with an `@` in them whether they are the names of files, as he
    /// sees these.
    ///
    /// # Errors
    /// EINVAL for what is neither a name nor an offset.
    pub(crate) fn settle<'a>(&self, places: impl IntoIterator<Item = &'a mut Place>) -> Result<()> {
        let mut places = places.into_iter();
        places.try_for_each(|place| place.settle(|path| self.sees(path)))
    }

    /// Let a leg that is named by a link be named by what the link leads to, where he sees
    /// what the daemon sees. Whoever does not has to use the name that `health` shows.
    pub(crate) fn follow_links(&self, leg: Option<&mut LegName>) {
        if let Some(LegName::Path(path)) = leg.filter(|_| self.is_trusted() && self.sees_the_same)
            && let Ok(real) = path.canonicalize()
        {
            *path = real;
        }
    }

    fn sees(&self, path: &Path) -> bool {
        if self.is_trusted() {
            self.sees_the_same && path.exists()
        } else {
            let device = DeviceRef::Path(path.into());
            let looked = || self.rights.with(|taken| Ok(taken.stat(path).is_ok()));
            check_in_dev(&device).is_ok() && looked().unwrap_or(false)
        }
    }

    /// Whether the daemon can do nothing that he could not.
    pub fn is_trusted(&self) -> bool {
        self.uid() == 0 || self.uid() == geteuid().as_raw()
    }
}

/// Whether a process sees the files that this one sees: the same mounts below the same
/// root. Of one in a chroot or a container the list is another (namespace.c in fs/ of
/// Linux, proc_pid_mountinfo(5)), and so it is of one that is not there.
fn sees_the_same(pid: u32) -> bool {
    let mounts = |process: &str| shown::bytes(format!("/proc/{process}/mountinfo")).ok();
    (0..LOOKS).any(|_| {
        let his = mounts(&pid.to_string());
        his.is_some() && his == mounts("self")
    })
}

impl Admission {
    /// Check that a caller may name these devices. Afterwards those of who is not
    /// trusted are numbers: what a path leads to may change.
    ///
    /// # Errors
    /// EACCES for a device that he may not write himself, for any file of who is not
    /// trusted, and for a path of who sees other files than the daemon.
    pub(crate) fn check_named<'a>(
        &self,
        caller: &Caller,
        devices: impl Iterator<Item = &'a mut DeviceRef>,
    ) -> Result<()> {
        let mut devices: Vec<&mut DeviceRef> = devices.collect();
        self.resolve(caller, &mut devices, &[])?;
        if caller.is_trusted() {
            return Ok(());
        }
        let named: HashSet<&DeviceRef> = devices.iter().map(|device| &**device).collect();
        self.check_allowed(caller, named.into_iter())
    }

    /// Check that a caller may load a table into a mirror that has `own` already: of a
    /// device that it holds, that part alone is his.
    ///
    /// # Errors
    /// As those of [`Admission::check_named`].
    pub(crate) fn check_table(&self, caller: &Caller, table: &mut Table, own: &Own) -> Result<()> {
        let mut devices: Vec<&mut DeviceRef> = table.devices().collect();
        self.resolve(caller, &mut devices, &own.devices)?;
        if caller.is_trusted() {
            return Ok(());
        }
        let looks = Looks::at(self.devices.as_ref());
        let mut new: HashSet<DeviceRef> = HashSet::new();
        for place in places(table)? {
            let extent = place.extent(&looks.facts(&place.device)?);
            if own.fresh(&extent).is_some() {
                new.insert(place.device);
            }
        }
        self.check_allowed(caller, new.iter())
    }

    /// Check what a line of `new` names.
    ///
    /// # Errors
    /// As those of [`Admission::check_named`] and [`check_kinds`].
    pub(crate) fn check_wish(&self, caller: &Caller, wish: &mut NewRequest) -> Result<()> {
        caller.settle(wish.places())?;
        if let NewRequest::Table(request, _) = wish {
            check_kinds(caller, &request.table)?;
        }
        self.check_named(caller, wish.devices().into_iter())
    }

    /// Let paths be numbers, as the caller sees them. What is in `own` he knows already.
    fn resolve(
        &self,
        caller: &Caller,
        devices: &mut [&mut DeviceRef],
        own: &[DeviceRef],
    ) -> Result<()> {
        devices.iter().try_for_each(|device| check_same(device))?;
        let mut paths = devices
            .iter_mut()
            .filter(|device| device.path().is_some() && !own.contains(device));
        if caller.is_trusted() {
            let first = paths.next().filter(|_| !caller.sees_the_same);
            return first.map_or(Ok(()), |device| Err(other_files(device)));
        }
        let mut paths: Vec<&mut DeviceRef> = paths.map(|device| &mut **device).collect();
        if paths.is_empty() {
            return Ok(());
        }
        for device in &paths {
            check_in_dev(device)?;
            if !caller.sees_the_same {
                return Err(other_files(device));
            }
        }
        caller.rights.with(|taken| {
            paths.iter_mut().try_for_each(|device| {
                **device = DeviceRef::Number(number(taken, device)?);
                Ok(())
            })
        })
    }

    /// Check that he may read and write these devices himself, by their own nodes.
    fn check_allowed<'a>(
        &self,
        caller: &Caller,
        devices: impl Iterator<Item = &'a DeviceRef>,
    ) -> Result<()> {
        let mut nodes = Vec::new();
        for device in devices {
            let facts = self.devices.facts(device)?;
            if facts.device.number().is_none() {
                return refused(device, "only the daemon's own user may name a file");
            }
            nodes.push((device, facts.node));
        }
        if nodes.is_empty() {
            return Ok(());
        }
        caller.rights.with(|taken| {
            nodes
                .iter()
                .try_for_each(|(device, node)| match taken.check_writable(node) {
                    Ok(()) => Ok(()),
                    Err(_) => refused(device, "you may not write to this device yourself"),
                })
        })
    }
}

/// What a path leads him to.
fn number(taken: &Taken, device: &DeviceRef) -> Result<DevNo> {
    let stat = device.path().map(|path| taken.stat(path));
    match stat {
        Some(Ok(stat)) if stat.file_type().is_block_device() => Ok(DevNo::of_dev_t(stat.rdev())),
        Some(Err(error)) => Err(Error::io(device, &error)),
        _ => refused(device, "only the daemon's own user may name a file"),
    }
}

/// Check the kinds of targets of a table that a caller has written.
///
/// # Errors
/// EPERM for one that only the daemon's own user may load.
pub(crate) fn check_kinds(caller: &Caller, table: &Table) -> Result<()> {
    let mut kinds = table
        .targets
        .iter()
        .map(|target| &target.mapping)
        .map(Mapping::kind);
    let other = kinds.find(|kind| !KINDS.contains(kind));
    match other.filter(|_| !caller.is_trusted()) {
        Some(kind) => Err(Error::new(
            Errno::EPERM,
            format!(
                "only the daemon's own user may load a {kind} target: write one of {}",
                KINDS.join(", ")
            ),
        )),
        None => Ok(()),
    }
}

/// EINVAL for what is another thing to each process.
fn check_same(device: &DeviceRef) -> Result<()> {
    let path = device.path().unwrap_or(Path::new("/"));
    if OF_EACH.iter().any(|other| path.starts_with(other)) {
        Err(Error::invalid(format!(
            "{device} is a different file for each process: name the file or device itself"
        )))
    } else {
        Ok(())
    }
}

/// Refused before it is looked at: whether there is such a file is not for everybody.
fn check_in_dev(device: &DeviceRef) -> Result<()> {
    let path = device.path().unwrap_or(Path::new("/"));
    let up = path.components().any(|part| part == Component::ParentDir);
    if path.starts_with("/dev") && !up {
        Ok(())
    } else {
        refused(
            device,
            "only the daemon's own user may name what is not in /dev",
        )
    }
}

fn other_files(device: &DeviceRef) -> Error {
    let sentence = format!(
        "{device}: the caller sees other files than mirrorfs (chroot or container): name the device as MAJOR:MINOR"
    );
    Error::new(Errno::EACCES, sentence)
}

fn refused<T>(device: &DeviceRef, why: &str) -> Result<T> {
    let sentence = format!("{device}: {why}");
    Err(Error::new(Errno::EACCES, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_process_count() {
        let own = Caller::of(1, 2, std::process::id());
        assert_eq!((own.uid(), own.rights.groups.first()), (1, Some(&2)));
        assert!(own.sees_the_same);
        let gone = Caller::of(1, 2, u32::MAX);
        assert_eq!(gone.rights.groups, [2]);
        assert!(!gone.sees_the_same && !Caller::of(1, 2, 0).sees_the_same);
        assert!(Caller::daemon().is_trusted());
    }

    #[test]
    fn a_way_out_of_dev_is_not_looked_at() {
        for (path, allowed) in [
            ("/dev/sdb", true),
            ("/dev/disk/by-id/a..b", true),
            ("/dev/../root/x", false),
            ("/dev/disk/../../root/x", false),
            ("/root/x", false),
            ("/device", false),
        ] {
            let device = DeviceRef::Path(path.into());
            assert_eq!(check_in_dev(&device).is_ok(), allowed, "{path}");
        }
    }

    #[test]
    fn what_each_process_has_open_is_not_named() {
        for (path, allowed) in [
            ("/dev/fd/3", false),
            ("/dev/stdin", false),
            ("/proc/self/fd/3", false),
            ("/proc/thread-self/root/x", false),
            ("/dev/fd0", true),
            ("/proc/1/root/dev/sdb", true),
        ] {
            let device = DeviceRef::Path(path.into());
            assert_eq!(check_same(&device).is_ok(), allowed, "{path}");
        }
    }

    #[test]
    fn only_the_daemon_s_user_loads_what_is_not_understood() {
        let table = Table::parse(&["0 8 error", "8 8 zero", "16 8 linear 8:0 0"]).expect("a table");
        let other = Table::parse(&["0 8 error", "8 8 striped 1 8 8:0 0"]).expect("a table");
        let stranger = Caller::reader(4_000_000_000);
        assert_eq!(check_kinds(&stranger, &table), Ok(()));
        let error = check_kinds(&stranger, &other).expect_err("striped");
        assert_eq!(error.errno(), Errno::EPERM);
        assert!(error.sentence().contains("striped"), "{error}");
        assert_eq!(check_kinds(&Caller::daemon(), &other), Ok(()));
    }
}

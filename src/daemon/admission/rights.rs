//! Looking at paths with somebody else's rights, as a file server does: the kernel
//! judges, access control lists and all. A thread of its own takes on his user and
//! groups (setfsuid(2)), by which it loses root's way around permissions, and ends.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use crate::error::{Errno, Error, Result};

/// Whose rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rights {
    pub uid: u32,
    /// The first is that of new files, which none is made of here.
    pub groups: Vec<u32>,
}

/// What is on the thread that has taken them on; there is no other way to one.
pub(crate) struct Taken(());

impl Rights {
    /// Do something that looks at paths.
    ///
    /// # Errors
    /// Its own; EACCES where this process may not take on another user, EAGAIN where
    /// there is no room for a thread.
    pub(crate) fn with<T: Send>(&self, what: impl FnOnce(&Taken) -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let work = || self.take().and_then(|taken| what(&taken));
            let started = thread::Builder::new()
                .name("rights".into())
                .spawn_scoped(scope, work);
            let thread =
                started.map_err(|error| Error::io("looking with a caller's rights", &error))?;
            let panicked = |_| {
                Err(Error::new(
                    Errno::EIO,
                    "looking with a caller's rights failed",
                ))
            };
            thread.join().unwrap_or_else(panicked)
        })
    }

    fn take(&self) -> Result<Taken> {
        let refused = || {
            Error::new(
                Errno::EACCES,
                "only the daemon's own user may name devices here",
            )
        };
        // setgroups(2) of libc is for all threads of a process.
        // SAFETY: the array outlives the call, which only reads it.
        let set =
            unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) };
        if set != 0 {
            return Err(refused());
        }
        let gid = Gid::from_raw(self.groups.first().copied().unwrap_or(u32::MAX - 1));
        let uid = Uid::from_raw(self.uid);
        // They answer what was before, and no error: asked again they say what is.
        setfsgid(gid);
        setfsuid(uid);
        if setfsgid(gid) == gid && setfsuid(uid) == uid {
            Ok(Taken(()))
        } else {
            Err(refused())
        }
    }
}

impl Taken {
    /// What a path leads to; nothing is opened.
    ///
    /// # Errors
    /// What open(2) answers him.
    pub(crate) fn stat(&self, path: &Path) -> std::io::Result<Metadata> {
        let opened: File = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(path)?;
        opened.metadata()
    }

    /// Whether he may read and write what a path leads to.
    ///
    /// # Errors
    /// What access(2) answers him.
    pub(crate) fn check_writable(&self, path: &Path) -> std::result::Result<(), Errno> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        // Not by libc, which judges for itself where the kernel (before 5.8) does not: by
        // the user of the whole process.
        // SAFETY: the path ends with a NUL and outlives the call.
        let answer = unsafe {
            let (mode, flags) = (libc::R_OK | libc::W_OK, libc::AT_EACCESS);
            libc::syscall(
                libc::SYS_faccessat2,
                libc::AT_FDCWD,
                path.as_ptr(),
                mode,
                flags,
            )
        };
        Errno::result(answer).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn may(uid: u32, groups: &[u32], path: &Path) -> std::result::Result<(), Errno> {
        let groups = groups.into();
        let rights = Rights { uid, groups };
        let checked = rights.with(|taken| Ok(taken.check_writable(path)));
        checked.expect("root may take on anybody")
    }

    #[test]
    fn the_kernel_judges_and_only_on_that_thread() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        chown(&file, Some(7), Some(8)).expect("given away");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        };
        set(folder.path(), 0o755);
        for (mode, wanted) in [
            (0o600, [true, false, false]),
            (0o060, [false, true, false]),
            (0o006, [false, false, true]),
            (0o424, [false, false, false]),
            (0o666, [true, true, true]),
        ] {
            set(&file, mode);
            let found = [
                may(7, &[9], &file),
                may(5, &[9, 8], &file),
                may(5, &[9], &file),
            ];
            assert_eq!(found.map(|found| found.is_ok()), wanted, "{mode:o}");
        }
        // What lies in a folder that he may not enter is not there for him.
        set(folder.path(), 0o700);
        assert_eq!(may(7, &[9], &file), Err(Errno::EACCES));
        let rights = Rights {
            uid: 7,
            groups: vec![9],
        };
        let stat = rights.with(|taken| Ok(taken.stat(&file).is_ok()));
        assert_eq!(stat, Ok(false));
        assert!(
            fs::metadata(&file).is_ok(),
            "this thread is root's as before"
        );
    }
}

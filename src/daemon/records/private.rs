//! Where records and logs lie has to be nobody else's: who can write there, or above
//! there, can have any disk written over at the next mount. A path is walked as the
//! kernel walks it, links and all.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{getegid, geteuid};

use crate::error::{Errno, Error, Result};

/// What others may not have: to write, for the group and for everybody.
const OTHERS: u32 = 0o022;
const GROUP: u32 = 0o020;

/// In such a folder everybody may write, and nobody touch what is another's.
const STICKY: u32 = 0o1000;

/// Links on one way, as many as the kernel follows (`MAXSYMLINKS`, path_resolution(7)).
const LINKS: usize = 40;

/// A folder of records or logs is for its owner alone; one above it may be passed.
const OWN: u32 = 0o700;
const ABOVE: u32 = 0o755;

/// Where a path leads, without links; what of it does not exist yet is as it stands.
///
/// # Errors
/// EPERM where a folder on the way is, or may be written by, somebody else than root and
/// this user; ENOTDIR, ELOOP, and what lstat(2) answers.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|error| Error::io(path.display(), &error))?;
    let mut walk = Walk {
        here: PathBuf::from("/"),
        left: parts(&absolute),
        links: 0,
    };
    check_folder(&walk.here, &look(&walk.here)?, true)?;
    while let Some(part) = walk.left.pop_front() {
        if !walk.step(&part)? {
            walk.here.push(part);
            walk.here.extend(walk.left);
            return Ok(walk.here);
        }
    }
    check_folder(&walk.here, &look(&walk.here)?, false)?;
    Ok(walk.here)
}

struct Walk {
    here: PathBuf,
    left: VecDeque<OsString>,
    links: usize,
}

impl Walk {
    /// Go into a part; false where there is none.
    fn step(&mut self, part: &OsStr) -> Result<bool> {
        if part == ".." {
            self.here.pop();
            return Ok(true);
        }
        let next = self.here.join(part);
        let stat = match fs::symlink_metadata(&next) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            looked => looked.map_err(|error| Error::io(next.display(), &error))?,
        };
        if stat.is_symlink() {
            self.follow(&next, &stat)?
        } else if stat.is_dir() {
            check_folder(&next, &stat, true)?;
            self.here = next;
        } else {
            return Err(Error::sys(next.display(), Errno::ENOTDIR));
        }
        Ok(true)
    }

    fn follow(&mut self, link: &Path, stat: &Metadata) -> Result<()> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Error::sys(link.display(), Errno::ELOOP));
        }
        check_owner(link, stat)?;
        let target = fs::read_link(link).map_err(|error| Error::io(link.display(), &error))?;
        if target.is_absolute() {
            self.here = PathBuf::from("/");
        }
        let mut left = parts(&target);
        left.append(&mut self.left);
        self.left = left;
        Ok(())
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

fn look(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).map_err(|error| Error::io(path.display(), &error))
}

/// `passed`: it is only gone through, and what everybody may write into may be sticky:
/// whose the next one is is looked at then.
fn check_folder(path: &Path, stat: &Metadata, passed: bool) -> Result<()> {
    check_owner(path, stat)?;
    let sticky = passed && stat.mode() & STICKY != 0;
    if is_open(stat) && !sticky {
        Err(unsafe_place(
            path,
            format!("can be written by others (mode {:o})", stat.mode() & 0o7777),
            format!("`chmod go-w {}`", path.display()),
        ))
    } else {
        Ok(())
    }
}

fn check_owner(path: &Path, stat: &Metadata) -> Result<()> {
    let user = geteuid().as_raw();
    if stat.uid() == 0 || stat.uid() == user {
        Ok(())
    } else {
        Err(unsafe_place(
            path,
            format!("belongs to user {}", stat.uid()),
            format!("`chown {user} {}`", path.display()),
        ))
    }
}

/// Whether others can write it. A group that has the number of this user is this user's
/// alone, where each has one of his own (useradd(8), USERGROUPS_ENAB).
fn is_open(stat: &Metadata) -> bool {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let private = user != 0 && user == group && stat.gid() == group;
    let others = if private { OTHERS & !GROUP } else { OTHERS };
    stat.mode() & others != 0
}

fn unsafe_place(path: &Path, why: String, remedy: String) -> Error {
    let sentence = format!(
        "{} {why}: its content is not trusted; {remedy}, or choose another --state-dir",
        path.display()
    );
    Error::new(Errno::EPERM, sentence)
}

/// Make a folder for its owner alone, and those above it that do not exist, whatever the
/// umask is. One that is there stays as it is.
///
/// # Errors
/// What mkdir(2) and chmod(2) answer.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().skip(1).take_while(|above| !above.exists());
    let missing: Vec<&Path> = missing.collect();
    missing
        .into_iter()
        .rev()
        .try_for_each(|above| make(above, ABOVE))?;
    make(path, OWN)
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))),
    }
}

/// Make a file for its owner alone, whatever the umask is, by no link.
///
/// # Errors
/// What open(2) and fchmod(2) answer.
pub fn make_file(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut options = options.clone();
    let file = options
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    if file.metadata()?.mode() & 0o7777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Open a file to read what is to be believed.
///
/// # Errors
/// EPERM where it is, or may be written by, somebody else; ELOOP for a link; what open(2)
/// answers.
pub fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = options.read(true).custom_flags(flags).open(path)?;
    let stat = file.metadata()?;
    let own = stat.uid() == 0 || stat.uid() == geteuid().as_raw();
    if stat.is_file() && own && !is_open(&stat) {
        Ok(file)
    } else {
        Err(Errno::EPERM.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
    }

    fn refused(path: &Path) -> Option<String> {
        let error = resolve(path).err()?;
        assert_eq!(error.errno(), Errno::EPERM, "{error}");
        Some(error.sentence().into())
    }

    #[test]
    fn each_folder_on_the_way_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().canonicalize().expect("there");
        let inside = base.join("above/state");
        make_folder(&inside).expect("made");
        assert_eq!(resolve(&inside), Ok(inside.clone()));
        assert_eq!(
            resolve(&inside.join("new/below")),
            Ok(inside.join("new/below"))
        );
        for (mode, passed, own) in [
            (0o755, true, true),
            (0o777, false, false),
            (0o775, false, false),
            (0o757, false, false),
            (0o1777, true, false),
            (0o700, true, true),
        ] {
            set(&base.join("above"), mode);
            assert_eq!(refused(&inside).is_none(), passed, "above {mode:o}");
            set(&base.join("above"), 0o755);
            set(&inside, mode);
            assert_eq!(refused(&inside).is_none(), own, "{mode:o}");
            set(&inside, 0o700);
        }
    }

    #[test]
    fn links_are_followed_and_are_somebody_s_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().canonicalize().expect("there");
        make_folder(&base.join("real/state")).expect("made");
        symlink("real/../real", base.join("link")).expect("a link");
        symlink(base.join("loop"), base.join("loop")).expect("a link");
        assert_eq!(
            resolve(&base.join("link/state")),
            Ok(base.join("real/state"))
        );
        let error = resolve(&base.join("loop/x")).expect_err("a loop");
        assert_eq!(error.errno(), Errno::ELOOP);
        fs::write(base.join("file"), "").expect("a file");
        let error = resolve(&base.join("file/x")).expect_err("a file");
        assert_eq!(error.errno(), Errno::ENOTDIR);
        if !geteuid().is_root() {
            return;
        }
        // In a sticky folder each has his own links and folders.
        set(&base, 0o1777);
        std::os::unix::fs::lchown(base.join("link"), Some(7), None).expect("given away");
        let why = refused(&base.join("link/state")).expect("another's link");
        assert!(why.contains("belongs to user 7"), "{why}");
        chown(base.join("real"), Some(7), None).expect("given away");
        assert!(refused(&base.join("real/state")).is_some());
    }

    #[test]
    fn what_is_believed_is_nobody_else_s() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let mut options = OpenOptions::new();
        make_file(&path, options.write(true).create(true)).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert!(open_file(&path).is_ok());
        set(&path, 0o622);
        let errno = |path: &Path| open_file(path).err().and_then(|error| error.raw_os_error());
        assert_eq!(errno(&path), Some(libc::EPERM));
        set(&path, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).expect("a link");
        assert_eq!(errno(&link), Some(libc::ELOOP));
        assert_eq!(errno(folder.path()), Some(libc::EPERM));
        let made = make_file(&link, options.write(true).create(true));
        assert_eq!(
            made.err().and_then(|error| error.raw_os_error()),
            Some(libc::ELOOP)
        );
    }
}

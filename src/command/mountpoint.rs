//! The folder to mount on: what is there, and what a killed daemon left there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use super::mounting::{FS_TYPE, detach};
use crate::error::{Error, Result};

/// Make sure that one can mount on `path`, and answer it without links. What a
/// killed daemon left mounted there is taken away first.
///
/// # Errors
/// ENOENT, ENOTDIR for what is no folder, EBUSY where a mirrorfs is mounted.
pub fn prepare(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|error| at(path, &error))?;
    while is_stale(&absolute) {
        log::info!(
            "{} is left over from a killed daemon: unmounting it",
            path.display()
        );
        detach(&absolute, true)?;
    }
    let folder = fs::canonicalize(&absolute).map_err(|error| at(path, &error))?;
    let metadata = fs::metadata(&folder).map_err(|error| at(path, &error))?;
    if !metadata.is_dir() {
        let sentence = format!(
            "{} is not a directory: name one to mount on",
            path.display()
        );
        return Err(Error::new(Errno::ENOTDIR, sentence));
    }
    if is_mounted(&folder) {
        let sentence = format!("a mirrorfs is mounted on {} already", path.display());
        return Err(Error::busy(sentence));
    }
    Ok(folder)
}

fn at(path: &Path, error: &io::Error) -> Error {
    Error::io(path.display(), error)
}

/// Whether `path` is a FUSE mount that nobody answers for any more. Only asking
/// the file system tells: the kernel goes on showing attributes that it keeps.
fn is_stale(path: &Path) -> bool {
    statfs(path).err() == Some(Errno::ENOTCONN)
}

/// Whether the topmost mount on `path` is a mirrorfs.
fn is_mounted(path: &Path) -> bool {
    // A name of another mount that is no text must not hide this one.
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    top_type(&String::from_utf8_lossy(&table), path).is_some_and(|fs_type| fs_type == FS_TYPE)
}

/// The type of the last mount on `path`, from the text of proc_pid_mountinfo(5).
fn top_type<'a>(table: &'a str, path: &Path) -> Option<&'a str> {
    let here = table.lines().rev().find(|line| {
        let mounted = line.split(' ').nth(4).map(unescape);
        mounted.is_some_and(|mounted| Path::new(&mounted) == path)
    });
    let (_, tail) = here?.split_once(" - ")?;
    tail.split(' ').next()
}

/// The table writes space, tab, newline and backslash as `\ooo`.
fn unescape(word: &str) -> String {
    let codes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let replace = |text: String, (code, plain): &(&str, &str)| text.replace(code, plain);
    codes.iter().fold(word.into(), replace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
36 35 98:0 / / rw - ext4 /dev/root rw
40 36 0:40 / /mnt/a\\040b rw - fuse.mirrorfs mirrorfs rw,user_id=0
41 36 0:41 / /mnt/c rw - fuse.mirrorfs mirrorfs rw
42 36 0:42 / /mnt/c rw - tmpfs tmpfs rw
";

    #[test]
    fn the_topmost_mount_counts() {
        assert_eq!(top_type(TABLE, Path::new("/mnt/a b")), Some(FS_TYPE));
        assert_eq!(top_type(TABLE, Path::new("/mnt/c")), Some("tmpfs"));
        assert_eq!(top_type(TABLE, Path::new("/mnt/d")), None);
        assert_eq!(top_type("garbage", Path::new("/mnt/d")), None);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = prepare(&folder.path().join("missing")).expect_err("missing");
        assert_eq!(missing.errno(), Errno::ENOENT);
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        assert_eq!(prepare(&file).expect_err("a file").errno(), Errno::ENOTDIR);
        assert!(prepare(folder.path()).is_ok());
    }
}

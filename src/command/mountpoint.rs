//! The folder to mount on: what is there, and what a killed daemon left there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use super::mounting::{FS_TYPE, detach};
use crate::engine::host::mounts::type_on;
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
    let on = type_on(path).ok().flatten();
    on.is_some_and(|fs_type| fs_type == FS_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

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

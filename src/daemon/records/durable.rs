//! Files and folders that have to be there after a power cut. What a flush could not
//! write the kernel takes for written: only what is written again is on the disk
//! after the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::private::make_file;
use crate::error::Errno;

/// Write a file for its owner alone, through to the disk.
///
/// # Errors
/// What the file system answers; EIO where it has answered well and the bytes are
/// not there: ext4 drops what it finds no block for, and may have told another
/// program's sync(2) of that.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = make_file(path, &options)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if fs::read(path)? == bytes {
        Ok(())
    } else {
        Err(Errno::EIO.into())
    }
}

/// Let the disk have what a folder holds: the names of files that were made, renamed
/// or removed.
///
/// # Errors
/// What the file system answers.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The same of the folder that something is in.
///
/// # Errors
/// What the file system answers.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().map(|parent| match parent.as_os_str() {
        here if here.is_empty() => Path::new("."),
        _ => parent,
    });
    parent.map_or(Ok(()), sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for bytes in [&b"one"[..], b"two of them", b""] {
            put(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        sync_parent(&path).unwrap();
        sync_parent(Path::new("a")).unwrap();
        sync_parent(Path::new("/")).unwrap();
        assert!(sync_parent(&path.join("b/c")).is_err());
    }
}

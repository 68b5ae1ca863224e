//! Whether a device answers: one block is read, past every cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use libc::{EINVAL, O_DIRECT, O_NONBLOCK};

use crate::engine::buffer::{ALIGN, Buffer};
use crate::error::{Error, Result};

/// Read the block that has this byte.
///
/// # Errors
/// What open(2) and read(2) answer.
pub(super) fn probe(node: &Path, at: u64) -> Result<()> {
    let mut buffer = Buffer::new(ALIGN as usize);
    let start = at - at % ALIGN;
    let read = open(node).and_then(|file| file.read_at(buffer.part(ALIGN as usize), start));
    let failed = |error: io::Error| Error::io(format!("reading {}", node.display()), &error);
    read.map(drop).map_err(failed)
}

// Some file systems have no direct I/O; what is cached was read once at least.
fn open(node: &Path) -> io::Result<File> {
    let opened = |flags| {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags).open(node)
    };
    match opened(O_DIRECT | O_NONBLOCK) {
        Err(error) if error.raw_os_error() == Some(EINVAL) => opened(O_NONBLOCK),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn a_file_answers_and_what_is_gone_does_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(10_000).unwrap();
        assert_eq!(probe(file.path(), 9_999), Ok(()));
        let error = probe(Path::new("/nowhere/at/all"), 0).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
    }
}

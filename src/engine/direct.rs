//! Bytes of a device or file, past every cache: what is really there, of a disk that has
//! bad spots too.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use libc::{EINVAL, O_DIRECT, O_NONBLOCK};

use super::buffer::{ALIGN, Buffer};
use super::facts::Span;
use crate::error::{Errno, Error, Result};

/// A device or file that is open, past every cache.
pub trait Direct: Send {
    /// What fails as one when the medium does, in bytes: its physical block.
    fn block(&self) -> u64;
    /// What is read and written as one at least, in bytes: its logical block.
    fn unit(&self) -> u64 {
        self.block()
    }
    /// Read all of these bytes; the errno is read(2)'s, EIO where it ends before.
    fn read(&self, span: Span) -> Result<Vec<u8>>;
    /// The same into memory that was used before: answers where in it they are.
    ///
    /// # Errors
    /// As those of [`Direct::read`].
    fn read_into(&self, span: Span, buffer: &mut Buffer) -> Result<Range<usize>> {
        let bytes = self.read(span)?;
        buffer.reserve(bytes.len());
        buffer.part(bytes.len()).copy_from_slice(&bytes);
        Ok(0..bytes.len())
    }
    /// Write these bytes, whole blocks of them, and have them reach the medium; the errno
    /// is that of write(2) or fdatasync(2).
    fn write(&self, at: u64, bytes: &[u8]) -> Result<()>;
}

/// Whether it is the medium that could not be read: what is gone has no bad spots.
pub fn is_of_the_medium(error: &Error) -> bool {
    let gone = [Errno::ENODEV, Errno::ENXIO, Errno::EBADF, Errno::EINVAL];
    !gone.contains(&error.errno())
}

/// One that is opened by its path.
#[derive(Debug)]
pub(in crate::engine) struct OpenFile {
    file: File,
    node: PathBuf,
    /// What it can be read in, in bytes.
    unit: u64,
    /// What fails as one when a medium does, in bytes.
    block: u64,
}

impl OpenFile {
    /// Open what `way` leads to, which a sentence calls `node`.
    ///
    /// # Errors
    /// What open(2) answers.
    pub(in crate::engine) fn open(
        way: &Path,
        node: &Path,
        (unit, block): (u64, u64),
        write: bool,
    ) -> Result<OpenFile> {
        let opened = open(way, OpenOptions::new().read(true).write(write));
        let file = opened.map_err(|error| Error::io(format!("opening {}", node.display()), &error));
        let unit = unit.clamp(1, ALIGN);
        Ok(OpenFile {
            file: file?,
            node: node.into(),
            unit,
            block: block.clamp(unit, ALIGN),
        })
    }

    fn fill(&self, bytes: &mut [u8], at: u64, wanted: usize) -> io::Result<()> {
        let mut done = 0;
        while done < wanted {
            let rest = bytes.get_mut(done..).unwrap_or_default();
            match self.file.read_at(rest, at + done as u64)? {
                0 => return Err(io::Error::from_raw_os_error(libc::EIO)),
                read => done += read,
            }
        }
        Ok(())
    }

    fn failed(&self, doing: &str, error: &io::Error) -> Error {
        Error::io(format!("{doing} {}", self.node.display()), error)
    }
}

impl Direct for OpenFile {
    fn block(&self) -> u64 {
        self.block
    }

    fn unit(&self) -> u64 {
        self.unit
    }

    fn read(&self, span: Span) -> Result<Vec<u8>> {
        let mut buffer = Buffer::default();
        let range = self.read_into(span, &mut buffer)?;
        Ok(buffer.bytes(range).to_vec())
    }

    fn read_into(&self, span: Span, buffer: &mut Buffer) -> Result<Range<usize>> {
        let before = span.start % self.unit;
        let size = (span.size + before).next_multiple_of(self.unit) as usize;
        buffer.reserve(size);
        let wanted = (span.size + before) as usize;
        self.fill(buffer.part(size), span.start - before, wanted)
            .map_err(|error| self.failed("reading", &error))?;
        Ok(before as usize..wanted)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut buffer = Buffer::new(bytes.len());
        let part = buffer.part(bytes.len());
        part.copy_from_slice(bytes);
        let written = self.file.write_all_at(part, at);
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| self.failed("writing", &error))
    }
}

// Some file systems have no direct I/O; what is cached was read once at least.
pub(in crate::engine) fn open(node: &Path, options: &OpenOptions) -> io::Result<File> {
    let opened = |flags| options.clone().custom_flags(flags).open(node);
    match opened(O_DIRECT | O_NONBLOCK) {
        Err(error) if error.raw_os_error() == Some(EINVAL) => opened(O_NONBLOCK),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_written_where_they_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(10_000).unwrap();
        let direct = OpenFile::open(file.path(), file.path(), (512, 4096), true).unwrap();
        assert_eq!(direct.block(), 4096);
        assert_eq!(direct.write(4096, &[7; 4096]), Ok(()));
        let span = |start, size| Span { start, size };
        assert_eq!(direct.read(span(4000, 100)).unwrap()[95..], [0, 7, 7, 7, 7]);
        assert_eq!(direct.read(span(9_000, 1_000)).unwrap().len(), 1_000);
        assert!(direct.read(span(9_000, 2_000)).is_err());
    }
}

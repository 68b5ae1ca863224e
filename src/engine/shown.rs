//! What the kernel shows in a file of /proc or /sys. Such a file has no size, and a reader
//! that asks for it first, and then tries with 32 bytes, 64 and so on, makes three times as
//! many calls as one that has room.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Room for an attribute of /sys, of which none is larger (Documentation/filesystems/sysfs.rst).
const PAGE: usize = 4096;

/// All that it shows.
///
/// # Errors
/// What open(2) and read(2) answer.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2 * PAGE);
    // Without a limit it would be asked how large it is.
    File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As those of [`bytes`]; InvalidData where it is none.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let text = String::from_utf8(bytes(path)?);
    text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// An attribute of /sys, which one read gives.
///
/// # Errors
/// As those of [`text`].
pub fn attribute(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut page = [0; PAGE];
    let size = File::open(path)?.read(&mut page)?;
    Ok(page.get(..size).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_file_is_read_whatever_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for size in [0, 1, PAGE, 5 * PAGE + 1] {
            std::fs::write(file.path(), vec![b'x'; size]).unwrap();
            assert_eq!(bytes(file.path()).unwrap().len(), size);
            assert_eq!(attribute(file.path()).unwrap().len(), size.min(PAGE));
        }
        assert!(text("/proc/self/status").unwrap().starts_with("Name:"));
        assert!(text("/nowhere").is_err() && attribute("/nowhere").is_err());
    }
}

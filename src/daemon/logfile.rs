//! The disk log's device or file before the kernel sees it: made where it does
//! not exist, checked where it does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::engine::Facts;
use crate::error::{Errno, Error, Result};
use crate::text::disklog::{self, Header};

/// The logical block that a new log file is rounded up to: the largest in use,
/// so that the file fits whatever the loop device reports.
const BLOCK: u64 = 4096;

/// Make a log file for `regions`, all written, so that the log never needs
/// space that the file system no longer has.
///
/// # Errors
/// What the file system answers; what was written so far is taken back.
pub fn make(path: &Path, regions: u64) -> Result<()> {
    check_place(path)?;
    let what = || format!("making the log file {}", path.display());
    let size = disklog::size_for(regions, BLOCK).ok_or_else(|| too_many(regions))?;
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.map_err(|error| Error::io(what(), &error))?;
    fill(&mut file, size)
        .and_then(|()| sync_folder(path))
        .map_err(|error| {
            // Half a log is worse than none; the cause is what matters.
            let _ = std::fs::remove_file(path);
            Error::io(what(), &error)
        })
}

/// A file made in /dev is a typing error that fills memory.
fn check_place(path: &Path) -> Result<()> {
    if !path.starts_with("/dev") {
        return Ok(());
    }
    Err(Error::new(
        Errno::ENOENT,
        format!(
            "there is no device {}: a log file is not made in /dev",
            path.display()
        ),
    ))
}

fn fill(file: &mut File, size: u64) -> std::io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(zeros.get(..part as usize).unwrap_or(&zeros))?;
        left -= part;
    }
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn too_many(regions: u64) -> Error {
    Error::invalid(format!(
        "a log of {regions} regions is too large: take larger regions"
    ))
}

/// Check a log that exists.
///
/// # Errors
/// ENOSPC where it is too small, EINVAL where it holds the log of a mirror with
/// another number of regions: using it would destroy that log.
pub fn check(facts: &Facts, regions: u64) -> Result<()> {
    let name = facts.node.display();
    let need = disklog::size_for(regions, facts.block_size).ok_or_else(|| too_many(regions))?;
    if facts.size < need {
        return Err(Error::new(
            Errno::ENOSPC,
            format!(
                "log device {name} too small: need {need} bytes for {regions} regions, it has {}",
                facts.size
            ),
        ));
    }
    match read_header(facts)? {
        Some(header) if header.regions != regions => Err(Error::invalid(format!(
            "{name} holds the log of a mirror with {} regions, this one has {regions}: \
             name another log, or clear that one with `dd if=/dev/zero of={name} bs=1024 count=1`",
            header.regions
        ))),
        _ => Ok(()),
    }
}

fn read_header(facts: &Facts) -> Result<Option<Header>> {
    let path = facts.file.as_ref().unwrap_or(&facts.node);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut bytes));
    read.map_err(|error| Error::io(format!("reading the log {}", path.display()), &error))?;
    Ok(Header::parse(&bytes))
}

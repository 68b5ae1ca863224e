//! The disk log's device or file before the kernel sees it: made where it does
//! not exist, checked where it does.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::daemon::records::durable::sync_parent;
use crate::daemon::records::private::{make_file, open_file};
use crate::engine::Facts;
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::SECTOR;
use crate::text::disklog::{self, Header};

/// The logical block that a new log file is rounded up to: the largest in use,
/// so that the file fits whatever the loop device reports.
const BLOCK: u64 = 4096;

/// Bytes that are read or written at a time.
const PIECE: usize = 64 * 1024;

/// Make a log file for `regions`, all written, so that the log never needs
/// space that the file system no longer has. Its name is on the disk after
/// [`keep_names`].
///
/// # Errors
/// What the file system answers; what was written so far is taken back.
pub fn make(path: &Path, regions: u64) -> Result<File> {
    check_place(path)?;
    let what = || format!("making the log file {}", path.display());
    let size = disklog::size_for(regions, BLOCK).ok_or_else(|| too_many(regions))?;
    let mut options = OpenOptions::new();
    let opened = make_file(path, options.write(true).create_new(true));
    let mut file = opened.map_err(|error| Error::io(what(), &error))?;
    fill(&mut file, size).map(|()| file).map_err(|error| {
        // Half a log is worse than none; the cause is what matters.
        let _ = std::fs::remove_file(path);
        Error::io(what(), &error)
    })
}

/// The disk has the names of files that were made: each folder once, whatever number is
/// in it.
///
/// # Errors
/// What the file system answers.
pub fn keep_names(made: &[PathBuf]) -> Result<()> {
    let folders: BTreeMap<_, _> = made.iter().map(|path| (path.parent(), path)).collect();
    folders.into_values().try_for_each(|path| {
        sync_parent(path)
            .map_err(|error| Error::io(format!("making the log file {}", path.display()), &error))
    })
}

/// Whether a file may be one that [`make`] has made: for its owner alone, and
/// nothing or a log in it.
pub fn is_ours(path: &Path) -> bool {
    let mut head = [0; 16];
    let read = open_file(path).and_then(|file| {
        file.read_at(&mut head, 0)?;
        file.metadata()
    });
    let private = read.is_ok_and(|stat| stat.mode() & 0o777 == 0o600);
    private && (head == [0; 16] || Header::parse(&head).is_some())
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
    let zeros = vec![0; PIECE];
    let mut left = size;
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(zeros.get(..part as usize).unwrap_or(&zeros))?;
        left -= part;
    }
    file.sync_all()
}

fn too_many(regions: u64) -> Error {
    Error::invalid(format!(
        "a log of {regions} regions is too large: use larger regions"
    ))
}

/// Remove a log file, where it is there; what stays is told in the log.
pub(crate) fn remove_file(path: &PathBuf) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {}
        Err(error) => log::warn!("the log file {} stays: {error}", path.display()),
    }
}

/// Whose an existing log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Nobody uses it.
    Free,
    /// The mirror itself uses it already.
    Own,
    /// The same, and it may be for another number of regions than it is now.
    Grown,
}

/// Check a log that exists.
///
/// # Errors
/// ENOSPC where it is too small, EINVAL where it holds a log of another version
/// or of a mirror with another number of regions (using it would destroy that
/// log), EIO and what else the device answers where it cannot be written.
pub fn check(facts: &Facts, regions: u64, whose: Whose) -> Result<()> {
    let name = facts.node.display();
    let need = disklog::size_for(regions, facts.block_size).ok_or_else(|| too_many(regions))?;
    if facts.size < need {
        let sentence = format!(
            "log device {name} too small: need {need} bytes for {regions} regions, it has {}",
            facts.size
        );
        return Err(Error::new(Errno::ENOSPC, sentence));
    }
    let in_use = whose != Whose::Free;
    let block = block(&facts.way(), in_use).map_err(|error| {
        let doing = if in_use {
            "reading"
        } else {
            "reading and writing"
        };
        Error::io(format!("{doing} the log {name}"), &error)
    })?;
    match Header::parse(&block) {
        // The kernel clears the bits of what is new or no more itself (`disk_resume`).
        Some(_) if whose == Whose::Grown => Ok(()),
        Some(header) => check_header(&name.to_string(), header, regions),
        None => Ok(()),
    }
}

/// Whether a file holds what a log for `regions` would destroy: it is neither blank
/// as far as the log would use it, nor a log for as many.
///
/// # Errors
/// What open(2) and read(2) answer.
pub fn holds_other(facts: &Facts, regions: u64) -> Result<bool> {
    let need = disklog::size_for(regions, facts.block_size).ok_or_else(|| too_many(regions))?;
    let failed = |error| Error::io(format!("reading {}", facts.node.display()), &error);
    let file = open_afresh(&facts.way(), OpenOptions::new().read(true)).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < need {
        let size = (need - at).min(PIECE as u64) as usize;
        let read = file.read_at(piece.get_mut(..size).unwrap_or_default(), at);
        let read = read.map_err(failed)?;
        let bytes = piece.get(..read).unwrap_or_default();
        let ours = |header: Header| header.regions == regions;
        if at == 0 && Header::parse(bytes).is_some_and(ours) {
            return Ok(false);
        }
        if read == 0 || bytes.iter().any(|byte| *byte != 0) {
            return Ok(read > 0);
        }
        at += read as u64;
    }
    Ok(false)
}

/// The kernel counts a log of another version as failed, and holds all writes.
fn check_header(name: &str, header: Header, regions: u64) -> Result<()> {
    let clear = format!(
        "name another log, or clear that one with `dd if=/dev/zero of={name} bs=1024 count=1`"
    );
    match header {
        Header { version, .. } if version != disklog::VERSION => Err(Error::invalid(format!(
            "{name} holds a log of version {version}, known is {}: {clear}",
            disklog::VERSION
        ))),
        Header { regions: other, .. } if other != regions => Err(Error::invalid(format!(
            "{name} holds the log of a mirror with {other} regions, this one has {regions}: {clear}"
        ))),
        _ => Ok(()),
    }
}

/// Open what the kernel writes past the page cache, without what the cache still
/// has of before: that would be believed, or written back over what is there.
pub(crate) fn open_afresh(path: &Path, options: &OpenOptions) -> std::io::Result<File> {
    let file = options.open(path)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(file)
}

/// Read the header's block and write it back as it is. Only a write tells that a
/// log can be written, and the kernel makes its first one when the copy begins. A
/// log that the mirror itself is using is not written behind the kernel's back.
fn block(path: &Path, in_use: bool) -> std::io::Result<Vec<u8>> {
    let file = open_afresh(path, OpenOptions::new().read(true).write(!in_use))?;
    let mut block = vec![0; SECTOR as usize];
    let read = file.read_at(&mut block, 0)?;
    block.truncate(read);
    if !in_use {
        file.write_all_at(&block, 0)?;
        file.sync_all()?;
    }
    Ok(block)
}

//! The tree's results in fuser's words: attributes, errnos, replies.

use std::ffi::OsStr;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileType, Generation, INodeNo, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
};

use crate::error::{Error, Result};
use crate::tree::node::Node;
use crate::tree::stat::{Attr, NodeType};
use crate::tree::walk::Found;

/// Names and attributes that only change through this mount.
const LASTING: Duration = Duration::from_secs(3600);

/// What changes, comes and goes behind the kernel's back.
const FLEETING: Duration = Duration::ZERO;

/// Bytes of a block, as stat(2) counts them.
const BLOCK: u64 = 512;

pub(super) fn errno(error: &Error) -> Errno {
    Errno::from_i32(error.errno() as i32)
}

pub(super) fn node(ino: INodeNo) -> Result<Node> {
    let node = Node::from_ino(ino.0);
    node.ok_or_else(|| Error::new(crate::error::Errno::ENOENT, "there is no such file"))
}

/// The longest name of a file, as elsewhere (NAME_MAX, limits.h); FUSE itself lets
/// longer ones through.
const LONGEST: usize = 255;

/// A name of something that is there; one that is no text nothing has.
pub(super) fn known(name: &OsStr) -> Result<&str> {
    text(name)?.ok_or_else(|| Error::new(crate::error::Errno::ENOENT, "there is no such file"))
}

/// A name for something new.
pub(super) fn new_name(name: &OsStr) -> Result<&str> {
    text(name)?.ok_or_else(|| Error::invalid("the name is not valid text"))
}

fn text(name: &OsStr) -> Result<Option<&str>> {
    match name.len() {
        0..=LONGEST => Ok(name.to_str()),
        length => Err(Error::new(
            crate::error::Errno::ENAMETOOLONG,
            format!("the name has {length} bytes, at most {LONGEST} are allowed"),
        )),
    }
}

pub(super) fn file_type(sort: NodeType) -> FileType {
    match sort {
        NodeType::Folder => FileType::Directory,
        NodeType::File => FileType::RegularFile,
        NodeType::Link => FileType::Symlink,
    }
}

pub(super) fn file_attr(ino: u64, attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: attr.size,
        blocks: attr.size.div_ceil(BLOCK),
        atime: attr.mtime,
        mtime: attr.mtime,
        ctime: attr.mtime,
        crtime: attr.mtime,
        kind: file_type(attr.sort),
        perm: attr.mode,
        // One, as on file systems whose folders count no subfolders.
        nlink: 1,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

pub(super) fn attr_life(attr: &Attr) -> Duration {
    if attr.fleeting { FLEETING } else { LASTING }
}

pub(super) fn reply_entry(reply: ReplyEntry, result: Result<Found>) {
    match result {
        Ok(Found {
            ino,
            attr,
            fleeting,
        }) => {
            let name = if fleeting { FLEETING } else { LASTING };
            let life = attr_life(&attr);
            reply.entry_with_ttls(&life, &name, &file_attr(ino, &attr), Generation(0));
        }
        Err(error) => reply.error(errno(&error)),
    }
}

/// The number that stat(2) shows is that of the place, whichever of its inodes was
/// asked for.
pub(super) fn reply_attr(reply: ReplyAttr, result: Result<Attr>) {
    match result {
        Ok(attr) => reply.attr(&attr_life(&attr), &file_attr(attr.node.ino(), &attr)),
        Err(error) => reply.error(errno(&error)),
    }
}

pub(super) fn reply_empty(reply: ReplyEmpty, result: Result<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(&error)),
    }
}

pub(super) fn reply_data(reply: ReplyData, result: Result<Vec<u8>>) {
    match result {
        Ok(data) => reply.data(&data),
        Err(error) => reply.error(errno(&error)),
    }
}

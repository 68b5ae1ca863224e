//! A file system with one file that always says the same: what a read through FUSE costs
//! at least.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};

use super::place::attempt;
use super::sample::until;

/// What it says: as long as a status.
const TEXT: &[u8] = b"0 8192 mirror 2 1:0 1:1 8/8 1 AA 1 core\n";

/// A folder whose name may come to mean something else at any time, as a mirror's may, and
/// the file in it.
const FOLDER: INodeNo = INodeNo(2);
const FILE: INodeNo = INodeNo(3);

struct Constant;

fn attr(ino: INodeNo) -> FileAttr {
    let folder = ino != FILE;
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if folder {
            FileType::Directory
        } else {
            FileType::RegularFile
        },
        perm: if folder { 0o755 } else { 0o444 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// As long as mirrorfs lets the kernel keep what does not change.
const KEPT: Duration = Duration::from_secs(1);

impl Filesystem for Constant {
    fn lookup(&self, _: &Request, parent: INodeNo, _: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT {
            reply.entry(&Duration::ZERO, &attr(FOLDER), Generation(0));
        } else {
            reply.entry(&KEPT, &attr(FILE), Generation(0));
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&KEPT, &attr(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let flags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let rest = TEXT.get(offset as usize..).unwrap_or_default();
        reply.data(rest.get(..size as usize).unwrap_or(rest));
    }

    fn flush(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: LockOwner,
        reply: fuser::ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }
}

/// Serve it until it is unmounted.
pub fn serve(at: &Path) {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("constant".into())];
    fuser::mount(Constant, at, &config).expect("a mount");
}

/// A process of its own that serves it, as a mount of mirrorfs has one; it ends when this
/// is dropped.
pub struct Served(PathBuf, Child);

impl Served {
    /// On this folder.
    pub fn new(at: &Path) -> Served {
        let own = std::env::current_exe().expect("a path");
        let child = Command::new(own).arg("--constant").arg(at).spawn();
        let file = at.join("folder/file");
        let served = Served(at.into(), child.expect("it starts"));
        until(Duration::from_secs(10), "a constant file", || file.exists());
        served
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.0.join("folder/file")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        attempt(&format!("umount {}", self.0.display()));
        let _ = self.1.wait();
    }
}

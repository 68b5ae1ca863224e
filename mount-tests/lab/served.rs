//! A file system that can stop answering: it is served by a child of this program, with
//! one file in it, and the child can be stopped. As with one over a network that is gone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request, WriteFlags,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::shell::attempt;
use super::{Lab, wait_for};

/// The first argument of a program that serves it.
pub const WORD: &str = "--serve-a-file";

/// Its file.
const NAME: &str = "disk";
const INODE: INodeNo = INodeNo(2);

/// The kernel keeps nothing: it asks each time.
const NO_TIME: Duration = Duration::ZERO;

/// The file system, seen from the test. It goes when it is dropped.
pub struct Served {
    /// Its file.
    pub file: String,
    at: String,
    below: PathBuf,
    child: Child,
}

impl Lab {
    /// A file system with a file of this size.
    pub fn served(&self, name: &str, size: u64) -> Served {
        let at = self.path(name).display().to_string();
        let below = self.path(&format!("{name}.below"));
        let file = File::create(&below).expect("a file");
        file.set_len(size).expect("its size");
        fs::create_dir(&at).expect("a folder");
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program);
        let child = child
            .arg(WORD)
            .arg(&below)
            .arg(&at)
            .spawn()
            .expect("a child");
        let file = format!("{at}/{NAME}");
        wait_for("it is mounted", || Path::new(&file).exists());
        Served {
            file,
            at,
            below,
            child,
        }
    }
}

impl Served {
    /// From now on nothing of it is answered, until what is answered here is dropped.
    pub fn stop(&self) -> Stopped<'_> {
        self.signal(Signal::SIGSTOP);
        Stopped(self)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("the child is there");
    }
}

/// While it is there nothing is answered.
pub struct Stopped<'a>(&'a Served);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGCONT);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        attempt(&format!("umount -l {0}; rmdir {0}", self.at));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.below);
    }
}

/// Serve the file of the first word at the folder of the second.
pub fn main(words: impl Iterator<Item = String>) -> ! {
    let words: Vec<String> = words.collect();
    let file = File::options().read(true).write(true).open(&words[0]);
    let file = file.expect("the file below");
    let mut config = fuser::Config::default();
    config.mount_options = vec![MountOption::FSName("served".into())];
    let done = fuser::mount(OneFile { file }, &words[1], &config);
    std::process::exit(i32::from(done.is_err()))
}

struct OneFile {
    file: File,
}

impl OneFile {
    fn attr(&self, ino: INodeNo) -> FileAttr {
        let folder = ino == INodeNo::ROOT;
        let size = self.file.metadata().map_or(0, |stat| stat.len());
        FileAttr {
            ino,
            size: if folder { 0 } else { size },
            blocks: size / 512,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: if folder {
                FileType::Directory
            } else {
                FileType::RegularFile
            },
            perm: if folder { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for OneFile {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&NO_TIME, &self.attr(INODE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&NO_TIME, &self.attr(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
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
        let mut bytes = vec![0; size as usize];
        match self.file.read_at(&mut bytes, offset) {
            Ok(read) => reply.data(&bytes[..read]),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file.write_at(data, offset) {
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(0)),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}

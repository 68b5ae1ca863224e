//! FUSE's requests handed to the tree, and its results handed back. Callbacks
//! so thin that they decide nothing; only this folder names fuser's requests and
//! replies.

mod answer;
mod called;

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents, PollFlags,
    PollNotifier, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyPoll, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use self::answer::{
    errno, file_type, known, new_name, node, reply_attr, reply_data, reply_empty, reply_entry,
};
use self::called::is_called;
use crate::daemon::admission::permission::Caller;
use crate::error::Result;
use crate::model::ownership::Ownership;
use crate::tree::Tree;
use crate::tree::limits::Resource;
use crate::tree::locks::{Answer, Want};
use crate::tree::write::not_here;

/// How long a caller waits for a command before it is told EINPROGRESS.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The same for mkdir, rmdir and rename: the kernel keeps the whole folder
/// locked meanwhile, and who looks for a name in it waits too.
const FOLDER_PATIENCE: Duration = Duration::from_millis(2500);

/// How long somebody who waits for a lock may have to wait until a signal gets to him.
const LOCK_BEAT: Duration = Duration::from_millis(500);

/// The most bytes of one write; the kernel's own limit.
const MAX_WRITE: u32 = 1 << 20;

/// The tree as fuser sees it.
pub struct Fs {
    tree: Arc<Tree>,
}

impl Fs {
    /// A file system that shows `tree`.
    pub fn new(tree: Tree) -> Self {
        let tree = Arc::new(tree);
        Fs { tree }
    }

    /// Do `work` where it may take long, and answer when it is done or has
    /// taken longer than `patience`. `share` is what it takes of what may be under way.
    fn later<T: Send + 'static, S: Send + 'static>(
        &self,
        share: Result<S>,
        patience: Duration,
        work: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let share = match share {
            Ok(share) => share,
            Err(error) => return answer(Err(error)),
        };
        let tree = Arc::clone(&self.tree);
        let work = move || {
            let _until_done = share;
            work(&tree)
        };
        self.tree.deadlines.run(patience, work, answer);
    }

    /// What a call that names a path takes of what may be under way.
    fn begin(&self, request: &Request) -> Result<impl Send + 'static> {
        let caller = Caller::reader(request.uid());
        self.tree.share(&caller, Resource::Commands, 1)
    }
}

/// Direct: what is read is made when it is read, whatever its size. Without a flush: the
/// kernel locks the file for it, even where nobody is asked, and a close would wait for
/// whatever verb was written to the file by another (`fuse_flush`, fs/fuse/file.c).
const OPENED: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);

/// Look after a thread that waits for a lock, until it has it or a signal.
fn attend(tree: Arc<Tree>, ticket: u64, thread: u32) {
    let desk = Arc::clone(&tree.deadlines);
    desk.after(LOCK_BEAT, move || match tree.locks.is_waiting(ticket) {
        true if is_called(thread) => tree.locks.give_up(ticket),
        true => attend(tree, ticket, thread),
        false => {}
    });
}

impl Filesystem for Fs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // A kernel without them keeps locks by inode, and allows what it allows.
        let _ = config.add_capabilities(InitFlags::FUSE_FLOCK_LOCKS);
        let _ = config.set_max_write(MAX_WRITE);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = node(parent).and_then(|parent| self.tree.find(parent, known(name)?));
        reply_entry(reply, found);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply_attr(reply, node(ino).and_then(|node| self.tree.attr(node)));
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mode = mode.map(|mode| (mode & 0o7777) as u16);
        let look = Ownership { mode, uid, gid };
        let checked = node(ino).and_then(|node| {
            let writable = size.map_or(Ok(()), |_| self.tree.writable(node).map(drop));
            writable.map(|()| node)
        });
        if look.is_plain() {
            return reply_attr(reply, checked.and_then(|node| self.tree.attr(node)));
        }
        let change = move |tree: &Tree| tree.set_ownership(checked?, look);
        // What is changed is recorded, and a disk may be slow.
        let share = self.begin(request);
        self.later(share, ANSWER_WITHIN, change, move |result| {
            reply_attr(reply, result)
        });
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let link = node(ino).and_then(|node| self.tree.link(node));
        reply_data(reply, link.map(String::into_bytes));
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writing = flags.acc_mode() != OpenAccMode::O_RDONLY;
        let caller = if writing {
            Caller::of(request.uid(), request.gid(), request.pid())
        } else {
            Caller::reader(request.uid())
        };
        match node(ino).and_then(|node| self.tree.open(node, caller, writing)) {
            Ok(handle) => reply.opened(FileHandle(handle), OPENED),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (number, size) = (handle.0, size as usize);
        let pause = self.tree.pause(number);
        if pause.is_zero() {
            return reply_data(reply, self.tree.read(number, offset, size));
        }
        let tree = Arc::clone(&self.tree);
        let answer = move || reply_data(reply, tree.read(number, offset, size));
        self.tree.deadlines.after(pause, answer);
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        notifier: PollNotifier,
        _: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let wait = flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY);
        let tell = wait.then_some(move || drop(notifier.notify()));
        // As sysfs has it: always readable, and POLLPRI when there is news.
        let news = match self.tree.poll(handle.0, tell) {
            Ok(false) => PollEvents::empty(),
            Ok(true) => PollEvents::POLLPRI | PollEvents::POLLERR,
            Err(_) => PollEvents::POLLPRI | PollEvents::POLLERR | PollEvents::POLLHUP,
        };
        reply.poll(PollEvents::POLLIN | PollEvents::POLLRDNORM | news);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let share = self.tree.begin(handle.0, data.len());
        let (number, data, tree) = (handle.0, data.to_vec(), Arc::clone(&self.tree));
        let answer = move |result: Result<usize>| match result {
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(error) => {
                if error.errno() == crate::error::Errno::EINPROGRESS {
                    tree.write_goes_on(number, &error);
                }
                reply.error(errno(&error));
            }
        };
        let work = move |tree: &Tree| tree.write(number, &data);
        self.later(share, ANSWER_WITHIN, work, answer);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        owner: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        if let (Some(owner), Ok(node)) = (owner, node(ino)) {
            self.tree.locks.release(node.ino(), owner.0);
        }
        self.tree.close(handle.0);
        reply.ok();
    }

    fn setlk(
        &self,
        request: &Request,
        ino: INodeNo,
        _: FileHandle,
        owner: LockOwner,
        _start: u64,
        _end: u64,
        kind: i32,
        _pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        // Of flock(2) only: nothing else was asked for, and that is of whole files.
        let place = match node(ino) {
            Ok(node) => node.ino(),
            Err(error) => return reply.error(errno(&error)),
        };
        let want = match kind {
            libc::F_RDLCK => Want::Shared,
            libc::F_WRLCK => Want::Alone,
            _ => {
                self.tree.locks.release(place, owner.0);
                return reply.ok();
            }
        };
        if !sleep {
            return reply_empty(reply, self.tree.locks.get(place, owner.0, want));
        }
        let answer: Answer = Box::new(|result| reply_empty(reply, result));
        if let Some(ticket) = self.tree.locks.wait(place, owner.0, want, answer) {
            attend(Arc::clone(&self.tree), ticket, request.pid());
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Nothing is ever left to flush. Asked only by a kernel older than 5.16.
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn opendir(&self, request: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let caller = Caller::reader(request.uid());
        match node(ino).and_then(|node| self.tree.open_folder(node, caller)) {
            Ok(number) => reply.opened(FileHandle(number), FopenFlags::empty()),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.tree.names(handle.0, offset == 0) {
            Ok(names) => names,
            Err(error) => return reply.error(errno(&error)),
        };
        let dots = [".", ".."].map(|dot| (ino, FileType::Directory, dot));
        let names = names.iter().map(|name| {
            (
                INodeNo(name.node.ino()),
                file_type(name.sort),
                name.name.as_str(),
            )
        });
        let all = dots.into_iter().chain(names).zip(1_u64..);
        for ((ino, sort, name), next) in all.skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(ino, next, sort, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.tree.close_folder(handle.0);
        reply.ok();
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let wanted = node(parent).and_then(|parent| Ok((parent, new_name(name)?.to_string())));
        let maker = (request.uid(), request.gid());
        self.later(
            self.begin(request),
            FOLDER_PATIENCE,
            move |tree| {
                let (parent, name) = wanted?;
                tree.found(tree.make_folder(parent, &name, maker)?)
            },
            |result| reply_entry(reply, result),
        );
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let wanted = node(parent).and_then(|parent| Ok((parent, known(name)?.to_string())));
        self.later(
            self.begin(request),
            FOLDER_PATIENCE,
            move |tree| {
                let (parent, name) = wanted?;
                tree.remove_folder(parent, &name)
            },
            |result| reply_empty(reply, result),
        );
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        to: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // A name that is taken is never replaced, whether that was asked for or not.
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.error(Errno::EINVAL);
        }
        let from = node(parent).and_then(|parent| Ok((parent, known(name)?.to_string())));
        let to = node(new_parent).and_then(|parent| Ok((parent, new_name(to)?.to_string())));
        self.later(
            self.begin(request),
            FOLDER_PATIENCE,
            move |tree| {
                let (from, to) = (from?, to?);
                tree.rename((from.0, &from.1), (to.0, &to.1))
            },
            |result| reply_empty(reply, result),
        );
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.error(errno(&not_here()));
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(errno(&not_here()));
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(&not_here()));
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        // `default_permissions` lets the kernel decide.
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }
}

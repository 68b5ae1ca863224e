//! What each call on a path of the tree may answer: the rules of the interface, said once
//! more and without the program.

use nix::errno::Errno;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A file that only shows something.
    Shown,
    /// A file that takes lines.
    Taken,
    /// A folder that is always there while its mirror is.
    Folder,
    /// A mirror's folder.
    Mirror,
    /// What is not there.
    Nothing,
}

/// Files of a mirror, with what they are.
pub const FILES: &[(&str, Sort)] = &[
    ("status", Sort::Shown),
    ("progress", Sort::Shown),
    ("health", Sort::Shown),
    ("info.json", Sort::Shown),
    ("uuid", Sort::Shown),
    ("sync/state", Sort::Shown),
    ("sync/rate", Sort::Shown),
    ("log/type", Sort::Shown),
    ("table", Sort::Taken),
    ("ctl", Sort::Taken),
    ("persist", Sort::Taken),
    ("on_failure", Sort::Taken),
    ("sync/limit", Sort::Taken),
    ("sync", Sort::Folder),
    ("legs", Sort::Folder),
    ("log", Sort::Folder),
    ("nothing", Sort::Nothing),
];

/// Files at the root.
pub const ROOT: &[(&str, Sort)] = &[
    ("status", Sort::Shown),
    ("table", Sort::Shown),
    ("progress", Sort::Shown),
    ("health", Sort::Shown),
    ("events", Sort::Shown),
    ("metrics", Sort::Shown),
    ("mirrors.json", Sort::Shown),
    ("version", Sort::Shown),
    ("help", Sort::Shown),
    ("new", Sort::Taken),
    ("throttle", Sort::Taken),
    (".", Sort::Folder),
    ("nothing", Sort::Nothing),
];

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Stat,
    List,
    Change,
    Make,
    Unmake,
    Rename,
    Other,
}

/// What may happen to any path of a mirror that comes and goes.
const GONE: &[Errno] = &[Errno::ENOENT, Errno::ENODEV, Errno::ESTALE];

/// Whether a call may answer so. `lasting`: it is of what is there all the time.
pub fn may(call: Call, sort: Sort, lasting: bool, errno: Errno) -> bool {
    if !lasting && GONE.contains(&errno) {
        return true;
    }
    let allowed: &[Errno] = match (call, sort) {
        (Call::Make, _) => &[
            Errno::EEXIST,
            Errno::EINVAL,
            Errno::EPERM,
            Errno::EINPROGRESS,
            Errno::ENOENT,
            Errno::ENOTDIR,
        ],
        (Call::Unmake, _) => &[
            Errno::EPERM,
            Errno::EBUSY,
            Errno::ENOTDIR,
            Errno::EISDIR,
            Errno::EINPROGRESS,
            Errno::ENOENT,
            Errno::EINVAL,
        ],
        (Call::Rename, _) => &[
            Errno::EPERM,
            Errno::EBUSY,
            Errno::EINVAL,
            Errno::EEXIST,
            Errno::ENOTDIR,
            Errno::EISDIR,
            Errno::EINPROGRESS,
            Errno::ENOENT,
            Errno::EXDEV,
            Errno::ENOTEMPTY,
        ],
        (Call::Other, _) => &[
            Errno::EPERM,
            Errno::EINVAL,
            Errno::EOPNOTSUPP,
            Errno::ENODATA,
            Errno::ENOTTY,
            Errno::EISDIR,
            Errno::ENOENT,
            Errno::EACCES,
            Errno::EEXIST,
            Errno::ENOSYS,
        ],
        (_, Sort::Nothing) => &[Errno::ENOENT],
        (Call::Read, Sort::Folder | Sort::Mirror) => &[Errno::EISDIR],
        (Call::Write, Sort::Folder | Sort::Mirror) => &[Errno::EISDIR],
        (Call::Write, Sort::Shown) => &[Errno::EACCES],
        (Call::Write, Sort::Taken) => &[
            Errno::EINVAL,
            Errno::EBUSY,
            Errno::EEXIST,
            Errno::ENOENT,
            Errno::ENODEV,
            Errno::EINPROGRESS,
            Errno::ENOTEMPTY,
            Errno::ENOSPC,
        ],
        (Call::List, Sort::Shown | Sort::Taken) => &[Errno::ENOTDIR],
        (Call::Change, Sort::Shown) => &[Errno::EACCES, Errno::EINVAL],
        (Call::Change, Sort::Folder | Sort::Mirror) => &[Errno::EISDIR],
        _ => &[],
    };
    allowed.contains(&errno)
}

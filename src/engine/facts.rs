//! What is known of a device or file below device-mapper.

use std::any::Any;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::text::device::{DevNo, DeviceRef};

/// A span of bytes on the lowest device or file that is known, so that two
/// names of one place can be told to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// What it lies on: a whole disk, or the file behind a loop device.
    pub base: String,
    /// First byte there.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// A regular file that was looked at. Its path may lead to another one at any time; this
/// leads to the very file, as long as it is kept.
#[derive(Debug, Clone)]
pub struct Pin(Arc<File>);

impl Pin {
    /// Keep an open file, opened in whatever way (open(2), O_PATH).
    pub fn new(file: File) -> Pin {
        Pin(Arc::new(file))
    }

    /// The path that opens it (proc_pid_fd(5)).
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Which file it is the extent says.
impl PartialEq for Pin {
    fn eq(&self, _: &Pin) -> bool {
        true
    }
}

impl Eq for Pin {}

/// What is known of a device or file that a table names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How a table names it: `8:16`.
    pub device: DeviceRef,
    /// Its node: `/dev/sdb`; the file itself where it is none.
    pub node: PathBuf,
    /// The regular file behind it, if any.
    pub file: Option<PathBuf>,
    /// Whether the loop device goes with its last user (LO_FLAGS_AUTOCLEAR).
    pub autoclear: bool,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical block.
    pub block_size: u64,
    /// Whether it cannot be written: a device that was set so, or whose disk was; a
    /// file on a file system that is.
    pub read_only: bool,
    /// Where its bytes really are.
    pub extent: Extent,
    /// The file itself, where it is none of a device.
    pub pin: Option<Pin>,
}

/// What is seen of a device or file without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Its node: `/dev/sdb`; the file itself where it is none.
    pub node: PathBuf,
    /// The regular file behind it, if any.
    pub file: Option<PathBuf>,
    /// Whether the loop device goes with its last user (LO_FLAGS_AUTOCLEAR).
    pub autoclear: bool,
    /// Bytes.
    pub size: u64,
}

/// What is known of a device that a table names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nobody asked, or it could not be looked at.
    Unknown,
    /// It is not there any more.
    Gone,
    /// It is there.
    There(Sight),
    /// Its file system does not answer.
    Late {
        /// For how long.
        since: Duration,
        /// What it was when it last answered.
        before: Option<Sight>,
    },
}

impl Facts {
    /// What is seen of it without opening it.
    pub fn sight(self) -> Sight {
        Sight {
            node: self.node,
            file: self.file,
            autoclear: self.autoclear,
            size: self.size,
        }
    }

    /// The path to open it by: of a file, that of the one that was looked at.
    pub fn way(&self) -> PathBuf {
        let pinned = self.pin.as_ref().map(Pin::path);
        pinned.unwrap_or_else(|| self.node.clone())
    }

    /// What stands for it in a question about its bytes, as [`Facts::way`] has it.
    pub fn pinned(&self) -> DeviceRef {
        match &self.pin {
            Some(pin) => DeviceRef::Path(pin.path()),
            None => self.device.clone(),
        }
    }
}

/// Somebody who holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// His number, to tell him from who is known.
    pub dev: DevNo,
    /// Who he is, as a sentence names him.
    pub words: String,
}

/// Bytes of a device or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

impl Span {
    /// The first byte behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Whether both have a byte.
    pub fn meets(&self, other: &Span) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// Bytes that are about to be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    /// The bytes that are written over.
    pub span: Span,
    /// Whether what lies in front of them is a copy that goes on in them, so that
    /// what begins there is known.
    pub continued: bool,
}

/// Something that a device or file holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As libblkid(3) names it, for a sentence.
    pub what: String,
    /// The byte where it begins.
    pub at: u64,
    /// When it was last mounted, in seconds since 1970, where it tells.
    pub mounted: Option<u64>,
}

/// How a disk answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Medium {
    /// How long the quickest of a few small reads took.
    pub late: Duration,
    /// Whether it turns, as far as it says.
    pub rotational: bool,
}

/// What has gone through a device and what is under way (Documentation/block/stat.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that came to their end.
    pub done: u64,
    /// Requests that have not.
    pub under_way: u64,
}

/// A file made usable as a device. Dropped before a table holds the device
/// open, it is detached again; afterwards it goes with the table.
pub struct Attachment {
    /// What to write into the table.
    pub device: DeviceRef,
    /// Keeps the attachment alive.
    pub guard: Box<dyn Any + Send>,
}

/// What was known by its identity, as a table can name it.
pub enum Brought {
    /// It is there.
    There(DeviceRef),
    /// It was made.
    Attached(Attachment),
}

impl Brought {
    /// How a table names it.
    pub fn device(&self) -> &DeviceRef {
        match self {
            Brought::There(device) => device,
            Brought::Attached(attachment) => &attachment.device,
        }
    }
}

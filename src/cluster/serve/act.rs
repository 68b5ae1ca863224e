//! What is to be done for what was asked: the server itself does nothing.

use std::ops::Range;
use std::sync::Arc;

use super::record::Record;
use crate::cluster::group::Wire;
use crate::cluster::state::cure::Cure;
use crate::cluster::state::order::Legs;
use crate::text::device::DeviceRef;

/// Something to do. Those of one answer are done in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Send this message to the kernel.
    Answer(Vec<u8>),
    /// Become one of those who have the log.
    Join(String),
    /// Be one of them no longer, and keep nothing of it.
    Leave(String),
    /// Say this to all that have the log.
    Send(String, Box<Wire>),
    /// Keep this for a server that is started later.
    Keep(String, Record),
    /// Find out what is below the running device with the log, for this table of it.
    Look(String, Look),
    /// Write this on the disk log.
    Write(String, Job),
    /// Do this with the device that has the log.
    Cure(String, Cure),
    /// Tell the person who reads the journal.
    Warn(String),
}

/// What is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What the kernel calls the log of the table.
    pub luid: u64,
    /// The device of its disk log.
    pub disk: Option<DeviceRef>,
    /// Read that, as a log of so many regions.
    pub regions: Option<u64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// What the legs are called; none where it is not certain which they are.
    pub legs: Legs,
    /// The same as this machine's tables name them.
    pub devices: Vec<DeviceRef>,
    /// The number of the disk log's device.
    pub disk: Option<DeviceRef>,
    /// Which regions it has as clean, where it has a log.
    pub clean: Option<Vec<u8>>,
}

/// What is to be written on a disk log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// By which it is known when it is done.
    pub number: u64,
    /// The log's device.
    pub device: DeviceRef,
    /// What is to be on their media first: the legs, where regions become clean.
    pub flush: Vec<DeviceRef>,
    /// How long the log is, in bytes.
    pub size: u64,
    /// The whole log, from its first byte; what is beyond its end is not written.
    pub bytes: Arc<Vec<u8>>,
    /// What of it is to be written.
    pub changed: Vec<Range<u64>>,
}

/// How a [`Job`] came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is on the medium.
    Written,
    /// A leg could not be flushed: nothing was written.
    NotFlushed,
    /// The disk log could not be written.
    Failed,
}

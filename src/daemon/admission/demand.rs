//! What a request asks of the devices of its table.

use super::extent::TableRange;
use super::looks::Looks;
use super::own::Own;
use crate::engine::{Extent, Facts};
use crate::text::device::DeviceRef;
use crate::text::table::Table;

/// What is asked for.
pub struct Demand<'d> {
    /// The table that a device is to get.
    pub table: &'d Table,
    /// What its devices are.
    pub(crate) looks: Looks<'d>,
    /// What the device has already.
    pub own: Own,
    /// Whether nobody can write to the device.
    pub read_only: bool,
    /// What is looked for beside what can never be.
    pub care: Care,
    /// Whether what is looked for may be written over all the same.
    pub force: bool,
}

/// How far it is looked for what somebody may still want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Not at all: the mirror was there before.
    Restored,
    /// On logs: whoever writes a table has counted the sectors of its legs.
    Logs,
    /// On all that the copy writes over.
    All,
    /// The same, and each new target is written to before: the device is in use, and
    /// what cannot be written would hold it up.
    Proved,
}

/// A place and what is known of its device.
pub(crate) struct Looked<'p> {
    pub place: &'p TableRange,
    pub facts: Facts,
    /// Where it really lies.
    pub extent: Extent,
    /// What of it the device does not have already.
    pub fresh: Option<Extent>,
}

/// A loop device has a file behind it too, but is a device already.
pub(crate) fn is_file(facts: &Facts) -> bool {
    matches!(facts.device, DeviceRef::Path(_))
}

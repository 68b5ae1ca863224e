//! The steps that plans are made of: one device-mapper call each.

use std::fmt;

use crate::engine::Suspend;
use crate::text::table::Table;

/// One device-mapper call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new device, without a table.
    Create {
        /// At most 127 bytes (`DM_NAME_LEN`).
        name: String,
        /// At most 128 bytes (`DM_UUID_LEN`).
        uuid: String,
        /// Its minor number, if it must be a certain one.
        minor: Option<u32>,
    },
    /// Load a table beside the live one.
    Load {
        /// The table for the inactive slot.
        table: Table,
        /// Whether the device can only be read.
        read_only: bool,
    },
    /// Go on only if what the loaded table holds may be held: whoever runs the steps
    /// looks.
    CheckHeld,
    /// Hold I/O.
    Suspend(Suspend),
    /// Record the table that was loaded: whoever runs the steps does.
    Record,
    /// Go on only if the mirror is what it was when the plan was made, and the loaded
    /// table is the plan's: whoever runs the steps looks.
    Confirm,
    /// Go on only if all is in sync and healthy.
    ExpectInSync,
    /// Let the disk logs of the table begin afresh: whoever runs the steps does.
    ClearLogs,
    /// Have the new disk logs of the table say what the old ones do: whoever runs the
    /// steps does.
    CarryLogs,
    /// Do what can only be done while I/O is held: whoever runs the steps does.
    Meanwhile,
    /// Switch to the loaded table, if any, and resume I/O.
    Resume,
    /// Remove the device.
    Remove {
        /// At its last close.
        deferred: bool,
    },
    /// Give the device another name.
    Rename {
        /// At most 127 bytes (`DM_NAME_LEN`).
        name: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { .. } => write!(f, "create"),
            Step::Load { .. } => write!(f, "load the table"),
            Step::CheckHeld => write!(f, "look at its devices"),
            Step::Suspend(_) => write!(f, "suspend"),
            Step::Record => write!(f, "record the table"),
            Step::Confirm | Step::ExpectInSync => write!(f, "look at it again"),
            Step::ClearLogs => write!(f, "clear the log"),
            Step::CarryLogs => write!(f, "write the new logs"),
            Step::Meanwhile => write!(f, "compare the legs"),
            Step::Resume => write!(f, "resume"),
            Step::Remove { .. } => write!(f, "remove"),
            Step::Rename { name } => write!(f, "rename to {name}"),
        }
    }
}

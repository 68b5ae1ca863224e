//! A change of what a mirror is made of.

use crate::text::table::Table;

/// What is switched to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The table that the device gets.
    pub table: Table,
    /// Whether everything must be in sync and healthy, looked at once more while no
    /// write can be under way.
    pub must_be_in_sync: bool,
    /// Whether a disk log begins afresh: it knows no legs, and would call a new one
    /// equal.
    pub afresh: bool,
    /// Whether disk logs that begin with the new table take over what the old ones say.
    pub carry: bool,
    /// Whether the legs of the new table are equal from the start.
    pub equal: bool,
}

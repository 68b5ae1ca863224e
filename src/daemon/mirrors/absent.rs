//! Mirrors that are recorded and not there: a leg is missing or is not the same, or
//! the mount was told to restart nothing. They have a folder, say why, and can be
//! tried again or forgotten.

use super::away::Absent;
use super::entry::NOWHERE;
use crate::daemon::records::record::Record;
use crate::engine::Info;
use crate::error::Error;
use crate::model::snapshot::{Found, Known, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::table::{Table, Target};

/// What the files show of a mirror that is not there.
pub(super) fn snapshot_of_absent(absent: &Absent, known: Known) -> Snapshot {
    let record = &absent.record;
    let info = Info {
        read_only: record.read_only,
        ..Info::bare(&record.name, &record.uuid, NOWHERE)
    };
    Snapshot::new(
        info,
        Vec::new(),
        table_then(record).to_lines().into(),
        None,
        known,
        &|_| Found::Unknown,
    )
}

/// The table as it was, with the names of then: numbers mean something else after a
/// reboot.
fn table_then(record: &Record) -> Table {
    let targets = record
        .table
        .iter()
        .filter_map(|line| Target::parse(line).ok());
    let mut table = Table {
        targets: targets.collect(),
    };
    for device in table.devices() {
        if let Some(place) = record.place(device) {
            *device = DeviceRef::Path(place.identity.node().clone());
        }
    }
    table
}

/// The error of what only a running mirror can do.
pub fn not_started(absent: &Absent) -> Error {
    Error::busy(format!(
        "{} is not started: {}; {}",
        absent.record.name,
        absent.reason,
        absent.remedy()
    ))
}

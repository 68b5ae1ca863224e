//! Plans: from a snapshot and a wish to steps. Pure.

use super::step::Step;
use super::verb::Command;
use crate::engine::Suspend;
use crate::error::{Errno, Error, Result};
use crate::model::health::State;
use crate::model::snapshot::{Owner, Snapshot};
use crate::text::mirror::Log;
use crate::text::table::{Mapping, Table};

/// A new device with its first table.
pub fn create(
    name: &str,
    uuid: &str,
    minor: Option<u32>,
    table: Table,
    read_only: bool,
) -> Vec<Step> {
    vec![
        Step::Create {
            name: name.into(),
            uuid: uuid.into(),
            minor,
        },
        Step::Load { table, read_only },
        Step::Resume,
    ]
}

/// A new device without a table.
pub fn create_empty(name: &str, uuid: &str) -> Vec<Step> {
    vec![Step::Create {
        name: name.into(),
        uuid: uuid.into(),
        minor: None,
    }]
}

/// The table as it is loaded again after its mirror was away. A sync word would
/// clear the disk log or declare it equal, each time anew; without one the log
/// says what is left. A core log says nothing: its word stays only where `core`
/// says that nobody can have written through the mirror.
pub fn without_sync_words(mut table: Table, core: bool) -> Table {
    for target in &mut table.targets {
        let Mapping::Mirror(mirror) = &mut target.mapping else {
            continue;
        };
        match &mut mirror.log {
            Log::Disk { sync, .. } => *sync = None,
            Log::Core { sync, .. } if !core => *sync = None,
            Log::Core { .. } | Log::Userspace { .. } => {}
        }
    }
    table
}

/// Switch the device to another table. Everything that can be refused is
/// refused by the load, while I/O still goes through the old one.
pub fn reload(snapshot: &Snapshot, table: Table) -> Vec<Step> {
    let load = Step::Load {
        table,
        read_only: snapshot.info.read_only,
    };
    if !snapshot.info.live || snapshot.info.suspended {
        return vec![load, Step::Resume];
    }
    vec![load, Step::Suspend(gentle(snapshot)), Step::Resume]
}

/// A flushing suspend waits for I/O that a failed leg never ends, and fails
/// held writes: only a healthy mirror gets one.
fn gentle(snapshot: &Snapshot) -> Suspend {
    let healthy = !matches!(State::of(snapshot), State::Degraded | State::Failed);
    Suspend {
        noflush: !healthy,
        skip_lockfs: !healthy,
    }
}

/// The steps of a verb.
pub fn verb(snapshot: &Snapshot, command: Command) -> Vec<Step> {
    match command {
        // A second suspend of a suspended device is EINVAL to the kernel; the
        // state that was asked for is there.
        Command::Suspend(_) if snapshot.info.suspended => vec![],
        Command::Suspend(how) => vec![Step::Suspend(how)],
        Command::Resume => vec![Step::Resume],
        Command::Remove { deferred } => vec![Step::Remove { deferred }],
    }
}

/// Another name.
pub fn rename(name: &str) -> Vec<Step> {
    vec![Step::Rename { name: name.into() }]
}

/// EPERM where LVM owns the device: its metadata would no longer be true.
pub fn check_owner(snapshot: &Snapshot) -> Result<()> {
    if snapshot.owner() != Owner::Lvm {
        return Ok(());
    }
    Err(Error::new(
        Errno::EPERM,
        format!(
            "{} belongs to LVM: change it with lvconvert, pvmove or lvremove",
            snapshot.info.name
        ),
    ))
}

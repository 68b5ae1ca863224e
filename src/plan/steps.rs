//! Plans: from a snapshot and a wish to steps. Pure.

use super::change::Change;
use super::step::Step;
use crate::engine::Suspend;
use crate::error::{Errno, Error, Result};
use crate::model::failure;
use crate::model::snapshot::{Owner, Snapshot};
use crate::text::letter::Letter;
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
        Step::CheckHeld,
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
/// refused by the load, while I/O still goes through the old one. What waits is
/// requeued: a flush would fail it where a leg does at this very moment.
/// `afresh`: its disk logs would lie about it.
pub fn reload(snapshot: &Snapshot, table: Table, afresh: bool) -> Vec<Step> {
    let read_only = snapshot.info.read_only;
    let runs = snapshot.info.live && !snapshot.info.suspended;
    let steps = [
        Some(Step::Load { table, read_only }),
        Some(Step::CheckHeld),
        // On disk before anything is written through it, or a power cut would bring the
        // old one back.
        Some(Step::Record),
        runs.then_some(Step::Suspend(Suspend::REQUEUE)),
        afresh.then_some(Step::ClearLogs),
        Some(Step::Resume),
    ];
    steps.into_iter().flatten().collect()
}

/// Switch to a table that was planned from what the mirror is like. Held writes are
/// requeued, and go through the new one.
pub fn go_on(snapshot: &Snapshot, table: Table) -> Vec<Step> {
    let read_only = snapshot.info.read_only;
    vec![
        Step::Load { table, read_only },
        Step::CheckHeld,
        // On disk before writes are let go, or a power cut would bring a stale leg
        // back.
        Step::Record,
        Step::Suspend(Suspend::REQUEUE),
        // What it was like may be so no more: only now nothing can happen to it.
        Step::Confirm,
        Step::Resume,
    ]
}

/// Switch to what a mirror is to be made of from now on.
pub fn change(snapshot: &Snapshot, change: &Change) -> Vec<Step> {
    let mut steps = go_on(snapshot, change.table.clone());
    let resume = steps.pop();
    steps.extend(change.must_be_in_sync.then_some(Step::ExpectInSync));
    steps.extend(change.afresh.then_some(Step::ClearLogs));
    steps.extend(change.carry.then_some(Step::CarryLogs));
    steps.extend(resume);
    steps
}

/// Try again what failed. The kernel never forgets a leg's error until all is in
/// sync, and holds each write to a region that is not, which keeps that region from
/// being copied: only a new table, best leg first, gets it going. What is in sync
/// and was held is let go by a resume.
///
/// # Errors
/// EBUSY while it is suspended, EINVAL where it mirrors nothing.
pub fn retry(snapshot: &Snapshot) -> Result<Vec<Step>> {
    let name = &snapshot.info.name;
    if snapshot.info.suspended {
        let sentence = format!("{name} is suspended: write `resume`, which tries again too");
        return Err(Error::busy(sentence));
    }
    if snapshot.parts.is_empty() {
        let sentence = format!("{name} has no mirror target: there is nothing to try again");
        return Err(Error::invalid(sentence));
    }
    let healthy = snapshot.legs.iter().all(|leg| leg.letter == Letter::Alive);
    Ok(if healthy && !has_forged_log(snapshot) {
        vec![Step::Record, Step::Suspend(Suspend::REQUEUE), Step::Resume]
    } else {
        go_on(snapshot, failure::again(snapshot))
    })
}

/// Whether a sync word that taking a leg out has left is still there.
pub fn has_word_to_lose(snapshot: &Snapshot) -> bool {
    snapshot.known.settings.temporary_nosync && has_forged_log(snapshot)
}

fn has_forged_log(snapshot: &Snapshot) -> bool {
    has_nosync(&snapshot.table)
}

/// Whether a disk log of a table has a sync word, which is believed at each resume.
pub fn has_nosync(table: &Table) -> bool {
    let mut mirrors = table.mirrors();
    mirrors.any(|(_, mirror)| matches!(mirror.log, Log::Disk { sync: Some(_), .. }))
}

/// Hold I/O, as it was asked for. A flushing suspend waits for I/O that a failed leg
/// never ends, and fails held writes: only a mirror without an error gets one. A
/// second suspend of a suspended device is EINVAL to the kernel; the state that was
/// asked for is there.
pub fn suspend(snapshot: &Snapshot, how: Suspend) -> Vec<Step> {
    let legs = snapshot.legs.iter().map(|leg| leg.letter);
    let mut letters = legs.chain(snapshot.logs.iter().map(|log| log.letter));
    let how = if letters.all(|letter| letter == Letter::Alive) {
        how
    } else {
        Suspend {
            passing: false,
            ..Suspend::REQUEUE
        }
    };
    if snapshot.info.suspended {
        vec![]
    } else {
        vec![Step::Suspend(how)]
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

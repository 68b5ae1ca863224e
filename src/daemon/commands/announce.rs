//! What stands in `events` of a verb that changed legs: also what the administrator
//! does next.

use crate::daemon::events::kind::Kind;
use crate::model::snapshot::{Leg, Owner, Snapshot};
use crate::plan::verb::Command;

/// Of a verb that was done; the snapshot is of before.
pub(crate) fn announcement(snapshot: &Snapshot, command: &Command) -> (Kind, String) {
    let node = |leg: usize| {
        let leg = snapshot.legs.get(leg);
        leg.map_or_else(|| "-".into(), |leg| leg.node())
    };
    match command {
        Command::Finish { .. } => (Kind::Finished, finished(snapshot, target(command))),
        Command::Abort => {
            let (kept, _) = sides(snapshot, 0);
            let twins = twins(snapshot, 0);
            let text = format!("back on leg 0 {}{twins}", kept.join(", "));
            (Kind::Aborted, text)
        }
        Command::Drop(leg) => (
            Kind::Dropped,
            format!("leg {} {} by request", leg.number(), node(leg.number())),
        ),
        Command::Add { place, .. } => (Kind::Added, place.to_string()),
        Command::Replace { leg, place, .. } => (
            Kind::Added,
            format!(
                "{place} in place of leg {} {}",
                leg.number(),
                node(leg.number())
            ),
        ),
        _ => (Kind::Retried, "copying everything again, by request".into()),
    }
}

/// The leg that `finish` cuts over to: the first target where none is named.
pub(super) fn target(command: &Command) -> usize {
    match command {
        Command::Finish { leg: Some(leg), .. } => leg.number(),
        _ => 1,
    }
}

fn finished(snapshot: &Snapshot, leg: usize) -> String {
    let (kept, gone) = sides(snapshot, leg);
    let (kept, verb) = (kept.join(", "), if gone.len() == 1 { "is" } else { "are" });
    let next = match snapshot.owner() {
        Owner::Mirrorfs if !snapshot.known.holds_writes => String::new(),
        Owner::Mirrorfs => "; the device stays until it is closed".into(),
        Owner::Lvm | Owner::Foreign => {
            format!(
                "; the device keeps running: what creates it at boot must name {kept} from now on"
            )
        }
    };
    let (gone, twins) = (gone.join(", "), twins(snapshot, leg));
    format!("on leg {leg} {kept}; {gone} {verb} no longer used and may go{twins}{next}")
}

/// What is to be done about the disks that are let go: what is on them is called as
/// what goes on. A file that was attached for the mirror is seen by nobody.
fn twins(snapshot: &Snapshot, leg: usize) -> String {
    let (kept, gone) = snapshot.partition_legs(leg);
    let kept: Vec<String> = kept.into_iter().map(Leg::node).collect();
    let is_file = |leg: &Leg| leg.facts.as_ref().is_some_and(|facts| facts.file.is_some());
    let disks = gone.into_iter().filter(|leg| !is_file(leg));
    let mut disks: Vec<String> = disks.map(Leg::node).collect();
    disks.retain(|disk| !kept.contains(disk));
    disks.sort();
    disks.dedup();
    if disks.is_empty() {
        return String::new();
    }
    format!(
        "; any UUID on {} is on two disks now: unplug, or `wipefs -a {}`, before you mount by UUID",
        disks.join(", "),
        disks.join(" ")
    )
}

/// The nodes of one leg of each mirror target, and those of the others.
fn sides(snapshot: &Snapshot, leg: usize) -> (Vec<String>, Vec<String>) {
    let (kept, gone) = snapshot.partition_legs(leg);
    let nodes = |legs: Vec<&Leg>| {
        let mut nodes: Vec<String> = legs.into_iter().map(Leg::node).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    };
    let (kept, mut gone) = (nodes(kept), nodes(gone));
    gone.retain(|node| !kept.contains(node));
    (kept, gone)
}

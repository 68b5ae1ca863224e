//! Each kind of leg, and what may happen to it while its mirror is away: it is started
//! with the right bytes, or it is not and nothing is written. Printed as a table.

pub mod things;

use mirrorfs::engine::Kind;

use self::things::Thing;
use super::{away, lasting_on};
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::mount::Mount;
use crate::lab::{Lab, long, wait_longer};

pub const CASES: &[Case] = &[
    both("files", files).within(600),
    kernel_only("devices", DEVICES, |lab| {
        all_of(lab, &[Thing::Mapping, Thing::Loop, Thing::Window])
    })
    .within(900),
    kernel_only("disks", DEVICES, |lab| {
        all_of(
            lab,
            &[Thing::Disk, Thing::Gpt, Thing::Mbr, Thing::Partition],
        )
    })
    .within(1800),
    kernel_only("docks", DEVICES, docks).within(300),
];

const DEVICES: &str = "devices are made in the guest, where both engines are on them";

/// What happens while the mirror is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Same,
    Renamed,
    Swapped,
    Missing,
    Replaced,
    Used,
    Mounted,
    Grown,
    Blocks4K,
}

const CHANGES: [Change; 9] = [
    Change::Same,
    Change::Renamed,
    Change::Swapped,
    Change::Missing,
    Change::Replaced,
    Change::Used,
    Change::Mounted,
    Change::Grown,
    Change::Blocks4K,
];

/// What is to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Started,
    /// Not, with these words.
    Failed(&'static str),
}

/// A line of the table.
fn line(lab: &Lab, engine: Kind, thing: Thing, change: Change) {
    let Some(expected) = thing.expected(change, engine) else {
        return;
    };
    let pair = thing.make(lab);
    let mount = lasting_on(lab, engine);
    mount.mount("");
    let [source, target] = pair.legs();
    mount.write("new", &format!("m: {source} {target} force=yes"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    pair.change(change);
    let before = pair.sums();
    mount.mount("");
    let found = outcome(&mount);
    let after = pair.sums();
    println!(
        "{engine} {thing:?} {change:?}: {}",
        found.as_deref().unwrap_or("started")
    );
    match (expected, &found) {
        (Outcome::Started, None) => {
            mount.wait_in_sync("m");
            pair.assert_equal();
            assert_eq!(
                before[0], after[0],
                "{thing:?} {change:?}: the source is another"
            );
        }
        (Outcome::Failed(words), Some(why)) => {
            assert!(
                why.contains(words),
                "{thing:?} {change:?}: not {words}: {why}"
            );
            assert_eq!(before, after, "{thing:?} {change:?}: something was written");
            assert!(mount.try_write("m/ctl", "resume").is_err());
            assert_eq!(
                before,
                pair.sums(),
                "{thing:?} {change:?}: resume has written"
            );
        }
        _ => panic!("{engine} {thing:?} {change:?}: {found:?}, {expected:?} was expected"),
    }
    mount.write("m/ctl", "remove");
    mount.stop();
}

/// Why the mirror is not started; none where it is.
pub fn outcome(mount: &Mount) -> Option<String> {
    wait_longer(60, "m is started or not", || {
        !mount.read("m/health").contains("not started yet")
    });
    let health = mount.read("m/health");
    let why = health
        .lines()
        .find_map(|line| line.strip_prefix("warning not started: "));
    why.map(Into::into)
}

fn all_of(lab: &Lab, things: &[Thing]) {
    for thing in things {
        let tables = [Change::Same, Change::Swapped, Change::Used];
        let short = matches!(thing, Thing::Gpt | Thing::Mbr) && !long();
        let changes = if short { &tables } else { &CHANGES[..] };
        for change in changes {
            line(lab, Kind::Kernel, *thing, *change);
        }
        // The same code looks at them: some, where the run is not to take its time.
        let some = [Change::Same, Change::Renamed, Change::Used];
        let changes = if long() { &CHANGES[..] } else { &some };
        for change in changes {
            line(lab, Kind::Embedded, *thing, *change);
        }
    }
}

fn files(lab: &Lab) {
    for change in CHANGES {
        line(lab, lab.engine, Thing::File, change);
    }
}

/// Two disks that report one and the same serial number: whichever is there could be
/// taken for the other.
fn docks(lab: &Lab) {
    let pair = Thing::Docks.make(lab);
    for engine in [Kind::Kernel, Kind::Embedded] {
        let mount = lasting_on(lab, engine);
        mount.mount("");
        let [source, target] = pair.legs();
        mount.write("new", &format!("m: {source} {target} force=yes"));
        assert_eq!(mount.read("m/persist"), "no\n");
        assert!(
            mount.read("events").contains("another device says too"),
            "{}",
            mount.read("events")
        );
        assert!(mount.try_write("m/persist", "yes").is_err());
        mount.wait_in_sync("m");
        away(&mount, &["m"]);
        pair.change(Change::Replaced);
        let before = pair.sums();
        mount.mount("");
        if engine == Kind::Embedded {
            let why = outcome(&mount).expect("it is not started");
            assert!(why.contains("nothing tells them apart"), "{why}");
            println!("{engine} disk of the same serial Replaced: {why}");
            mount.write("m/ctl", "remove");
        } else {
            assert!(!mount.exists("m"));
            println!("{engine} disk of the same serial Replaced: not kept");
        }
        assert_eq!(before, pair.sums());
        mount.stop();
        pair.change(Change::Same);
    }
}

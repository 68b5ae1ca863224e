//! Lives of mirrors, at random: made, used, cut off in the middle of it, a disk swapped or
//! changed while they were away, and mounted again. Nothing that was acknowledged is
//! lost, and nothing that somebody else wrote is written over.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::lasting;
use super::matrix::things::{Pair, Thing};
use super::matrix::{Change, Outcome, outcome};
use crate::cases::differential::random::Random;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::mount::Mount;
use crate::lab::shell::attempt;
use crate::lab::writer::{Writer, Written};
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[kernel_only(
    "random",
    "through the embedded engine's mirrors nobody writes",
    random,
)
.within(1200)];

/// Those of the plain run end after so long, and after two at least.
const ENOUGH: Duration = Duration::from_secs(60);

const THINGS: [Thing; 6] = [
    Thing::File,
    Thing::Loop,
    Thing::Window,
    Thing::Mapping,
    Thing::Disk,
    Thing::Partition,
];

const CHANGES: [Change; 7] = [
    Change::Same,
    Change::Renamed,
    Change::Swapped,
    Change::Missing,
    Change::Replaced,
    Change::Used,
    Change::Grown,
];

fn random(lab: &Lab) {
    let given = std::env::var("MIRRORFS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let first: u64 = given.unwrap_or_else(|| u64::from(std::process::id()) << 16);
    let (lives, begun) = (if long() { 200 } else { 8 }, Instant::now());
    let mut counts = [0; 3];
    for number in 0..lives {
        if !long() && number >= 2 && begun.elapsed() > ENOUGH {
            break;
        }
        println!("MIRRORFS_SEED={}", first + number);
        let came = live(lab, &mut Random::new(first + number));
        counts[came as usize] += 1;
    }
    let [started, refused, decided] = counts;
    println!("lives: {started} started, {refused} refused, {decided} decided by a verb");
}

/// How a life went on.
enum Came {
    Started,
    Refused,
    Decided,
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn live(lab: &Lab, random: &mut Random) -> Came {
    let (thing, change) = (pick(random, &THINGS), pick(random, &CHANGES));
    let expected = thing
        .expected(change, lab.engine)
        .unwrap_or(Outcome::Started);
    let change = if thing.expected(change, lab.engine).is_none() {
        Change::Same
    } else {
        change
    };
    let pair = thing.make(lab);
    let mount = lasting(lab);
    mount.mount("");
    let [source, target] = pair.legs();
    mount.write("new", &format!("m: {source} {target} region=64K force=yes"));
    let whole = random.below(4) > 0;
    if whole {
        mount.wait_in_sync("m");
    }
    let written = used_and_cut(&mount, random);
    pair.change(change);
    println!(
        "{thing:?} {change:?}, in sync: {whole}, {} writes",
        written.count()
    );
    let before = pair.sums();
    mount.mount("");
    let why = outcome(&mount);
    let foreign = !matches!(expected, Outcome::Started);
    assert_eq!(why.is_some(), foreign, "{thing:?} {change:?}: {why:?}");
    let came = if foreign {
        assert_eq!(
            before,
            pair.sums(),
            "{thing:?} {change:?}: something was written"
        );
        decided(&mount, &pair, change, &written)
    } else {
        mount.wait_in_sync("m");
        written.assert_on("/dev/mapper/m");
        mount.write("m/ctl", "remove");
        pair.assert_equal();
        Came::Started
    };
    mount.stop();
    came
}

/// Write through the mirror, and end all of it in the middle.
fn used_and_cut(mount: &Mount, random: &mut Random) -> Written {
    let writer = Writer::start("/dev/mapper/m", 8 * MIB);
    writer.wait_for(1 + random.below(300));
    mount.kill(Signal::SIGKILL);
    attempt("dmsetup remove -f m");
    let written = writer.end();
    attempt("dmsetup remove --retry m");
    written
}

/// Of a target that was used meanwhile somebody says what he wants.
fn decided(mount: &Mount, pair: &Pair, change: Change, written: &Written) -> Came {
    if change != Change::Used {
        mount.write("m/ctl", "remove");
        return Came::Refused;
    }
    mount.write("m/ctl", "resync");
    mount.wait_in_sync("m");
    written.assert_on("/dev/mapper/m");
    mount.write("m/ctl", "remove");
    pair.assert_equal();
    Came::Decided
}

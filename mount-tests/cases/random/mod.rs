//! Random verbs, failures and reloads under a writer that remembers what was
//! acknowledged: at each step what the device reads is what was acknowledged, or the
//! error was told. Here over a device-mapper that is none, by the million; in `real`
//! over the kernel's.

mod acts;
mod broken;
mod device;
mod disks;
mod engine;
mod faults;
mod log;
mod machine;
mod mirror;
mod real;
mod recovery;
mod script;
mod world;
mod writer;

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::records::store::Records;
use mirrorfs::engine::{Devices, Engine};

use super::differential::Random;
use super::failover::rig::NO_IO;
use crate::lab::case::{Case, embedded_only, kernel_only};
use crate::lab::{Lab, long};
use machine::Sim;
use real::Real;
use script::Figures;
use world::World;

pub const CASES: &[Case] = &[
    embedded_only(
        "simulated",
        "it stands on no engine: once is enough",
        simulated,
    ),
    kernel_only("real", NO_IO, real).within(900),
];

/// The least of the plain run, which goes on for a while, and the long run.
const PLAIN: u64 = 1000;
const LONG: u64 = 1_000_000;

/// How long the plain run is to take.
const WHILE: Duration = Duration::from_secs(20);

/// `MIRRORFS_SEED=N` or `N-M`: these scripts only.
fn asked() -> Option<RangeInclusive<u64>> {
    let text = std::env::var("MIRRORFS_SEED").ok()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// Scripts that no run had before.
fn new() -> RangeInclusive<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = now.map_or(1, |now| now.as_millis() as u64);
    first..=u64::MAX
}

fn simulated(_: &Lab) {
    // Records are flushed, which costs where a disk is below.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    let sim = Arc::new(Sim::new());
    let (engine, devices): (Arc<dyn Engine>, Arc<dyn Devices>) =
        (Arc::<Sim>::clone(&sim), Arc::<Sim>::clone(&sim));
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("a folder");
    let daemon = Daemon::new(engine, devices, Records::below(&state)).expect("a daemon");
    daemon.start().expect("a watch");
    let (seeds, begun) = (asked(), Instant::now());
    let some = seeds.is_some();
    let mut figures = Figures::default();
    for seed in seeds.unwrap_or_else(new) {
        let enough = if long() {
            figures.steps >= LONG
        } else {
            figures.steps >= PLAIN && begun.elapsed() > WHILE
        };
        if enough && !some {
            break;
        }
        if figures.scripts == 0 {
            println!("MIRRORFS_SEED={seed} and above");
        }
        let mut random = Random::new(seed);
        let world = World::new(&sim, &daemon, folder.path(), &mut random);
        bear_witness(&world);
        let mut told = Vec::new();
        script::run(&world, &mut random, &mut told, &mut figures, long());
        let wrong = sim.state().wrong.take();
        if let Some(wrong) = wrong {
            let last = told.split_off(told.len().saturating_sub(30)).join("\n");
            panic!("MIRRORFS_SEED={seed}: {wrong}\n{last}\n{}", world.tell());
        }
        *sim.witness.lock().expect("nobody panics with it") = None;
        // One that another program removed is forgotten at the next look.
        sim.watched();
    }
    println!("{figures}; {} s", begun.elapsed().as_secs());
}

/// Steps of a mirror of the kernel, of which there are some one after the other.
const TURN: u64 = 250;

/// How long the plain run on the kernel may take.
const ENOUGH: Duration = Duration::from_secs(30);

fn real(lab: &Lab) {
    let (seeds, begun) = (asked(), Instant::now());
    let (mut steps, mut acknowledged) = (0, 0);
    let most = if long() { 10 * PLAIN } else { PLAIN };
    for seed in seeds.unwrap_or_else(new) {
        if steps >= most || (!long() && begun.elapsed() > ENOUGH) {
            break;
        }
        println!("MIRRORFS_SEED={seed}");
        let mut random = Random::new(seed);
        let mut real = Real::new(lab, &mut random);
        let mut told = Vec::new();
        let mut wrong = None;
        for step in 0..=TURN {
            let (text, found) = match step {
                TURN => ("end".into(), real.end()),
                _ => real.step(&mut random),
            };
            told.push(text);
            steps += 1;
            wrong = found.or_else(|| (step % 25 == 0).then(|| real.compare()).flatten());
            if wrong.is_some() {
                break;
            }
        }
        if let Some(wrong) = wrong {
            let last = told.split_off(told.len().saturating_sub(30)).join("\n");
            panic!("MIRRORFS_SEED={seed}: {wrong}\n{last}\n{}", real.tell());
        }
        acknowledged += real.acknowledged;
        real.remove();
    }
    println!(
        "{steps} steps, {acknowledged} writes acknowledged; {} s",
        begun.elapsed().as_secs()
    );
}

/// Words of `health` that are untrue for a moment are looked for where that moment is.
fn bear_witness(world: &World) {
    let (sim, daemon) = (Arc::downgrade(&world.sim), Arc::downgrade(&world.daemon));
    let look = move || {
        if let (Some(sim), Some(daemon)) = (Weak::upgrade(&sim), Weak::upgrade(&daemon)) {
            world::judge_health(&sim, &daemon);
        }
    };
    *world.sim.witness.lock().expect("nobody panics with it") = Some(Arc::new(look));
}

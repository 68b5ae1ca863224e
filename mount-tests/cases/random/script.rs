//! Random steps of a script, and the figures of all scripts.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use super::super::differential::Random;
use super::acts::{self, Act, DATA};
use super::disks::{BLOCKS, SECTORS};
use super::world::World;

/// Steps of a script.
const STEPS: u64 = 250;

/// Longer than any time after which the daemon looks again by itself.
const CALM: Duration = Duration::from_millis(5200);

/// Of so many steps one is such a time, in the long run.
const SELDOM: u64 = 20_000;

/// What was done.
#[derive(Debug, Default)]
pub struct Figures {
    pub scripts: u64,
    pub steps: u64,
    pub done: u64,
    pub refused: u64,
    pub failures: u64,
    pub acknowledged: u64,
    pub failed: u64,
    pub held: u64,
    pub moves: u64,
    pub behind: u64,
    /// Scripts in which the kernel itself may have lost something.
    pub excused: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scripts of {} steps; {} verbs done, {} refused; {} failures of disks; {} acts of \
             dmsetup; {} writes acknowledged, {} failed, {} times one was held; {} switches of \
             tables; {} scripts excused",
            self.scripts,
            self.steps,
            self.done,
            self.refused,
            self.failures,
            self.behind,
            self.acknowledged,
            self.failed,
            self.held,
            self.moves,
            self.excused
        )
    }
}

/// What happens beside the daemon, by weight.
const ACTS: &[(u64, Act)] = &[
    (24, acts::write),
    (20, acts::copy),
    (8, acts::read),
    (6, acts::fail),
    (6, acts::repair),
    (4, acts::work),
    (2, acts::same_again),
    (2, acts::pause),
    (1, acts::fresh),
];

/// Before the daemon's next load.
const AMBUSHES: &[(u64, Act)] = &[
    (4, acts::write),
    (2, acts::copy),
    (2, acts::fail),
    (3, acts::same_again),
    (3, acts::pause),
];

fn choose(acts: &[(u64, Act)], random: &mut Random) -> Act {
    let mut left = random.below(acts.iter().map(|(weight, _)| weight).sum());
    let chosen = acts.iter().find(|(weight, _)| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    chosen.expect("it is below the sum").1
}

/// Do a script's steps; each is told before what is wrong with it is looked for.
pub fn run(
    world: &World,
    random: &mut Random,
    told: &mut Vec<String>,
    figures: &mut Figures,
    long: bool,
) {
    for _ in 0..STEPS {
        let step = step(world, random, figures);
        let heard = std::mem::take(&mut world.sim.state().heard);
        told.extend(heard.into_iter().map(|text| format!("meanwhile: {text}")));
        told.push(step);
        figures.steps += 1;
        if long && random.one_in(SELDOM) {
            sleep(CALM);
        }
        if random.one_in(2) {
            world.settle();
        }
        if random.one_in(3) {
            world.judge_health();
        }
        let mut state = world.sim.state();
        figures.held += state
            .with(|device, _| device.under_way())
            .unwrap_or(0)
            .min(1) as u64;
        if state.wrong.is_some() || state.ground.hazard {
            break;
        }
    }
    if world.sim.state().wrong.is_none() && !world.sim.state().ground.hazard {
        told.push("end".into());
        world.end();
    }
    let state = world.sim.state();
    figures.scripts += 1;
    figures.acknowledged += state.writer.acknowledged;
    figures.failed += state.writer.failed;
    figures.moves += state.moves;
    figures.excused += u64::from(state.ground.hazard);
}

fn step(world: &World, random: &mut Random, figures: &mut Figures) -> String {
    let suspended = world.sim.state().with(|device, _| device.suspended);
    match random.below(100) {
        0..25 if suspended == Some(true) => answer(figures, "resume", world.verb("resume")),
        0..75 => {
            let act = choose(ACTS, random);
            let text = world.sim.change(|state| act(state, random));
            figures.failures += u64::from(text.contains("fails"));
            figures.behind += u64::from(text.starts_with("dmsetup"));
            world.after();
            text
        }
        75..79 => ambush(world, random),
        79..81 => {
            let policy = if random.one_in(3) { "hold" } else { "drop" };
            let _ = world.daemon.set_on_failure(world.mirror_id(), policy);
            format!("on_failure {policy}")
        }
        81..84 => reload(world, random, figures),
        84..86 => {
            world.settle();
            "time passes".into()
        }
        _ => {
            let verb = verb(random);
            let lasting = ["finish", "abort", "drop"]
                .iter()
                .any(|word| verb.starts_with(word));
            world.sim.state().asked |= lasting;
            answer(figures, &verb, world.verb(&verb))
        }
    }
}

fn answer(figures: &mut Figures, what: &str, done: Result<(), String>) -> String {
    match done {
        Ok(()) => {
            figures.done += 1;
            format!("`{what}` is done")
        }
        Err(why) => {
            figures.refused += 1;
            format!("`{what}` is refused: {why}")
        }
    }
}

fn verb(random: &mut Random) -> String {
    let leg = random.below(4);
    let place = format!(
        "8:{}@{}s",
        random.below(DATA as u64),
        random.below(3) * SECTORS
    );
    match random.below(16) {
        0..3 => format!("drop {leg}"),
        3..6 => format!("add {place}"),
        6 => format!("replace {leg} {place}"),
        7 => "finish".into(),
        8 => format!("finish {leg}"),
        9 => "abort".into(),
        10..12 => "resync".into(),
        12..14 => "retry".into(),
        14 => match random.below(3) {
            0 => "suspend".into(),
            1 => "suspend noflush".into(),
            _ => "resume".into(),
        },
        _ => format!("grow {}s", random.below(BLOCKS as u64) * SECTORS),
    }
}

/// Something is to happen while the daemon is between two steps of a change.
fn ambush(world: &World, random: &mut Random) -> String {
    let (act, mut dice) = (
        choose(AMBUSHES, random),
        Random::new(random.below(u64::MAX)),
    );
    world.sim.state().ambush = Some(Box::new(move |state| {
        let text = act(state, &mut dice);
        state.heard.push(text);
    }));
    "an ambush is laid".into()
}

/// Somebody who knows which leg is good writes a table.
fn reload(world: &World, random: &mut Random, figures: &mut Figures) -> String {
    world.settle();
    let line = world.sim.change(|state| {
        let same = random.one_in(2);
        let same = same.then(|| state.with(|device, _| acts::lines(device)));
        let lines = same
            .flatten()
            .or_else(|| Some(vec![acts::fresh_table(state, random)?]))?;
        let good = super::device::Loaded::new(&lines, state.ground.disks.len()).ok()?;
        if lines.len() != 1 || !super::machine::is_good(&good, &state.writer, &state.ground) {
            return None;
        }
        state.asked |= lines.iter().all(|line| line.kind == "linear");
        state.pledged = Some(lines.clone());
        lines.first().cloned()
    });
    match line {
        Some(line) => answer(
            figures,
            &format!("table {line}"),
            world.reload(&line.to_string()),
        ),
        None => "no table is good".into(),
    }
}

//! What happens on the machine beside the daemon: writes, reads, failures, copying,
//! and `dmsetup` behind its back. Nothing of it loses data by itself.

use mirrorfs::text::table::Line;

use super::super::differential::Random;
use super::device::{DISK, Device, Loaded, Target};
use super::disks::{BLOCKS, SECTORS, Spot};
use super::machine::{State, is_good};
use super::mirror::{Ground, Held};

/// Disks that hold data; logs are on those behind them.
pub const DATA: usize = 6;

/// Disks that hold logs.
pub const LOGS: usize = 2;

/// Some act, and how it is told.
pub type Act = fn(&mut State, &mut Random) -> String;

fn block(state: &mut State, random: &mut Random) -> usize {
    let length = state.with(|device, _| device.length()).unwrap_or(1);
    // The end more often than the rest: that is what is copied last.
    let end = random.one_in(3) && length > 4;
    let first = if end { length - 4 } else { 0 };
    first + random.below((length - first) as u64) as usize
}

/// A program writes; the target's thread may come to it later.
pub fn write(state: &mut State, random: &mut Random) -> String {
    let block = block(state, random);
    let Some(bio) = state.writer.write(block) else {
        return format!("block {block} is being written already");
    };
    let later = random.one_in(4);
    state.with(|device, ground| {
        device.submit(bio, ground);
        if !later {
            device.work(ground);
            // What failed is looked at in its second turn.
            device.work(ground);
        }
    });
    format!(
        "write {} to block {block}{}",
        bio.version,
        if later { ", later" } else { "" }
    )
}

/// A program reads.
pub fn read(state: &mut State, random: &mut Random) -> String {
    let block = block(state, random);
    let suspended = state.with(|device, _| device.suspended);
    if suspended != Some(false) {
        return "nobody reads".into();
    }
    let answer = state.with(|device, ground| {
        let told = super::writer::is_told(device, ground);
        (device.read(block, &ground.disks, true), told)
    });
    let Some((answer, told)) = answer else {
        return "nobody reads".into();
    };
    let wrong = state.writer.assess(block, answer, told);
    state.found(wrong);
    format!("read block {block}: {answer:?}")
}

/// The targets' threads take their turns.
pub fn work(state: &mut State, _: &mut Random) -> String {
    state.with(Device::work);
    "work".into()
}

/// The copy gets further.
pub fn copy(state: &mut State, random: &mut Random) -> String {
    let turns = match random.below(6) {
        0 => 200,
        1 => 20,
        _ => 1 + random.below(6),
    };
    let done = (0..turns)
        .take_while(|_| state.with(Device::advance) == Some(true))
        .count();
    format!("copy {done} turns")
}

/// A disk fails, most likely one in use.
pub fn fail(state: &mut State, random: &mut Random) -> String {
    let used = state.with(|device, _| used(device)).unwrap_or_default();
    let any = random.below((DATA + LOGS) as u64) as usize;
    let place = random.below(used.len() as u64) as usize;
    let disk = used
        .get(place)
        .copied()
        .filter(|_| !random.one_in(5))
        .unwrap_or(any);
    let spot = if random.one_in(3) {
        Spot::At(random.below(BLOCKS as u64) as usize)
    } else {
        Spot::All
    };
    let broken = &mut state.ground.disks[disk];
    match random.below(4) {
        0 => broken.reads = spot,
        1 => broken.writes = spot,
        _ => (broken.reads, broken.writes) = (spot, spot),
    }
    format!(
        "disk {disk} fails: reads {:?}, writes {:?}",
        broken.reads, broken.writes
    )
}

/// A disk that has failed works again.
pub fn repair(state: &mut State, random: &mut Random) -> String {
    let mut broken = state
        .ground
        .disks
        .iter_mut()
        .enumerate()
        .filter(|(_, disk)| !disk.works());
    let place = random.below(2) as usize;
    match broken.nth(place) {
        Some((number, disk)) => {
            disk.repair();
            format!("disk {number} is repaired")
        }
        None => "no disk is repaired".into(),
    }
}

/// The disks that the live table names.
fn used(device: &mut Device) -> Vec<usize> {
    let targets = device.live.iter().flat_map(|live| &live.targets);
    let disks = targets.flat_map(|target| match target {
        Target::Mirror(mirror) => {
            let legs = mirror.legs.iter().map(|leg| leg.0);
            legs.chain(mirror.log.disk).collect()
        }
        Target::Linear { leg, .. } => vec![leg.0],
    });
    disks.collect()
}

/// `dmsetup` loads the same table once more and switches to it.
pub fn same_again(state: &mut State, random: &mut Random) -> String {
    let lines = state.with(|device, _| lines(device)).unwrap_or_default();
    reload(state, random, &lines, "the same table")
}

/// `dmsetup` switches to a fresh copy, a good leg first.
pub fn fresh(state: &mut State, random: &mut Random) -> String {
    match fresh_table(state, random) {
        Some(line) => reload(state, random, &[line], "a fresh table"),
        None => "no leg is good".into(),
    }
}

pub fn lines(device: &Device) -> Vec<Line> {
    let live = device.live.iter();
    live.flat_map(|live| live.lines.clone()).collect()
}

/// How `dmsetup` suspends; what it fails is its own matter.
fn held(random: &mut Random) -> Held {
    if random.one_in(3) {
        Held::Fail
    } else {
        Held::Requeue
    }
}

fn reload(state: &mut State, random: &mut Random, lines: &[Line], what: &str) -> String {
    let count = state.ground.disks.len();
    let Ok(loaded) = Loaded::new(lines, count) else {
        return format!("dmsetup: not {what}");
    };
    if loaded.targets.is_empty() || !is_good(&loaded, &state.writer, &state.ground) {
        return format!("dmsetup: {what} is not good");
    }
    let held = held(random);
    let resumed = others(state, |device, ground| {
        device.inactive = Some(loaded);
        device.suspend(held, ground);
        device.resume(ground)
    });
    state.asked |= lines.iter().all(|line| line.kind == "linear");
    format!("dmsetup: {what}, {held:?}: {resumed:?}")
}

/// Do something in another program's name.
fn others<T>(state: &mut State, act: impl FnOnce(&mut Device, &mut Ground) -> T) -> Option<T> {
    state.writer.others_flush = true;
    let done = state.with(act);
    state.changed();
    state.writer.others_flush = false;
    done
}

/// `dmsetup suspend`, `dmsetup resume`.
pub fn pause(state: &mut State, random: &mut Random) -> String {
    let (writer, held) = (&state.writer, held(random));
    let device = state.devices.iter().find(|device| device.open > 0);
    let can = device.is_some_and(|device| {
        // It would be switched to, which is for whoever has loaded it.
        let alone = device.inactive.is_none();
        let live = device.live.as_ref();
        // A disk log's word is believed at each resume.
        alone && live.is_some_and(|live| is_good(live, writer, &state.ground))
    });
    if !can {
        return "dmsetup: no suspend".into();
    }
    let resumed = others(state, |device, ground| {
        device.suspend(held, ground);
        device.resume(ground)
    });
    format!("dmsetup: suspend {held:?}, resume: {resumed:?}")
}

/// A line of a mirror with a good leg first, as long as the device; all is copied.
pub fn fresh_table(state: &mut State, random: &mut Random) -> Option<Line> {
    let length = state.with(|device, _| device.length())?;
    let offset = |random: &mut Random| random.below((BLOCKS - length + 1).min(3) as u64) as usize;
    let legs = state.with(|device, _| legs(device))?;
    let (writer, ground) = (&state.writer, &state.ground);
    let mut good = legs.into_iter().filter(|leg| writer.is_good(*leg, ground));
    let mut chosen = vec![good.next()?];
    for _ in 0..=random.below(3) {
        let disk = random.below(DATA as u64) as usize;
        if chosen.iter().all(|leg| leg.0 != disk) {
            chosen.push((disk, offset(random)));
        }
    }
    Some(line(
        length,
        &chosen,
        "core 1",
        random.below(2),
        !random.one_in(8),
    ))
}

fn legs(device: &Device) -> Vec<(usize, usize)> {
    let targets = device.live.iter().flat_map(|live| &live.targets);
    let legs = targets.flat_map(|target| match target {
        Target::Mirror(mirror) => mirror.legs.clone(),
        Target::Linear { leg, .. } => vec![*leg],
    });
    legs.collect()
}

/// A table's line: a mirror, or a linear one of a single leg. A region is 1 or 2 blocks.
pub fn line(length: usize, legs: &[(usize, usize)], log: &str, large: u64, handled: bool) -> Line {
    let place = |leg: &(usize, usize)| format!("{DISK}:{} {}", leg.0, leg.1 as u64 * SECTORS);
    let places: Vec<String> = legs.iter().map(place).collect();
    let (log, word) = log.split_once(" then ").unwrap_or((log, ""));
    let features = if handled { " 1 handle_errors" } else { "" };
    let (kind, params) = match legs {
        [leg] => ("linear", place(leg)),
        _ => {
            let (region, count) = (SECTORS << large, legs.len());
            let legs = places.join(" ");
            (
                "mirror",
                format!("{log} {region}{word} {count} {legs}{features}"),
            )
        }
    };
    Line {
        start: 0,
        length: length as u64 * SECTORS,
        kind: kind.into(),
        params,
    }
}

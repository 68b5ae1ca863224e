//! The daemon killed at random moments of creating, reloading, renaming, removing
//! and copying: at the next mount each mirror is wholly there or wholly not, and
//! nothing is without an owner.

pub mod crashable;
pub mod guards;
mod invariants;
pub mod steps;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::differential::Random;
use super::records::{lasting, records};
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::mount::Mount;
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[kernel_only(
    "killed_at_random_moments",
    "the kernel's mirrors go on while no daemon runs; crash has it for the embedded engine",
    killed,
)];

/// How many mirrors come and go, each on files of its own.
const NAMES: u64 = 3;

fn killed(lab: &Lab) {
    let mount = lasting(lab);
    let folder = PathBuf::from(mount.scratch("files"));
    fs::create_dir(&folder).expect("a folder");
    for number in 0..NAMES * 2 {
        fs::write(
            folder.join(format!("leg{number}")),
            vec![number as u8; MIB as usize],
        )
        .expect("a leg");
    }
    mount.mount("");
    mount.write("new", &format!("steady: {}", lab.equal(0, 1)));
    let steady = mount.read("steady/dev");
    let rounds = if long() { 50 } else { 8 };
    let mut random = Random::new(u64::from(std::process::id()));
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let (at, files, seed) = (mount.at.clone(), folder.clone(), random.below(1 << 40));
        let ended = Arc::clone(&stop);
        let busy = spawn(move || act(&at, &files, seed, &ended));
        sleep(Duration::from_millis(20 + random.below(900)));
        mount.kill(Signal::SIGKILL);
        stop.store(true, Ordering::Relaxed);
        let told = busy.join().expect("no panic");
        mount.mount("");
        let wrong = wrong(&mount, &folder);
        assert!(
            wrong.is_empty(),
            "round {round}: {wrong:#?} after {told:#?}"
        );
        assert_eq!(mount.read("steady/dev"), steady);
        assert!(mount.read("steady/health").starts_with("ok\n"));
    }
    println!(
        "{rounds} kills, {} mirrors at the end",
        mount.list("").len()
    );
}

/// Random commands until the daemon is gone.
fn act(at: &Path, files: &Path, seed: u64, stop: &AtomicBool) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut told = Vec::new();
    while !stop.load(Ordering::Relaxed) && told.len() < 60 {
        let (name, kind) = (random.below(NAMES), random.below(6));
        let folder = at.join(format!("a{name}"));
        let table = table(files, name, random.below(2));
        told.push(format!("{kind} on a{name}"));
        // Whether it can be done is not the question.
        let _ = match kind {
            0 | 1 => write(&at.join("new"), &format!("a{name}: {table}")),
            2 => write(&folder.join("table"), &table),
            3 => fs::rename(&folder, at.join(format!("b{name}"))),
            4 => fs::rename(at.join(format!("b{name}")), &folder),
            _ => write(&folder.join("ctl"), "remove"),
        };
    }
    told
}

/// A table over the files of this number, with one of two logs.
fn table(files: &Path, name: u64, log: u64) -> String {
    let files = files.display();
    let (one, other) = (name * 2, name * 2 + 1);
    format!(
        "0 2048 mirror disk 2 {files}/log{name}-{log} 64 2 {files}/leg{one} 0 {files}/leg{other} 0 1 handle_errors"
    )
}

fn write(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// What is half there, or has no owner.
fn wrong(mount: &Mount, folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut uuids, mut logs) = (BTreeSet::new(), BTreeSet::new());
    for name in mount
        .list("")
        .iter()
        .filter(|name| mount.path(name).is_dir())
    {
        let read = |file: &str| mount.read(&format!("{name}/{file}")).trim().to_string();
        if read("status").is_empty() || read("suspended") != "0" {
            wrong.push(format!("{name} is half there: {}", read("health")));
        }
        uuids.insert(read("uuid"));
        logs.insert(read("log/file"));
    }
    let texts = records(mount)
        .into_iter()
        .map(|path| fs::read_to_string(path).expect("a record"));
    let recorded: Vec<String> = texts.collect();
    for uuid in &uuids {
        if !recorded.iter().any(|text| text.contains(uuid)) {
            wrong.push(format!("{uuid} has no record"));
        }
    }
    if recorded.len() != uuids.len() {
        wrong.push(format!(
            "{} records of {} mirrors: {recorded:?}",
            recorded.len(),
            uuids.len()
        ));
    }
    let there = fs::read_dir(folder).expect("the files").flatten();
    let names = there.map(|entry| entry.path().display().to_string());
    for log in names.filter(|path| path.contains("/log")) {
        if !logs.contains(&log) {
            wrong.push(format!("{log} has no mirror"));
        }
    }
    wrong.extend(loops_without_mirror());
    wrong
}

fn loops_without_mirror() -> Vec<String> {
    let loops = fs::read_dir("/sys/block").expect("sysfs").flatten();
    let attached = loops.filter(|entry| entry.path().join("loop/backing_file").exists());
    let free = attached.filter(|entry| {
        let mut holders = fs::read_dir(entry.path().join("holders"))
            .into_iter()
            .flatten();
        holders.next().is_none()
    });
    free.map(|entry| format!("{} is attached for nobody", entry.path().display()))
        .collect()
}

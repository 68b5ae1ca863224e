//! What it costs to look: the files at the top beside `dmsetup status` of all devices, one
//! mirror's status beside a constant file and one of sysfs, what a mirror takes of memory,
//! and what the watch costs.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::super::constant::Served;
use super::super::place::{Mount, Setting, lacks_kernel, program, ram_disks, read_file, run};
use super::super::sample::{Figure, by_turns, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "reads",
    lacks: lacks_kernel,
    measure,
};

const FILES: [&str; 6] = [
    "status",
    "table",
    "progress",
    "health",
    "metrics",
    "mirrors.json",
];

/// Sectors of a mirror.
pub const LENGTH: u64 = 1024;

/// The table of the mirror of this number, which is in sync and has disks of its own.
pub fn line(number: usize) -> String {
    let (one, other) = (2 * number, 2 * number + 1);
    format!(
        "m{number}: 0 {LENGTH} mirror core 2 128 nosync 2 /dev/ram{one} 0 /dev/ram{other} 0 1 handle_errors\n"
    )
}

/// The mirrors of these numbers, made by as few writes as there may be.
pub fn make(mount: &Mount, numbers: std::ops::Range<usize>) {
    let end = numbers.end;
    let lines: Vec<String> = numbers.map(line).collect();
    for some in lines.chunks(50) {
        mount.write("new", &some.concat());
    }
    until(Duration::from_secs(60), "all", || {
        mount.path(&format!("m{}", end - 1)).exists()
    });
}

fn measure(setting: &Setting) -> Vec<Figure> {
    let counts = setting.of(&[10, 100, 1000]);
    let most = counts.last().copied().unwrap_or(1);
    ram_disks(2 * (most + 1), LENGTH);
    let mount = setting.mount("kernel", Path::new("/tmp"));
    let (mut figures, mut made, mut memory) = (Vec::new(), 0, Vec::new());
    for count in counts {
        make(&mount, made..count);
        made = count;
        figures.extend(at_the_top(setting, &mount, count));
        figures.push(one_mirror(setting, &mount, count));
        figures.push(watching(setting, &mount, count));
        memory.push((count, mount.memory()));
    }
    figures.extend(one_file(setting, &mount));
    figures.extend(per_mirror(&memory));
    mount.clear();
    figures
}

fn at_the_top(setting: &Setting, mount: &Mount, count: usize) -> Vec<Figure> {
    let beside = |name: &str, words: &[&str]| {
        let rounds = setting.rounds(11);
        let (ours, theirs) = by_turns(
            rounds,
            || program(words),
            || program(&["dmsetup", "status"]),
        );
        let what = format!("{name}, {count} mirrors");
        let figure = Figure::beside(&what, "s", &ours, ("dmsetup status", &theirs));
        figure.on(&format!("reading/{name}"), count as f64)
    };
    let cat = |file: &str| {
        beside(
            &format!("cat {file}"),
            &["cat", &mount.path(file).display().to_string()],
        )
    };
    let mut figures: Vec<Figure> = FILES.into_iter().map(cat).collect();
    figures.push(beside(
        "ls -l",
        &["ls", "-l", &mount.path("").display().to_string()],
    ));
    figures
}

fn one_mirror(setting: &Setting, mount: &Mount, count: usize) -> Figure {
    let (status, rounds) = (mount.path("m0/status"), setting.rounds(21));
    let ours = || program(&["cat", &status.display().to_string()]);
    let (ours, theirs) = by_turns(rounds, ours, || program(&["dmsetup", "status", "m0"]));
    let name = format!("cat m0/status among {count}");
    Figure::beside(&name, "s", &ours, ("dmsetup status m0", &theirs))
}

/// Processor time of the daemon while one mirror copies, each second of it.
fn watching(setting: &Setting, mount: &Mount, count: usize) -> Figure {
    let (one, other) = (2 * count, 2 * count + 1);
    // Slow enough to be at it all the time, on disks as fast as memory.
    run(&format!(
        "modprobe dm-delay; dmsetup create slow --table '0 {LENGTH} delay /dev/ram{other} 0 300'"
    ));
    mount.write("new", &format!(
        "copying: 0 {LENGTH} mirror core 1 16 2 /dev/ram{one} 0 /dev/mapper/slow 0 1 handle_errors"
    ));
    let seconds = setting.rounds(6);
    let used = (0..seconds).map(|_| {
        let before = mount.processor();
        sleep(Duration::from_secs(1));
        mount.processor() - before
    });
    let used: Vec<f64> = used.collect();
    mount.write("copying/ctl", "remove");
    run("dmsetup remove --retry slow");
    let name = format!("processor time a second while one of {count} copies");
    Figure::plain(&name, "s", &used).on("watching/processor", count as f64)
}

/// One file, beside what says always the same: by FUSE, and in sysfs.
fn one_file(setting: &Setting, mount: &Mount) -> Vec<Figure> {
    let at = mount.folder().join("constant");
    std::fs::create_dir_all(&at).expect("a folder");
    let served = Served::new(&at);
    let constant = ("constant file by FUSE", served.file());
    let name = run("basename $(dirname $(dirname $(grep -lx m0 /sys/block/*/dm/name)))");
    let sysfs = Path::new("/sys/block").join(name.trim()).join("dm/name");
    let beside = |file: &str, (name, path): (&str, &Path)| {
        many_reads(setting, (file, &mount.path(file)), (name, path))
    };
    let figures = vec![
        beside("m0/status", (constant.0, &constant.1)),
        beside("m0/size", (constant.0, &constant.1)),
        beside("help", (constant.0, &constant.1)),
        beside("m0/status", ("file of sysfs", &sysfs)),
    ];
    figures
}

/// Open, read and close of one file, beside another: a round is many of them.
fn many_reads(
    setting: &Setting,
    (file, ours): (&str, &Path),
    (name, theirs): (&str, &Path),
) -> Figure {
    const READS: usize = 200;
    let many = |path: &Path| (0..READS).for_each(|_| assert!(read_file(path) > 0));
    let (ours, theirs) = by_turns(setting.rounds(15), || many(ours), || many(theirs));
    let each = |rounds: Vec<f64>| {
        rounds
            .iter()
            .map(|s| s / READS as f64)
            .collect::<Vec<f64>>()
    };
    let what = format!("open, read, close of {file}");
    Figure::beside(&what, "s", &each(ours), (name, &each(theirs)))
}

/// What one more mirror takes.
fn per_mirror(memory: &[(usize, f64)]) -> Option<Figure> {
    let ((few, before), (many, after)) = (memory.first()?, memory.last()?);
    let each = (after - before) / (many - few).max(1) as f64 / 1024.0;
    Some(Figure::plain("memory a mirror", "KiB", &[each]))
}

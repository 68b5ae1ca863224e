//! How cost grows: with the size of a mirror, with its segments, with bad spots.

use std::path::Path;
use std::time::Duration;

use super::super::place::{Mount, Setting, lacks_kernel, program, ram_disks, read_file, run};
use super::super::sample::{Figure, by_turns, time, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "scale",
    lacks: lacks_kernel,
    measure,
};

fn measure(setting: &Setting) -> Vec<Figure> {
    let mount = setting.mount("kernel", Path::new("/tmp"));
    let mut figures = by_size(setting, &mount);
    figures.extend(by_segments(setting, &mount));
    figures.extend(by_spots(setting, &mount));
    figures
}

/// Reading and making one of which the kernel keeps a bit for each region.
fn by_size(setting: &Setting, mount: &Mount) -> Vec<Figure> {
    let mut figures = Vec::new();
    run("modprobe dm-zero; dmsetup create big0 --table '0 34359738368 zero'");
    run("dmsetup create big1 --table '0 34359738368 zero'");
    for gib in setting.of(&[1, 16, 256, 4096]) {
        let sectors = (gib as u64) << 21;
        let table = format!(
            "0 {sectors} mirror core 2 8192 nosync 2 /dev/mapper/big0 0 /dev/mapper/big1 0 1 handle_errors"
        );
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..setting.rounds(7) {
            ours.push(time(|| mount.write("new", &format!("big: {table}\n"))));
            mount.write("big/ctl", "remove");
            theirs.push(time(|| {
                program(&["dmsetup", "create", "big", "--table", &table])
            }));
            until(Duration::from_secs(10), "big", || {
                mount.path("big").exists()
            });
            program(&["dmsetup", "remove", "--retry", "big"]);
            until(Duration::from_secs(10), "its end", || {
                !mount.path("big").exists()
            });
        }
        let name = format!("new, {gib} GiB");
        let figure = Figure::beside(&name, "s", &ours, ("dmsetup create", &theirs));
        figures.push(figure.on("size/new", gib as f64));
        mount.write("new", &format!("big: {table}\n"));
        figures.push(
            read(setting, mount, "big/status", &format!("{gib} GiB")).on("size/status", gib as f64),
        );
        mount.write("big/ctl", "remove");
    }
    run("dmsetup remove --retry big0; dmsetup remove --retry big1");
    figures
}

/// Reading and switching one of several targets.
fn by_segments(setting: &Setting, mount: &Mount) -> Vec<Figure> {
    let mut figures = Vec::new();
    ram_disks(2, 64 << 11);
    for segments in setting.of(&[1, 4, 16, 64]) {
        let line = format!(
            "s: /dev/ram0 /dev/ram1 log=core region=64K sync=no segments={segments} force=yes\n"
        );
        mount.write("new", &line);
        let at = format!("{segments} segments");
        figures.push(read(setting, mount, "s/status", &at).on("segments/status", segments as f64));
        let switch = || {
            mount.write("s/ctl", "suspend");
            mount.write("s/ctl", "resume");
        };
        let other = || {
            program(&["dmsetup", "suspend", "s"]);
            program(&["dmsetup", "resume", "s"]);
        };
        let (ours, theirs) = by_turns(setting.rounds(7), switch, other);
        let name = format!("suspend and resume, {at}");
        let figure = Figure::beside(&name, "s", &ours, ("dmsetup", &theirs));
        figures.push(figure.on("segments/switch", segments as f64));
        mount.write("s/ctl", "remove");
    }
    figures
}

/// A copy from a disk with so many places that cannot be read, beside one without.
fn by_spots(setting: &Setting, mount: &Mount) -> Vec<Figure> {
    const LENGTH: u64 = 64 << 11;
    let mut figures = Vec::new();
    ram_disks(2, LENGTH);
    let mut good = Vec::new();
    for spots in [0, 1, 4, 16] {
        if setting.short && spots > 1 {
            continue;
        }
        let mut lines = String::new();
        let each = LENGTH / (spots + 1);
        for number in 0..=spots {
            let (start, end) = (
                number * each,
                if number == spots {
                    LENGTH
                } else {
                    (number + 1) * each
                },
            );
            let bad = if number < spots { 8 } else { 0 };
            let length = end - start - bad;
            lines += &format!("{start} {length} linear /dev/ram0 {start}\n");
            if bad > 0 {
                lines += &format!("{} {bad} error\n", start + length);
            }
        }
        std::fs::write("/tmp/table", lines).expect("a table");
        run("dmsetup create bad /tmp/table");
        let taken = (0..setting.rounds(3)).map(|_| {
            let took = time(|| {
                mount.write(
                    "new",
                    "b: /dev/mapper/bad /dev/ram1 region=64K log=core force=yes\n",
                );
                until(Duration::from_secs(300), "all that can be read", || {
                    let bad: u64 = mount.read("b/sync/bad_bytes").trim().parse().unwrap_or(0);
                    let state = mount.read("b/sync/state");
                    state.trim() == "in_sync" || (state.trim() == "stopped" && bad >= spots * 4096)
                });
            });
            mount.write("b/ctl", "abort");
            mount.write("b/ctl", "remove");
            took
        });
        let taken: Vec<f64> = taken.collect();
        run("dmsetup remove --retry bad");
        let name = format!("64 MiB with {spots} bad spots");
        if spots == 0 {
            good.clone_from(&taken);
        }
        let figure = Figure::beside(&name, "s", &taken, ("the same without", &good));
        figures.push(figure.on("bad spots/copy", spots.max(1) as f64));
    }
    figures
}

fn read(setting: &Setting, mount: &Mount, file: &str, at: &str) -> Figure {
    let path = mount.path(file);
    let name = file.split('/').next().unwrap_or_default().to_owned();
    let many = || (0..50).for_each(|_| assert!(read_file(&path) > 0));
    let other = || program(&["dmsetup", "status", &name]);
    let (ours, theirs) = by_turns(setting.rounds(7), many, other);
    let ours: Vec<f64> = ours.iter().map(|seconds| seconds / 50.0).collect();
    Figure::beside(
        &format!("read of status, {at}"),
        "s",
        &ours,
        ("running dmsetup status", &theirs),
    )
}

//! What it costs to make and remove a mirror, beside few others and very many.

use std::path::Path;
use std::time::Duration;

use super::super::place::{Mount, Setting, lacks_kernel, program, ram_disks};
use super::super::sample::{Figure, time, until};
use super::Subject;
use super::reads::{LENGTH, line, make};

pub const SUBJECT: Subject = Subject {
    name: "create",
    lacks: lacks_kernel,
    measure,
};

fn measure(setting: &Setting) -> Vec<Figure> {
    let counts = setting.of(&[10, 100, 1000]);
    let most = counts.last().copied().unwrap_or(1);
    ram_disks(2 * (most + 1), LENGTH);
    let mount = setting.mount("kernel", Path::new("/tmp"));
    let (mut figures, mut made) = (Vec::new(), 0);
    for count in counts {
        make(&mount, made..count);
        made = count;
        figures.extend(one_more(setting, &mount, count));
    }
    figures.extend(verbs(setting, &mount, made));
    mount.clear();
    figures.push(at_once(&mount, made));
    figures
}

/// One more beside so many, made and removed.
fn one_more(setting: &Setting, mount: &Mount, count: usize) -> Vec<Figure> {
    let text = line(count);
    let (name, table) = text.trim().split_once(": ").expect("a name");
    let control = format!("{name}/ctl");
    let (mut made, mut removed) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..setting.rounds(15) {
        made.0.push(time(|| mount.write("new", &text)));
        removed.0.push(time(|| mount.write(&control, "remove")));
        made.1.push(time(|| {
            program(&["dmsetup", "create", name, "--table", table])
        }));
        until(Duration::from_secs(10), name, || mount.path(name).exists());
        removed
            .1
            .push(time(|| program(&["dmsetup", "remove", "--retry", name])));
    }
    let figure = |what: &str, (ours, theirs): &(Vec<f64>, Vec<f64>), other: &str| {
        let name = format!("{what} beside {count}");
        let figure = Figure::beside(&name, "s", ours, (other, theirs));
        figure.on(&format!("making/{what}"), count as f64)
    };
    vec![
        figure("new", &made, "dmsetup create"),
        figure("remove", &removed, "dmsetup remove"),
    ]
}

/// Verbs of one among so many.
fn verbs(setting: &Setting, mount: &Mount, count: usize) -> Vec<Figure> {
    let pairs = [("suspend", "suspend"), ("resume", "resume")];
    let mut samples: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); pairs.len()];
    for _ in 0..setting.rounds(11) {
        for ((verb, _), taken) in pairs.iter().zip(&mut samples) {
            taken.0.push(time(|| mount.write("m0/ctl", verb)));
        }
        for ((_, word), taken) in pairs.iter().zip(&mut samples) {
            taken.1.push(time(|| program(&["dmsetup", word, "m1"])));
        }
    }
    let figures = pairs
        .iter()
        .zip(&samples)
        .map(|((verb, word), (ours, theirs))| {
            let name = format!("{verb} of one of {count}");
            Figure::beside(&name, "s", ours, (&format!("dmsetup {word}"), theirs))
        });
    figures.collect()
}

/// All of them in one write.
fn at_once(mount: &Mount, count: usize) -> Figure {
    let lines: String = (0..count).map(line).collect();
    let last = format!("m{}", count - 1);
    let ours = time(|| {
        mount.write("new", &lines);
        until(Duration::from_secs(300), "all", || {
            mount.path(&last).exists()
        });
    });
    mount.clear();
    let theirs = time(|| {
        for number in 0..count {
            let text = line(number);
            let (name, table) = text.trim().split_once(": ").expect("a name");
            program(&["dmsetup", "create", name, "--table", table]);
        }
    });
    mount.clear();
    let name = format!("{count} lines in one write");
    Figure::beside(&name, "s", &[ours], ("dmsetup create, so often", &[theirs]))
}

//! `metrics`: events are counted as `events` tells them, and many mirrors cost
//! little. That the figures are those of the files, `info` holds.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::{no_readers, readers_agree};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::MIB;
use crate::lab::dm::run;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{many, wait_for};

pub const CASES: &[Case] = &[
    both("of_no_mirrors", of_no_mirrors).needing(no_readers),
    both("count_events", count_events),
    both("forget_what_is_gone", forget_what_is_gone),
    both("of_a_hundred", of_a_hundred),
];

fn of_no_mirrors(lab: &Lab) {
    let mount = lab.mount();
    readers_agree(&mount);
    let version = mount.read("version");
    let words: Vec<&str> = version.split_whitespace().collect();
    let metrics = mount.read("metrics");
    let build = metrics
        .lines()
        .find(|line| line.starts_with("mirrorfs_build_info{"));
    let [engine, dm, target] =
        [2, 3, 4].map(|word| words[word].split_once('=').expect("a version").1);
    assert_eq!(
        build.expect("versions"),
        format!(
            "mirrorfs_build_info{{version=\"{}\",engine=\"{engine}\",dm=\"{dm}\",target=\"{target}\"}} 1",
            words[1]
        )
    );
    assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");
}

/// The counts of `metrics` that are not 0, by mirror and kind.
fn counts(mount: &Mount) -> BTreeMap<(String, String), u64> {
    let metrics = mount.read("metrics");
    let lines = metrics.lines();
    let lines = lines.filter_map(|line| line.strip_prefix("mirrorfs_events_total{mirror=\""));
    let counts = lines.map(|line| {
        let (name, rest) = line.split_once("\",kind=\"").expect("a kind");
        let (kind, count) = rest.split_once("\"} ").expect("a count");
        ((name.into(), kind.into()), count.parse().expect("a number"))
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The same of the lines of `events`, a mirror's under the name that it has now.
fn told(mount: &Mount, now: impl Fn(&str, &str) -> String) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for line in mount.read("events").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let key = (now(words[1], words[2]), words[2].to_string());
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

/// A mirror's counts go along when it is renamed; what is nobody's, and removals,
/// count as `-`.
fn count_events(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    mount.write("new", &format!("b: {}", lab.equal(2, 3)));
    for verb in ["suspend", "resume", "suspend", "resume"] {
        mount.write("a/ctl", verb);
    }
    mount.write("throttle", "100");
    for (file, line) in [
        ("a/ctl", "nonsense"),
        ("new", "nonsense"),
        ("new", "z: 0 1 mirror"),
    ] {
        assert!(mount.try_write(file, line).is_err());
    }
    fs::rename(mount.path("a"), mount.path("c")).expect("renamed");
    mount.write("b/ctl", "remove");
    mount.write("new", &format!("b: {}", lab.equal(4, 5)));
    // The first `b` is gone, and what it has counted with it.
    let before = mount.read("events");
    let first = before
        .lines()
        .filter(|line| line.contains(" b created "))
        .count();
    assert_eq!(first, 2, "{before}");
    let now = |name: &str, kind: &str| match (name, kind) {
        (_, "removed") => "-".into(),
        ("a", _) => "c".into(),
        ("z", _) => "-".into(),
        (name, _) => name.into(),
    };
    wait_for("the same counts", || {
        let mut told = told(&mount, now);
        for kind in ["created", "synced"] {
            if let Some(count) = told.get_mut(&("b".into(), kind.into())) {
                *count -= 1;
            }
        }
        told == counts(&mount)
    });
    let counts = counts(&mount);
    let of = |name: &str, kind: &str| counts.get(&(name.into(), kind.into())).copied();
    assert_eq!(
        (of("c", "suspended"), of("c", "error"), of("c", "renamed")),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!(
        (of("-", "error"), of("-", "removed"), of("-", "set")),
        (Some(2), Some(1), Some(1))
    );
    // What somebody is called for is there before it happens.
    let metrics = mount.read("metrics");
    for kind in ["leg", "log", "health", "dropped", "held", "error"] {
        let line = format!("mirrorfs_events_total{{mirror=\"b\",kind=\"{kind}\"}} 0\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    for name in ["b", "c"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

/// Of mirrors that are gone, and of nonsense, no figure stays.
fn forget_what_is_gone(lab: &Lab) {
    let mount = lab.mount();
    let before = mount.read("metrics").lines().count();
    for number in 0..20 {
        fs::create_dir(mount.path(&format!("m{number}"))).expect("made");
        fs::rename(mount.path(&format!("m{number}")), mount.path("n")).expect("renamed");
        fs::remove_dir(mount.path("n")).expect("removed");
        assert!(
            mount
                .try_write("new", &format!("no{number}: nonsense"))
                .is_err()
        );
    }
    // The removals' own count is all that there is more.
    let metrics = mount.read("metrics");
    assert_eq!(metrics.lines().count(), before + 1, "{metrics}");
    assert!(
        metrics.contains("{mirror=\"-\",kind=\"removed\"} 20\n"),
        "{metrics}"
    );
}

/// A hundred mirrors of two legs.
fn crowd(lab: &Lab, mount: &Mount) -> Undo {
    if lab.is_kernel() {
        let [one, other] = [0, 1].map(|number| lab.number(&lab.disk(number)));
        let device = |number: usize| {
            let at = number * 128;
            format!("c{number},,,,0 128 mirror core 2 64 nosync 2 {one} {at} {other} {at}")
        };
        let devices: Vec<String> = (0..many()).map(device).collect();
        // One process for all, and no udev, which would read from each of them:
        // emulated, that takes minutes.
        output("modprobe dm-mirror; udevadm control --stop-exec-queue");
        let undo = Undo(format!(
            "dmsetup remove --retry --noudevsync $(seq -f c%g 0 {}); \
             udevadm control --start-exec-queue",
            many() - 1
        ));
        run(
            "dmsetup",
            &["create", "--noudevsync", "--concise", &devices.join(";")],
        );
        return undo;
    }
    for number in 0..many() {
        let [one, other] = ["s", "t"].map(|side| mount.scratch(&format!("{side}{number}")));
        for path in [&one, &other] {
            fs::write(path, vec![0; (MIB / 16) as usize]).expect("a leg");
        }
        mount.write(
            "new",
            &format!("c{number}: 0 128 mirror core 2 64 nosync 2 {one} 0 {other} 0"),
        );
    }
    Undo("true".into())
}

fn of_a_hundred(lab: &Lab) {
    let mount = lab.mount();
    let undo = crowd(lab, &mount);
    let figure = "mirrorfs_regions_in_sync{mirror=\"c";
    wait_for("a hundred", || {
        mount.read("metrics").matches(figure).count() == many()
    });
    for file in ["metrics", "mirrors.json", "status"] {
        let mut times: Vec<Duration> = (0..5).map(|_| time(|| mount.read(file))).collect();
        times.sort();
        println!(
            "{file} of {} mirrors: {} bytes, median {:?}, longest {:?}",
            many(),
            mount.read(file).len(),
            times[2],
            times[4]
        );
        // A scraper gives up after ten; emulated, all takes far longer.
        assert!(times[2] < Duration::from_secs(8), "{file}: {times:?}");
    }
    drop(undo);
    if !lab.is_kernel() {
        // Removing each of them takes longer than all else here.
        mount.stop();
        fs::remove_dir_all(mount.state()).expect("records");
    }
    attempt("udevadm settle --timeout=20");
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

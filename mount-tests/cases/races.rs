//! Many at once: makers of one name, makers on the same disks, readers while
//! mirrors come and go, verbs on one mirror, and a verb that hangs.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::dm::dm;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::output;
use crate::lab::wait_longer;

pub const CASES: &[Case] = &[
    both("fifty_of_one_name", fifty_of_one_name),
    both("twenty_on_the_same_disks", twenty_on_the_same_disks),
    both("twenty_without_a_name", twenty_without_a_name),
    both(
        "readers_while_mirrors_come_and_go",
        readers_while_mirrors_come_and_go,
    ),
    both("two_verbs_at_once", two_verbs_at_once),
    both("a_chmod_while_it_is_removed", a_chmod_while_it_is_removed),
];

/// Rounds in which a record may be written and removed at once.
const ROUNDS: usize = 40;

/// What a write of a line comes to.
pub type Outcome = Result<String, (Errno, String)>;

/// Write each line to `new` at the same moment, each on a descriptor of its own.
fn at_once(mount: &Mount, lines: &[(String, String)]) -> Vec<Outcome> {
    let (start, ends) = (Barrier::new(lines.len()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for (file, line) in lines {
            scope.spawn(|| {
                start.wait();
                let end = mount.try_write(file, line);
                ends.lock().expect("no panic").push(end);
            });
        }
    });
    ends.into_inner().expect("no panic")
}

/// The answers of those who were served; panics where another was refused in
/// another way than by `errno`.
fn served(ends: &[Outcome], errno: Errno) -> Vec<String> {
    for (other, reason) in ends.iter().filter_map(|end| end.as_ref().err()) {
        assert!(
            *other == errno && !reason.trim().is_empty(),
            "{other}: {reason}"
        );
    }
    let names = ends.iter().filter_map(|end| end.as_ref().ok());
    names.map(|name| name.trim().to_owned()).collect()
}

fn fifty_of_one_name(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    let line = format!("race: 0 64 mirror core 1 8 2 {a} 0 {b} 0");
    for round in 0..2 {
        let ends = at_once(&mount, &vec![("new".into(), line.clone()); 50]);
        assert_eq!(served(&ends, Errno::EEXIST), ["race"], "round {round}");
        assert_eq!(lab.devices(&mount).len(), 1);
        assert_eq!(mount.read("status").lines().count(), 1);
        mount.write("race/ctl", "remove");
    }
}

fn twenty_on_the_same_disks(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    let line = |number: usize, one: &str, other: &str| {
        let table = format!("0 64 mirror core 1 8 2 {one} 0 {other} 0");
        ("new".to_owned(), format!("same{number}: {table}"))
    };
    let lines: Vec<_> = (0..20).map(|number| line(number, &a, &b)).collect();
    let names = served(&at_once(&mount, &lines), Errno::EBUSY);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(lab.devices(&mount).len(), 1);
    mount.write(&format!("{}/ctl", names[0]), "remove");
    // In both orders: two may keep each other out, but never do both get in.
    let turned = |number| {
        if number % 2 == 0 {
            line(number, &a, &b)
        } else {
            line(number, &b, &a)
        }
    };
    let lines: Vec<_> = (0..20).map(turned).collect();
    let names = served(&at_once(&mount, &lines), Errno::EBUSY);
    println!("in both orders: {} of 20 made", names.len());
    assert!(names.len() <= 1, "{names:?}");
    names
        .iter()
        .for_each(|name| mount.write(&format!("{name}/ctl"), "remove"));
}

fn twenty_without_a_name(lab: &Lab) {
    let mount = lab.mount();
    let lines: Vec<(String, String)> = (0..20)
        .map(|number| {
            let [one, other] = ["s", "t"].map(|leg| mount.scratch(&format!("{leg}{number}")));
            for file in [&one, &other] {
                fs::File::create(file)
                    .and_then(|file| file.set_len(1 << 20))
                    .expect("a leg");
            }
            (
                "new".into(),
                format!("0 64 mirror core 1 8 2 {one} 0 {other} 0"),
            )
        })
        .collect();
    // Not one is refused, whatever the errno.
    // A slow machine may need longer for all of them than a write waits.
    served(&at_once(&mount, &lines), Errno::EINPROGRESS);
    let names = || -> Vec<String> {
        let progress = mount.read("progress");
        let mut names: Vec<String> = progress
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect();
        names.sort();
        names
    };
    wait_longer(120, "all are made", || names().len() == 20);
    let names = names();
    let mut wanted: Vec<String> = (0..20).map(|number| format!("mirror{number}")).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    let removes: Vec<_> = names
        .iter()
        .map(|name| (format!("{name}/ctl"), "remove".into()))
        .collect();
    served(&at_once(&mount, &removes), Errno::EINPROGRESS);
    wait_longer(120, "all are removed", || mount.read("progress").is_empty());
}

fn readers_while_mirrors_come_and_go(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    let (over, reads) = (AtomicBool::new(false), Mutex::new((0, 0, Duration::ZERO)));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut sum = (0, 0, Duration::ZERO);
                    read_all(&mount.at, &mut sum);
                    let mut all = reads.lock().expect("no panic");
                    *all = (all.0 + sum.0, all.1 + sum.1, all.2.max(sum.2));
                }
            });
        }
        let churned =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| churn(&mount, &a, &b)));
        over.store(true, Ordering::Relaxed);
        churned.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let (whole, gone, longest) = reads.into_inner().expect("no panic");
    println!("{whole} whole answers, {gone} of what was gone, the longest {longest:?}");
    assert!(
        whole > 100 && gone > 0,
        "the readers met nothing: {whole} {gone}"
    );
    assert!(longest < Duration::from_secs(5), "a read took {longest:?}");
}

/// Make, rename, suspend, resume and remove for a while.
fn churn(mount: &Mount, a: &str, b: &str) {
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        mount.write("new", &format!("come: 0 64 mirror core 1 8 2 {a} 0 {b} 0"));
        mount.write("come/ctl", "suspend");
        fs::rename(mount.path("come"), mount.path("go")).expect("renamed");
        mount.write("go/ctl", "resume");
        mount.write("go/ctl", "remove");
        fs::create_dir(mount.path("come")).expect("made");
        fs::remove_dir(mount.path("come")).expect("removed");
    }
}

/// Read every file below a folder: each a whole answer or gone.
fn read_all(folder: &Path, sum: &mut (u32, u32, Duration)) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return gone(folder, &error, sum),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return gone(folder, &error, sum),
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => read_all(&entry.path(), sum),
            Ok(kind) if kind.is_file() => read_one(&entry.path(), sum),
            Ok(_) => {}
            Err(error) => gone(&entry.path(), &error, sum),
        }
    }
}

fn read_one(path: &Path, sum: &mut (u32, u32, Duration)) {
    let start = Instant::now();
    let read = fs::read_to_string(path);
    sum.2 = sum.2.max(start.elapsed());
    match read {
        Ok(text) => {
            let empty = text.is_empty() && path.ends_with("events");
            let roots = text.is_empty() && path.parent().is_some_and(|p| p.ends_with("mnt"));
            assert!(
                text.ends_with('\n') || empty || roots,
                "{}: {text:?}",
                path.display()
            );
            check_status(path, &text);
            sum.0 += 1;
        }
        Err(error) => gone(path, &error, sum),
    }
}

/// Of a mirror's own files one with a table shows all of it.
fn check_status(path: &Path, text: &str) {
    let (status, table) = (path.ends_with("come/status"), path.ends_with("come/table"));
    let whole = (status && text.ends_with(" 1 core\n")) || (table && text.ends_with(" 0\n"));
    let other = !status && !table;
    assert!(
        other || whole || text == "\n",
        "{}: {text:?}",
        path.display()
    );
}

fn gone(path: &Path, error: &std::io::Error, sum: &mut (u32, u32, Duration)) {
    let expected = [Errno::ENOENT, Errno::ENODEV].contains(&errno(error));
    assert!(
        expected || error.kind() == ErrorKind::NotFound,
        "{}: {error}",
        path.display()
    );
    sum.1 += 1;
}

fn two_verbs_at_once(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    let mirror = format!("0 64 mirror core 1 8 2 {a} 0 {b} 0");
    let other = format!("0 64 mirror core 1 16 2 {a} 0 {b} 0");
    for (file, line) in [("ctl", "suspend"), ("ctl", "remove"), ("table", &other)] {
        for (second, command) in [("ctl", "resume"), ("table", &mirror)] {
            mount.write("new", &format!("m0: {mirror}"));
            let lines = [(file, line), (second, command)];
            let lines = lines.map(|(file, line)| (format!("m0/{file}"), line.to_owned()));
            judge_pair(&mount, &at_once(&mount, &lines), &lines);
            if mount.exists("m0") {
                mount.write("m0/ctl", "resume");
                sane(lab, &mount, &lines);
                mount.write("m0/ctl", "remove");
            }
            assert!(lab.devices(&mount).is_empty(), "after {lines:?}");
        }
    }
}

/// One at least is done; the other is, or finds the first running or the mirror
/// gone.
fn judge_pair(mount: &Mount, ends: &[Outcome], lines: &[(String, String)]) {
    let late = [Errno::EBUSY, Errno::ENODEV, Errno::ENOENT];
    let refused: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    let expected = refused.iter().all(|(errno, _)| late.contains(errno));
    assert!(
        refused.len() < 2 && expected,
        "{lines:?}: {ends:?}\n{}",
        mount.read("events")
    );
}

fn sane(lab: &Lab, mount: &Mount, lines: &[(String, String)]) {
    assert_eq!(mount.read("m0/suspended"), "0\n", "{lines:?}");
    if !lab.is_kernel() {
        return mount.wait_in_sync("m0");
    }
    let info = dm("info m0");
    assert!(
        info.contains("ACTIVE") && !info.contains("INACTIVE"),
        "{lines:?}: {info}"
    );
    output("timeout 10 dd if=/dev/zero of=/dev/mapper/m0 bs=4k count=1 oflag=direct 2>&1");
}

/// Both write the record, and the removal has the last word: no record is left of
/// what is gone, or the next mount would make it again.
fn a_chmod_while_it_is_removed(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    let records = mount.state().join("mirrors");
    let mut changed = 0;
    for round in 0..ROUNDS {
        mount.write("new", &format!("dress: 0 64 mirror core 1 8 2 {a} 0 {b} 0"));
        let ctl = mount.path("dress/ctl");
        let (begin, begun) = mpsc::channel();
        thread::scope(|scope| {
            let dressed = scope.spawn(move || {
                let modes = [0o600, 0o640].into_iter().cycle();
                let set = |mode| fs::set_permissions(&ctl, fs::Permissions::from_mode(mode));
                let done = modes.take_while(|mode| set(*mode).is_ok());
                done.filter(|_| begin.send(()).is_ok()).count()
            });
            // However slow the machine is, there is something to race with.
            begun.recv().expect("a change");
            thread::sleep(Duration::from_millis(round as u64 % 8));
            mount.write("dress/ctl", "remove");
            changed += dressed.join().expect("no panic");
        });
        let left = fs::read_dir(&records).map_or(0, Iterator::count);
        assert_eq!(left, 0, "round {round}: a record of what is gone");
    }
    assert!(changed > ROUNDS, "{changed} changes raced with nothing");
}

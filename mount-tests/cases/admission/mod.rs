//! What would destroy data is refused, whichever request or verb it is in: a table of
//! ways times a table of hazards. After each refusal not one byte is another, and
//! nothing is left.

mod earlier;
mod growing;
mod hazards;
mod logs;
mod ours;
mod ways;

use std::path::Path;

use self::hazards::{Device, HAZARDS, Hazard, Kind, cleared};
use self::ways::{Names, WAYS, Way};
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::engine::no_loops;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::traces::Traces;
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[
    both("targets", targets).needing(no_loops),
    both("sources", sources).needing(no_loops),
    both("read_only_mirrors", read_only_mirrors).needing(no_loops),
    kernel_only(
        "a_broken_disk",
        "the embedded engine's broken disks are full file systems",
        a_broken_disk,
    ),
    both("logs", logs::logs).needing(no_loops),
    both("users_logs_stay", ours::users_logs_stay),
    both("users_logs_stay_over_a_restart", ours::over_a_restart),
    both("a_log_given_again_stays", ours::given_again),
    both("of_old_records", ours::of_old_records),
    both("grow", growing::grow).needing(no_loops),
    kernel_only(
        "grow_beside_neighbours",
        "mappings are device-mapper's",
        growing::beside_neighbours,
    ),
    both("earlier_target_with_partitions", earlier::with_partitions).needing(no_loops),
    both("earlier_target_that_was_longer", earlier::longer),
    both("a_dropped_leg_comes_back", earlier::dropped),
];

/// What is wrong, all of it at the end.
#[derive(Default)]
pub struct Wrongs(Vec<String>);

impl Wrongs {
    pub fn note(&mut self, what: String) {
        self.0.push(what);
    }

    pub fn end(self) {
        assert!(
            self.0.is_empty(),
            "{} wrong:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

/// Which combinations are tried: all of them on the embedded engine and in a long run.
/// On the kernel's each takes seconds, so that every third has to do; there are ten ways,
/// and thus each way and each hazard gets its turn.
#[derive(Default)]
pub struct Turns(usize);

impl Turns {
    pub fn next(&mut self, lab: &Lab) -> bool {
        self.0 += 1;
        long() || !lab.is_kernel() || self.0.is_multiple_of(3)
    }
}

/// The errno of a wish, and a word of its reason; none where it is granted.
pub type Want<'a> = Option<(&'a str, &'a str)>;

/// Write a line, note where the answer is another one, and where a refusal leaves
/// something. `bytes` is what must stay as it is.
pub fn assess(
    (lab, mount): (&Lab, &Mount),
    what: &str,
    (file, line): (&str, &str),
    want: Want<'_>,
    bytes: &dyn Fn() -> Vec<u8>,
) -> Vec<String> {
    let before = (bytes(), Traces::now(lab, mount.folder()));
    let answer = mount.try_write(file, line);
    let told = |wrong: String| format!("{what}: `{line}` {wrong}");
    match (answer, want) {
        (Ok(_), None) => Vec::new(),
        (Ok(_), Some((errno, _))) => vec![told(format!("is accepted, not {errno}"))],
        (Err((errno, why)), None) => vec![told(format!("is {errno:?}: {}", why.trim()))],
        (Err((errno, why)), Some((wanted, word))) => {
            // A table's reason stands in `events`.
            let why = if file.ends_with("/table") {
                mount
                    .read("events")
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .into()
            } else {
                why
            };
            let mut wrong = Vec::new();
            if format!("{errno:?}") != wanted || !why.contains(word) {
                wrong.push(told(format!(
                    "is {errno:?}, not {wanted} with `{word}`: {why}"
                )));
            }
            if bytes() != before.0 {
                wrong.push(told("is refused and has changed bytes".into()));
            }
            let left = before.1.changes(lab, mount.folder());
            if !left.is_empty() {
                wrong.push(told(format!("leaves or takes {left:?}")));
            }
            wrong
        }
    }
}

/// What a target holds or who uses it, in every way to name one.
fn targets(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mount = lab.mount();
    let (source, other) = (lab.disk(0), lab.disk(1));
    let mut turns = Turns::default();
    let here = |hazard: &&Hazard| hazard.is_on(lab);
    for (number, hazard) in HAZARDS.iter().filter(here).enumerate() {
        let make = || Device::new(lab, &format!("target{number}"), Some(hazard));
        let mut device = Some(make());
        for way in WAYS.iter().filter(|way| way.is_on(lab)) {
            let forces = [false, true].into_iter();
            let forces = forces.filter(|force| is_asked(way, hazard, *force));
            for force in forces.filter(|_| turns.next(lab)) {
                let refused = is_refused(lab, way, hazard, force);
                let at = device.get_or_insert_with(make);
                let names = Names {
                    source: &source,
                    target: &at.path,
                    offset: hazard.offset,
                    log: None,
                    force,
                };
                way.begin(&mount, &source, &other);
                let want = refused.then_some((hazard.errno, hazard.word));
                let what = format!("{}, {}", way.name, hazard.name);
                let bytes = || at.bytes();
                let wrong = assess(
                    (lab, &mount),
                    &what,
                    (way.file, &way.line(&names)),
                    want,
                    &bytes,
                );
                let spoiled = !refused || !wrong.is_empty();
                wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
                way.end(&mount);
                // What was written over is another hazard.
                if spoiled {
                    device = None;
                }
            }
        }
    }
    wrongs.end();
}

/// What is the same for all of a kind is asked of one.
fn is_asked(way: &Way, hazard: &Hazard, force: bool) -> bool {
    match hazard.kind {
        Kind::Never => !force || ["short", "another table"].contains(&way.name),
        Kind::Held if !way.looks => !force && hazard.name == "ext4",
        Kind::Held => !force || ["ext4", "a used partition inside"].contains(&hazard.name),
        Kind::Blocks => true,
    }
}

fn is_refused(lab: &Lab, way: &Way, hazard: &Hazard, force: bool) -> bool {
    match hazard.kind {
        Kind::Never => true,
        Kind::Held => way.looks && !force,
        // Nobody has an embedded mirror open.
        Kind::Blocks => !force || way.live && lab.is_kernel(),
    }
}

/// What is written to a mirror is written to its source.
fn sources(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mount = lab.mount();
    let source = Device::new(lab, "source", None);
    let (other, target) = (lab.disk(1), cleared(lab, 2));
    for way in WAYS.iter().filter(|way| way.is_on(lab)) {
        let names = Names {
            source: &source.path,
            target: &target,
            offset: 0,
            log: None,
            force: true,
        };
        way.begin(&mount, &source.path, &other);
        output(&format!("blockdev --setro {}", source.path));
        let writable = Undo(format!("blockdev --setrw {}", source.path));
        let want = lab.is_kernel().then_some(("EROFS", "--setrw"));
        let line = way.line(&names);
        let bytes = || source.bytes();
        let wrong = assess((lab, &mount), way.name, (way.file, &line), want, &bytes);
        wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
        drop(writable);
        way.end(&mount);
    }
    wrongs.end();
}

/// One that is read only may have such a source; its target and log are written by
/// the copy all the same. Files on a file system that is read only are the same.
fn read_only_mirrors(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mount = lab.mount();
    let folder = lab.path("ro").display().to_string();
    output(&format!(
        "mkdir {folder} && mount -t tmpfs none {folder} && head -c 1M /dev/urandom >{folder}/file \
         && mount -o remount,ro {folder}"
    ));
    let unmount = Undo(format!("umount {folder}; rmdir {folder}"));
    let file = format!("{folder}/file");
    let target = mount.scratch("target");
    output(&format!("truncate -s 1M {target}"));
    let table = |log: &str, source: &str, target: &str| {
        format!(
            "0 {} mirror {log} 2 {source} 0 {target} 0 1 handle_errors",
            MIB / 512
        )
    };
    let none = Vec::new;
    for (line, want) in [
        (
            table("core 1 128", &target, &file),
            Some(("EROFS", "leg 1")),
        ),
        (
            table(&format!("disk 2 {file} 128"), &target, &lab.disk(1)),
            Some(("EROFS", "log")),
        ),
        (
            table("core 1 128", &file, &target),
            lab.is_kernel().then_some(("EROFS", "ro")),
        ),
    ] {
        for flags in ["", "ro"] {
            let reads = flags == "ro" && line.contains(&format!("2 {file} 0"));
            let want = want.filter(|_| !reads);
            let line = format!("m,,,{flags},{line}");
            let wrong = assess((lab, &mount), flags, ("new", &line), want, &none);
            wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
            if mount.exists("m") {
                mount.wait_in_sync("m");
                output(&format!("cmp {file} {target}"));
                mount.write("m/ctl", "remove");
            }
        }
    }
    drop(unmount);
    wrongs.end();
}

/// A disk that is still broken is no leg: only a write tells.
fn a_broken_disk(lab: &Lab) {
    output("modprobe dm-flakey");
    let mut wrongs = Wrongs::default();
    let (source, other, disk) = (lab.disk(0), lab.disk(1), lab.disk(2));
    let sectors = ways::SECTORS;
    for (name, table) in [
        ("gone", format!("0 {sectors} error")),
        (
            "unwritable",
            format!("0 {sectors} flakey {disk} 0 0 1000 1 error_writes"),
        ),
        (
            "broken at its end",
            format!("0 {0} linear {disk} 0\n{0} 8 error\n", sectors - 8),
        ),
    ] {
        crate::lab::dm::create("broken", "", &table);
        let undo = Undo("dmsetup remove --retry broken".into());
        let mount = lab.mount();
        let looking = WAYS.iter().filter(|way| way.looks && way.live);
        for way in looking {
            let names = Names {
                source: &source,
                target: "/dev/mapper/broken",
                offset: 0,
                log: None,
                force: false,
            };
            way.begin(&mount, &source, &other);
            let line = way.line(&names);
            let want = Some(("EIO", "broken"));
            let wrong = assess((lab, &mount), name, (way.file, &line), want, &Vec::new);
            wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
            way.end(&mount);
        }
        drop(mount);
        drop(undo);
    }
    wrongs.end();
}

/// Whether there is no such file.
pub fn is_missing(path: &str) -> bool {
    !Path::new(path).exists()
}

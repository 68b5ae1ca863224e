//! What a log may be written over, in every form of request.

use std::fs;

use super::hazards::{Device, cleared};
use super::ways::{Names, SECTORS, WAYS};
use super::{Turns, Wrongs, assess};
use crate::lab::Lab;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};

/// A file or device that is named as a log: what makes it, the errno, a word, and
/// whether force=yes helps.
type Row = (
    &'static str,
    fn(&str),
    Option<(&'static str, &'static str)>,
    bool,
);

const FILES: &[Row] = &[
    (
        "a letter",
        |path| fs::write(path, "Dear all,\n".repeat(1000)).expect("a file"),
        Some(("ENOTEMPTY", "log")),
        true,
    ),
    (
        "zeros, then a letter",
        |path| {
            let text = [vec![0; 1030], b"Dear all".repeat(500)].concat();
            fs::write(path, text).expect("a file");
        },
        Some(("ENOTEMPTY", "log")),
        true,
    ),
    (
        "another geometry",
        |path| fs::write(path, log(99)).expect("a log"),
        Some(("EINVAL", "99 regions")),
        false,
    ),
    (
        "blank",
        |path| fs::write(path, [0; 4096]).expect("a file"),
        None,
        true,
    ),
    // What is behind what the log uses is nobody's matter.
    (
        "blank as far as it is used",
        |path| fs::write(path, [vec![0; 4096], vec![7; 9]].concat()).expect("a file"),
        None,
        true,
    ),
    (
        "its own",
        |path| fs::write(path, log(SECTORS / 128)).expect("a log"),
        None,
        true,
    ),
];

const DEVICES: &[Row] = &[
    (
        "ext4",
        |path| drop(output(&format!("mkfs.ext4 -qF {path} 4M 2>&1; sync"))),
        Some(("ENOTEMPTY", "ext4")),
        true,
    ),
    (
        "GPT",
        |path| super::hazards::gpt(path, &[(2048, 4096)]),
        Some(("ENOTEMPTY", "gpt")),
        true,
    ),
    (
        "read-only",
        |path| drop(output(&format!("blockdev --setro {path}"))),
        Some(("EROFS", "log")),
        false,
    ),
    ("nothing", |_| {}, None, true),
];

/// A disk log for so many regions, none of them clean.
pub fn log(regions: u64) -> Vec<u8> {
    let header = [0x4D69_5272_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    let mut bytes = [header, regions.to_le_bytes().to_vec()].concat();
    bytes.resize(4096, 0);
    bytes
}

pub fn logs(lab: &Lab) {
    let mut wrongs = Wrongs::default();
    let mut turns = Turns::default();
    let mount = lab.mount();
    let path = mount.scratch("log");
    for (name, make, want, forced) in FILES {
        each_way(
            (lab, &mount),
            (&mut wrongs, &mut turns),
            name,
            (*want, *forced),
            &|| {
                make(&path);
                (path.clone(), None)
            },
        );
    }
    for (number, (name, make, want, forced)) in DEVICES.iter().enumerate() {
        each_way(
            (lab, &mount),
            (&mut wrongs, &mut turns),
            name,
            (*want, *forced),
            &|| {
                let device = Device::new(lab, &format!("log{number}"), None);
                make(&device.path);
                (device.path.clone(), Some(device))
            },
        );
    }
    wrongs.end();
}

fn each_way(
    (lab, mount): (&Lab, &Mount),
    (wrongs, turns): (&mut Wrongs, &mut Turns),
    name: &str,
    (want, forced): (Option<(&str, &str)>, bool),
    make: &dyn Fn() -> (String, Option<Device>),
) {
    let (source, other, target) = (lab.disk(0), lab.disk(1), cleared(lab, 2));
    for way in WAYS.iter().filter(|way| way.has_log() && way.is_on(lab)) {
        // What is the same everywhere is asked once or twice.
        let few = ["short", "another table"].contains(&way.name);
        let forces = [false, true].into_iter();
        let forces = forces.filter(|force| match want {
            None => few && !force,
            Some(_) => !force || forced || few,
        });
        for force in forces.filter(|_| turns.next(lab)) {
            let (log, device) = make();
            let names = Names {
                source: &source,
                target: &target,
                offset: 0,
                log: Some(&log),
                force,
            };
            way.begin(mount, &source, &other);
            let want = want.filter(|_| !(force && forced));
            let bytes = || match &device {
                Some(device) => device.bytes(),
                None => fs::read(&log).unwrap_or_default(),
            };
            let what = format!("{} with a log that holds {name}", way.name);
            let wrong = assess(
                (lab, mount),
                &what,
                (way.file, &way.line(&names)),
                want,
                &bytes,
            );
            wrong.into_iter().for_each(|wrong| wrongs.note(wrong));
            way.end(mount);
            if device.is_none() {
                let _gone = Undo(format!("rm -f {log}"));
                if fs::metadata(&log).is_err() {
                    wrongs.note(format!("{what} was removed"));
                }
            }
            attempt(&format!("blockdev --setrw {log}"));
        }
    }
}

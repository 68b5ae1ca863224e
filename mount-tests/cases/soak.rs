//! Random commands from several writers at once, for as long as it is told: the
//! plain run takes a few dozen, `--long` hundreds. Whatever happens, each answer
//! is one of the interface's, the daemon lives, and nothing is left.

use std::thread::scope;

use nix::errno::Errno;

use crate::lab::case::{Case, both};
use crate::lab::mount::Mount;
use crate::lab::shell::attempt;
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[both("random_commands", random_commands).within(900)];

/// Writers at once, each with two disks of its own; names are shared.
const WRITERS: usize = 4;

/// What a command may be answered with: taken, gone, in use, running, refused.
const ALLOWED: &[Errno] = &[
    Errno::EEXIST,
    Errno::ENOENT,
    Errno::ENODEV,
    Errno::EBUSY,
    Errno::EINVAL,
    Errno::ENOTEMPTY,
    Errno::EINPROGRESS,
];

/// xorshift64*: the same seed, the same commands.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

fn rounds() -> u64 {
    if long() { 200 } else { 25 }
}

/// One command of `writer`; its errno, if it was refused.
fn command(lab: &Lab, mount: &Mount, dice: &mut Dice, writer: usize) -> Option<Errno> {
    let name = format!("s{}", dice.roll(3));
    let other = format!("s{}", dice.roll(3));
    let (one, two) = (lab.disk(2 * writer), lab.disk(2 * writer + 1));
    let length = 2048 << dice.roll(3);
    let table = format!("0 {length} mirror core 1 512 2 {one} 0 {two} 0 1 handle_errors");
    let written = match dice.roll(10) {
        0..=2 => mount.try_write("new", &format!("{name}: {table}")),
        3 => mount.try_write(&format!("{name}/ctl"), "suspend"),
        4 => mount.try_write(&format!("{name}/ctl"), "resume"),
        5 => mount.try_write(&format!("{name}/ctl"), "remove"),
        6 => mount.try_write(&format!("{name}/table"), &table),
        7 => return rename(mount, &name, &other),
        8 => {
            // Not `device`: reading a suspended one waits until it is resumed.
            let at = mount.at.display();
            attempt(&format!(
                "find {at}/{name} -type f -exec cat {{}} +; cat {at}/status {at}/health"
            ));
            return None;
        }
        _ if !lab.is_kernel() => mount.try_write(&format!("{name}/ctl"), "suspend noflush"),
        _ => {
            attempt(&format!(
                "dmsetup rename {name} {other}; dmsetup suspend {other}; dmsetup resume {other}"
            ));
            return None;
        }
    };
    written.err().map(|(errno, _)| errno)
}

fn rename(mount: &Mount, from: &str, to: &str) -> Option<Errno> {
    let renamed = std::fs::rename(mount.path(from), mount.path(to));
    renamed.err().map(|error| crate::lab::mount::errno(&error))
}

fn random_commands(lab: &Lab) {
    lab.disk(0);
    let mount = lab.mount();
    let seed = u64::from(std::process::id()) << 16 | 1;
    println!(
        "seed {seed}, {} rounds for each of {WRITERS} writers",
        rounds()
    );
    scope(|scope| {
        for writer in 0..WRITERS {
            let mount = &mount;
            scope.spawn(move || {
                let mut dice = Dice(seed + writer as u64 * 977);
                for round in 0..rounds() {
                    let errno = command(lab, mount, &mut dice, writer);
                    assert!(
                        errno.is_none_or(|errno| ALLOWED.contains(&errno)),
                        "seed {seed}, writer {writer}, round {round}: {errno:?}"
                    );
                }
            });
        }
    });
    assert!(
        mount.read("version").starts_with("mirrorfs "),
        "the daemon answers"
    );
    for name in mount
        .list("")
        .into_iter()
        .filter(|name| name.starts_with('s') && name.len() == 2)
    {
        mount.write(&format!("{name}/ctl"), "resume");
        mount.wait_in_sync(&name);
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

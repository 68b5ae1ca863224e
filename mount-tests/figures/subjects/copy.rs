//! A copy over disks that answer late: what mirrorfs chooses by itself beside the best table
//! that a sweep by hand finds, and beside `pvmove`.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::super::lvm::Lvm;
use super::super::place::{Mount, Setting, lacks_kernel, program, ram_disks, run};
use super::super::sample::{Figure, time, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "copy",
    lacks: lacks_kernel,
    measure,
};

/// Sectors that are copied.
const LENGTH: u64 = 256 << 11;

/// Sectors of a disk: LVM keeps something for itself.
const DISK: u64 = LENGTH + (8 << 11);

/// Milliseconds that each read and write takes longer.
const DELAYS: [u64; 5] = [0, 1, 5, 10, 50];

/// A table that somebody may write by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hand {
    /// Sectors of a region.
    region: u64,
    segments: u64,
    /// `kcopyd_subjob_size_kb`
    subjob: u64,
}

fn measure(setting: &Setting) -> Vec<Figure> {
    ram_disks(2, DISK);
    run("modprobe dm-delay");
    let mount = setting.mount("kernel", Path::new("/tmp"));
    let mut figures = Vec::new();
    let delays: &[u64] = if setting.short { &DELAYS[..2] } else { &DELAYS };
    for delay in delays {
        slow_disks(*delay);
        let best = sweep(&mount, setting, *delay);
        figures.extend(beside(&mount, setting, *delay, best));
        figures.extend(beside_pvmove(&mount, setting, *delay));
        run("dmsetup remove --retry slow0; dmsetup remove --retry slow1");
    }
    figures
}

/// Two disks of which each read and write takes so much longer.
fn slow_disks(delay: u64) {
    for number in 0..2 {
        let table = match delay {
            0 => format!("0 {DISK} linear /dev/ram{number} 0"),
            _ => format!("0 {DISK} delay /dev/ram{number} 0 {delay}"),
        };
        run(&format!("dmsetup create slow{number} --table '{table}'"));
    }
}

/// The best table of all that are tried.
fn sweep(mount: &Mount, setting: &Setting, delay: u64) -> Hand {
    let mut all = Vec::new();
    for region in [4, 8, 16].map(|mebibytes| mebibytes << 11) {
        for segments in [1, 4, 8, 16] {
            for subjob in [512, 1024] {
                all.push(Hand {
                    region,
                    segments,
                    subjob,
                });
            }
        }
    }
    // A region is no larger than what it is of.
    all.retain(|hand| hand.region * hand.segments <= LENGTH);
    if setting.short {
        all.truncate(2);
    }
    let mut tried: Vec<(f64, Hand)> = all
        .into_iter()
        .map(|hand| (by_hand(mount, hand), hand))
        .collect();
    tried.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (took, hand) in &tried {
        println!("{delay} ms: {took:.3} s {hand:?}");
    }
    // The first may have been lucky.
    let few = tried.iter().take(3);
    let again = few.map(|(_, hand)| {
        let mut rounds: Vec<f64> = (0..setting.rounds(3))
            .map(|_| by_hand(mount, *hand))
            .collect();
        rounds.sort_by(f64::total_cmp);
        (rounds[rounds.len() / 2], *hand)
    });
    let best = again.min_by(|one, other| one.0.total_cmp(&other.0));
    best.expect("some").1
}

/// Seconds that a copy takes with this table.
fn by_hand(mount: &Mount, hand: Hand) -> f64 {
    let Hand {
        region,
        segments,
        subjob,
    } = hand;
    let each = LENGTH / segments;
    let lines = (0..segments).map(|number| {
        let at = number * each;
        format!("{at} {each} mirror core 1 {region} 2 /dev/mapper/slow0 {at} /dev/mapper/slow1 {at} 1 handle_errors\n")
    });
    let lines: String = lines.collect();
    std::fs::write("/tmp/table", lines).expect("a table");
    let parameter = "/sys/module/dm_mod/parameters/kcopyd_subjob_size_kb";
    std::fs::write(parameter, subjob.to_string()).expect("a parameter");
    let took = time(|| {
        program(&["dmsetup", "create", "hand", "/tmp/table"]);
        until(Duration::from_secs(10), "hand", || {
            mount.path("hand").exists()
        });
        mount.in_sync("hand", Duration::from_secs(300));
    });
    std::fs::write(parameter, "512").expect("a parameter");
    program(&["dmsetup", "remove", "--retry", "hand"]);
    until(Duration::from_secs(10), "its end", || {
        !mount.path("hand").exists()
    });
    took
}

/// Seconds that it takes when nothing is asked for.
fn unasked(mount: &Mount) -> f64 {
    let took = time(|| {
        let line = format!("own: /dev/mapper/slow0 /dev/mapper/slow1 length={LENGTH}s force=yes\n");
        mount.write("new", &line);
        mount.in_sync("own", Duration::from_secs(300));
    });
    mount.write("own/ctl", "remove");
    took
}

fn beside(mount: &Mount, setting: &Setting, delay: u64, best: Hand) -> Vec<Figure> {
    let own = Hand {
        region: 2 << 11,
        segments: 1,
        subjob: 512,
    };
    let (mut ours, mut theirs, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds(5) {
        ours.push(unasked(mount));
        theirs.push(by_hand(mount, best));
        plain.push(by_hand(mount, own));
    }
    let name = format!("256 MiB, {delay} ms");
    let Hand {
        region,
        segments,
        subjob,
    } = best;
    let best = format!(
        "best table ({} MiB regions, {segments} segments, {subjob} KiB jobs)",
        region >> 11
    );
    let figure = |other: &str, theirs: &[f64], curve: &str| {
        let figure = Figure::beside(&name, "s", &ours, (other, theirs));
        figure.on(&format!("copying/{curve}"), delay as f64)
    };
    vec![
        figure(&best, &theirs, "best table"),
        figure("table as pvmove has it", &plain, "2 MiB regions"),
    ]
}

fn beside_pvmove(mount: &Mount, setting: &Setting, delay: u64) -> Option<Figure> {
    let lvm = Lvm::over(setting.lvm.as_deref()?, "/dev/mapper/slow");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..setting.rounds(3) {
        ours.push(unasked(mount));
        lvm.group(&["/dev/mapper/slow0", "/dev/mapper/slow1"]);
        lvm.run(&format!(
            "lvcreate -q -y -W n -Z n -L {}s -n lv vg /dev/mapper/slow0",
            LENGTH
        ));
        theirs.push(time(|| {
            lvm.run("pvmove -q -i 0 /dev/mapper/slow0 /dev/mapper/slow1")
        }));
        lvm.run("vgremove -q -y -f vg");
        lvm.run("pvremove -q -y /dev/mapper/slow0 /dev/mapper/slow1");
        sleep(Duration::from_millis(200));
    }
    let name = format!("256 MiB, {delay} ms");
    let figure = Figure::beside(&name, "s", &ours, ("pvmove", &theirs));
    Some(figure.on("copying/pvmove", delay as f64))
}

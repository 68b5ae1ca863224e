//! What programs notice of a copy: how long random reads and writes take with and without
//! one, at several settings, beside pvmove and md.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::lvm::Lvm;
use super::super::place::{Mount, Setting, attempt, lacks_kernel, ram_disks, run};
use super::super::sample::Figure;
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "share",
    lacks: |setting| match attempt("command -v fio").0 {
        0 => lacks_kernel(setting),
        _ => Some("no fio here"),
    },
    measure,
};

/// Sectors of a disk, and of what is copied of it.
const DISK: u64 = 512 << 11;
const LENGTH: u64 = 480 << 11;

/// As an SSD that is not near: each read and write takes so many milliseconds longer.
const DELAY: u64 = 2;

/// Latencies in seconds: the median and that of 99 of 100, of reads and of writes.
struct Noticed {
    reads: [f64; 2],
    writes: [f64; 2],
}

fn measure(setting: &Setting) -> Vec<Figure> {
    ram_disks(2, DISK);
    run("modprobe dm-delay");
    for number in 0..2 {
        run(&format!(
            "dmsetup create slow{number} --table '0 {DISK} delay /dev/ram{number} 0 {DELAY}'"
        ));
    }
    let seconds = if setting.short { 2 } else { 15 };
    let (alone, mut all) = own(setting, seconds);
    all.extend(pvmove(setting, seconds));
    all.extend(md(setting, seconds));
    run("dmsetup remove --retry slow0; dmsetup remove --retry slow1");
    all.iter()
        .flat_map(|(name, noticed)| figures(name, noticed, &alone))
        .collect()
}

/// A mirror that copies under these settings, and one that does not.
fn own(setting: &Setting, seconds: u64) -> (Noticed, Vec<(String, Noticed)>) {
    let mount = setting.mount("kernel", Path::new("/tmp"));
    let line =
        format!("m: /dev/mapper/slow0 /dev/mapper/slow1 length={LENGTH}s log=core force=yes");
    mount.write("new", &format!("{line} sync=no\n"));
    let alone = fio("/dev/mapper/m", seconds);
    mount.write("m/ctl", "remove");
    let settings = [
        ("as it is", "", "100"),
        ("limit=20M", " limit=20M", "100"),
        ("limit=5M", " limit=5M", "100"),
        ("throttle 50", "", "50"),
        ("throttle 10", "", "10"),
    ];
    let copies = settings.map(|(name, key, throttle)| {
        mount.write("throttle", throttle);
        mount.write("new", &format!("{line}{key}\n"));
        let noticed = copying(&mount, seconds);
        mount.write("m/ctl", "abort");
        mount.write("m/ctl", "remove");
        (format!("mirrorfs copies, {name}"), noticed)
    });
    mount.write("throttle", "100");
    (alone, copies.into())
}

/// With a copy all the time: one that has come to its end begins anew.
fn copying(mount: &Mount, seconds: u64) -> Noticed {
    let mut fio = begin("/dev/mapper/m", seconds);
    while fio.try_wait().expect("fio").is_none() {
        if mount.read("m/sync/state").trim() == "in_sync" {
            let _ = std::fs::write(mount.path("m/ctl"), "resync\n");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    end(fio)
}

fn pvmove(setting: &Setting, seconds: u64) -> Option<(String, Noticed)> {
    let lvm = Lvm::over(setting.lvm.as_deref()?, "/dev/mapper/slow");
    lvm.group(&["/dev/mapper/slow0", "/dev/mapper/slow1"]);
    lvm.run(&format!(
        "lvcreate -q -y -W n -Z n -L {LENGTH}s -n lv vg /dev/mapper/slow0"
    ));
    let mut fio = begin("/dev/mapper/vg-lv", seconds);
    let (mut from, mut to) = (0, 1);
    while fio.try_wait().expect("fio").is_none() {
        lvm.run(&format!(
            "pvmove -q -i 0 /dev/mapper/slow{from} /dev/mapper/slow{to}"
        ));
        (from, to) = (to, from);
    }
    let noticed = end(fio);
    lvm.run("vgremove -q -y -f vg");
    lvm.run("pvremove -q -y /dev/mapper/slow0 /dev/mapper/slow1");
    Some(("pvmove copies".into(), noticed))
}

/// RAID 1 without metadata, whose copy is held down to what is said.
fn md(setting: &Setting, seconds: u64) -> Vec<(String, Noticed)> {
    let Some(mdadm) = setting.lvm.as_ref().map(|folder| folder.join("sbin/mdadm")) else {
        return Vec::new();
    };
    if attempt("modprobe raid1").0 != 0 {
        return Vec::new();
    }
    let mdadm = mdadm.display();
    let speeds = [
        ("sync_speed_max 20480", 20_480),
        ("sync_speed_max 5120", 5120),
    ];
    let measured = speeds.into_iter().map(|(name, kibibytes)| {
        run(&format!("echo {kibibytes} >/proc/sys/dev/raid/speed_limit_max"));
        run(&format!(
            "{mdadm} --build /dev/md7 --run --force -l 1 -n 2 /dev/mapper/slow0 /dev/mapper/slow1 2>&1"
        ));
        let noticed = fio("/dev/md7", seconds);
        run(&format!("{mdadm} --stop /dev/md7 2>&1"));
        (format!("md copies, {name}"), noticed)
    });
    measured.collect()
}

fn fio(device: &str, seconds: u64) -> Noticed {
    end(begin(device, seconds))
}

fn begin(device: &str, seconds: u64) -> Child {
    let size = LENGTH * 512;
    let words = [
        "--name=programs".to_owned(),
        format!("--filename={device}"),
        format!("--size={size}"),
        "--direct=1 --rw=randrw --bs=4k --iodepth=4 --ioengine=libaio".to_owned(),
        format!("--runtime={seconds} --time_based --output-format=json"),
    ];
    let words = words.iter().flat_map(|words| words.split(' '));
    let mut command = Command::new("fio");
    command
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("fio")
}

fn end(fio: Child) -> Noticed {
    let text = fio.wait_with_output().expect("its end").stdout;
    let text = String::from_utf8_lossy(&text);
    let json = text.get(text.find('{').unwrap_or(0)..).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(json).expect("fio's JSON");
    let of = |way: &str| {
        let percentile = &json["jobs"][0][way]["clat_ns"]["percentile"];
        ["50.000000", "99.000000"].map(|at| percentile[at].as_f64().unwrap_or(f64::NAN) / 1e9)
    };
    Noticed {
        reads: of("read"),
        writes: of("write"),
    }
}

fn figures(name: &str, noticed: &Noticed, alone: &Noticed) -> Vec<Figure> {
    let pairs = [
        ("reads", &noticed.reads, &alone.reads),
        ("writes", &noticed.writes, &alone.writes),
    ];
    let figure = |(what, with, without): (&str, &[f64; 2], &[f64; 2])| {
        let at = |number: usize, of: &str| {
            let name = format!("{name}: {of} of {what}");
            Figure::beside(
                &name,
                "s",
                &with[number..=number],
                ("without a copy", &without[number..=number]),
            )
        };
        [at(0, "median"), at(1, "99 %")]
    };
    pairs.into_iter().flat_map(figure).collect()
}

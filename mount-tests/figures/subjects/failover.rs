//! How long a writer waits at most when a leg fails under it, beside LVM with dmeventd, on
//! the same kernel and the same disks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::super::lvm::Lvm;
use super::super::place::{Mount, Setting, lacks_kernel, ram_disks, run};
use super::super::sample::{Figure, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "failover",
    lacks: |setting| match setting.lvm {
        Some(_) => lacks_kernel(setting),
        None => Some("no unpacked LVM to measure beside"),
    },
    measure,
};

const SECTORS: u64 = 131_072;

fn measure(setting: &Setting) -> Vec<Figure> {
    ram_disks(2, SECTORS);
    for number in 0..2 {
        run(&format!(
            "dmsetup create pv{number} --table '0 {SECTORS} linear /dev/ram{number} 0'"
        ));
    }
    let rounds = setting.rounds(5);
    let ours = {
        let mount = setting.mount("kernel", Path::new("/tmp"));
        (0..rounds).map(|_| mirrorfs(&mount)).collect::<Vec<f64>>()
    };
    let lvm = Lvm::over(setting.lvm.as_deref().expect("it"), "/dev/mapper/pv");
    let theirs: Vec<f64> = (0..rounds).map(|_| dmeventd(&lvm)).collect();
    run("dmsetup remove --retry pv0; dmsetup remove --retry pv1");
    let name = "longest wait of a writer when a leg fails";
    vec![Figure::beside(
        name,
        "s",
        &ours,
        ("LVM with dmeventd", &theirs),
    )]
}

fn mirrorfs(mount: &Mount) -> f64 {
    mount.write(
        "new",
        "m: 0 65536 mirror core 1 1024 2 /dev/mapper/pv0 0 /dev/mapper/pv1 0 1 handle_errors\n",
    );
    mount.in_sync("m", Duration::from_secs(60));
    let gap = gap("/dev/mapper/m");
    assert!(mount.read("m/health").starts_with("degraded"));
    mount.write("m/ctl", "remove");
    whole();
    gap
}

fn dmeventd(lvm: &Lvm) -> f64 {
    lvm.group(&["/dev/mapper/pv0", "/dev/mapper/pv1"]);
    lvm.run("lvcreate -q -y -W n --type mirror -m 1 --mirrorlog core -L 32M -n lv vg");
    until(Duration::from_secs(60), "in sync", || {
        let status = run("dmsetup status vg-lv");
        let ratio = status
            .split(' ')
            .find_map(|word| word.split_once('/'))
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        ratio.is_some_and(|(done, all)| done == all)
    });
    let gap = gap("/dev/vg/lv");
    whole();
    lvm.run("vgremove -q -y -f vg || true");
    run("dmsetup remove --retry -f vg-lv 2>/dev/null || true");
    gap
}

/// Seconds of the longest wait of one who writes for a while, with the second disk failing
/// under him.
fn gap(device: &str) -> f64 {
    let writer = concat!(env!("CARGO_MANIFEST_DIR"), "/mount-tests/guest/writer");
    let mut command = Command::new("python3");
    let command = command
        .args([writer, "gap", device, "12"])
        .stdout(Stdio::piped());
    let child = command.spawn().expect("a writer");
    sleep(Duration::from_secs(3));
    run(&format!(
        "dmsetup reload pv1 --table '0 {SECTORS} error' && dmsetup resume --noudevsync pv1"
    ));
    let text = child.wait_with_output().expect("its end").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let millis = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    millis.unwrap_or_else(|| panic!("the writer says: {text}")) / 1000.0
}

fn whole() {
    run(&format!(
        "dmsetup reload pv1 --table '0 {SECTORS} linear /dev/ram1 0' && dmsetup resume pv1"
    ));
}

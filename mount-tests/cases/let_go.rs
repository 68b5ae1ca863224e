//! Disks that a mirror no longer uses are known for what is on them now: to udev, by
//! UUID, and to the kernel, by partitions. The mirror wrote to them below both.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::failover::rig::NO_IO;
use super::kills::crashable::CrashableDaemon;
use super::records::lasting;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::dm::dm;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("by_uuid_after_the_cut_over", NO_IO, by_uuid),
    kernel_only("by_each_way", NO_IO, by_each_way),
    kernel_only("when_closed_at_last", NO_IO, deferred),
    kernel_only("of_another_program", NO_IO, of_another_program),
    kernel_only("killed_while_it_removes", NO_IO, killed),
    kernel_only("of_a_leg_that_failed", NO_IO, of_a_failed_leg),
    kernel_only("partitions_of_the_new_disk", NO_IO, partitions),
];

const UUID: &str = "3f0c3ad2-5f0e-4a6b-9d3e-6a5f7b1c2d3e";
const OTHER: &str = "7a1e6c40-0d52-4b0c-8f55-9d1d4d1b2c3f";

/// Three disks of 32 MiB that udev knows, as disks of a machine are.
struct Disks {
    paths: Vec<String>,
    _undo: Undo,
}

impl Disks {
    fn new() -> Disks {
        output(
            "modprobe scsi_debug add_host=3 per_host_store=1 dev_size_mb=32 delay=0; udevadm settle",
        );
        let undo = Undo(
            "for i in $(seq 50); do udevadm settle; modprobe -r scsi_debug && break; sleep 0.2; done"
                .into(),
        );
        let found = output("grep -l scsi_debug /sys/block/sd*/device/model | cut -d/ -f4");
        let paths: Vec<String> = found.lines().map(|name| format!("/dev/{name}")).collect();
        assert_eq!(paths.len(), 3, "{paths:?}");
        Disks { paths, _undo: undo }
    }

    /// The first has a file system and is copied to the second.
    fn mirrored(&self, mount: &Mount, uuid: &str) {
        let [one, other, _] = [0, 1, 2].map(|number| &self.paths[number]);
        output(&format!("mkfs.ext4 -q -F -U {uuid} {one}"));
        mount.write("new", &format!("m: {one} {other} log=core force=yes"));
        mount.wait_in_sync("m");
    }

    fn settled(&self) {
        output("udevadm settle");
    }

    /// What udev has read on a disk.
    fn known(&self, number: usize) -> String {
        let path = &self.paths[number];
        let all = output(&format!("udevadm info --query=property --name={path}"));
        let mut lines = all.lines();
        let line = lines.find_map(|line| line.strip_prefix("ID_FS_UUID="));
        line.unwrap_or("nothing").into()
    }

    fn wait_known(&self, number: usize, what: &str, how: &str) {
        self.settled();
        let path = &self.paths[number];
        wait_for(&format!("{path} known as {what} after {how}"), || {
            self.known(number) == what
        });
    }
}

/// The link by which a file system is mounted.
fn leads_to(uuid: &str) -> String {
    attempt(&format!("readlink -f /dev/disk/by-uuid/{uuid}"))
        .1
        .trim()
        .into()
}

fn by_uuid(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lab.mount());
    disks.mirrored(&mount, UUID);
    mount.write("m/ctl", "finish");
    let told = mount.read("events");
    let told = told.lines().find(|line| line.contains(" m finished "));
    let told = told.expect("an event");
    let right = told.contains("UUID") && told.contains(&format!("wipefs -a {}", disks.paths[0]));
    assert!(right, "{told}");
    mount.write("m/ctl", "remove");
    output(&format!("wipefs -q -a {}", disks.paths[0]));
    disks.settled();
    wait_for("the link of the new disk", || {
        leads_to(UUID) == disks.paths[1]
    });
    let at = mount.scratch("at");
    output(&format!(
        "mkdir {at} && mount UUID={UUID} {at} && umount {at}"
    ));
}

/// What is written through the mirror is unknown to udev until the leg is let go.
fn by_each_way(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lab.mount());
    let replace = format!("replace 1 {}", disks.paths[2]);
    let sectors = 32 * MIB / 512;
    let linear = format!("0 {sectors} linear {} 0", disks.paths[0]);
    let ways: [(&str, &str, &[usize]); 6] = [
        ("m/ctl", "finish", &[0]),
        ("m/ctl", "abort", &[1]),
        ("m/ctl", "drop 0", &[0]),
        ("m/ctl", &replace, &[1]),
        ("m/table", &linear, &[1]),
        ("m/ctl", "remove", &[0, 1]),
    ];
    for (file, line, gone) in ways {
        disks.mirrored(&mount, UUID);
        output(&format!("mkfs.ext4 -q -F -U {OTHER} /dev/mapper/m"));
        mount.wait_in_sync("m");
        disks.settled();
        mount.write(file, line);
        for number in gone {
            disks.wait_known(*number, OTHER, line);
        }
        if line != "remove" {
            mount.write("m/ctl", "remove");
        }
        disks.settled();
    }
}

fn deferred(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lab.mount());
    disks.mirrored(&mount, UUID);
    let open = fs::File::open("/dev/mapper/m").expect("the device");
    mount.write("m/ctl", "remove deferred");
    disks.settled();
    drop(open);
    disks.wait_known(1, UUID, "the last close");
}

fn of_another_program(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lab.mount());
    disks.mirrored(&mount, UUID);
    dm("remove --retry m");
    disks.wait_known(1, UUID, "dmsetup remove");
}

/// Killed when the device is gone and nobody was told: the next mount does it.
fn killed(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lasting(lab));
    output(&format!("mkfs.ext4 -q -F -U {UUID} {}", disks.paths[0]));
    let [one, other, _] = [0, 1, 2].map(|number| &disks.paths[number]);
    let line = format!("m: {one} {other} log=core");
    let mut crashable = CrashableDaemon::new(&mount.state(), &line);
    let stop = Some(("Deps", 1));
    assert_eq!(crashable.work("ctl", "remove", stop), "there");
    assert_eq!(attempt("dmsetup info m >/dev/null 2>&1").0, 1);
    crashable.kill();
    disks.settled();
    assert_eq!(disks.known(1), "nothing");
    mount.mount("");
    disks.wait_known(1, UUID, "the next mount");
}

/// What the kernel tells udev, a line each; it ends when it is dropped.
struct Monitor {
    child: Child,
    file: String,
}

impl Monitor {
    fn new(file: String) -> Monitor {
        let out = fs::File::create(&file).expect("a file");
        let child = Command::new("udevadm")
            .args(["monitor", "--kernel", "--subsystem-match=block"])
            .stdout(Stdio::from(out))
            .spawn()
            .expect("a monitor");
        let monitor = Monitor { child, file };
        wait_for("it listens", || monitor.text().contains("KERNEL"));
        monitor
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).expect("what it wrote")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of_a_failed_leg(lab: &Lab) {
    let leg = lab.fragile(1, 32768);
    let mount = lab.mount();
    let one = lab.zeroed(0);
    let table = format!(
        "0 32768 mirror core 2 128 nosync 2 {one} 0 {} 0 1 handle_errors",
        leg.path
    );
    mount.write("new", &format!("m: {table}"));
    mount.wait_in_sync("m");
    leg.fail();
    output("udevadm settle");
    let name = fs::canonicalize(&leg.path).expect("a node");
    let name = name
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let monitor = Monitor::new(mount.scratch("monitor"));
    output("dd if=/dev/zero of=/dev/mapper/m bs=4k count=1 oflag=direct 2>/dev/null");
    wait_longer(20, "an event of the failed leg", || {
        let text = monitor.text();
        text.lines()
            .any(|line| line.contains("change") && line.contains(&format!("/{name} ")))
    });
    drop(monitor);
    mount.write("m/ctl", "remove");
}

/// A partition table of one partition, by hand.
fn partition(disk: &str) {
    let mut file = OpenOptions::new().write(true).open(disk).expect(disk);
    let mut entry = vec![0, 0, 0, 0, 0x83, 0, 0, 0];
    entry.extend([2048_u32, 8192].map(u32::to_le_bytes).concat());
    file.write_all_at(&entry, 446).expect("a partition");
    file.write_all_at(&[0x55, 0xAA], 510).expect("its end");
    file.flush().expect("on the disk");
    file.sync_all().expect("on the disk");
    drop(file);
    output(&format!(
        "udevadm settle; blockdev --rereadpt {disk}; udevadm settle"
    ));
}

fn partitions(lab: &Lab) {
    let (disks, mount) = (Disks::new(), lab.mount());
    let [one, other, _] = [0, 1, 2].map(|number| &disks.paths[number]);
    partition(one);
    let part = |disk: &str| {
        let name = disk.trim_start_matches("/dev/");
        Path::new(&format!("/sys/block/{name}/{name}1")).exists()
    };
    assert!(part(one) && !part(other));
    output(&format!(
        "mkfs.ext4 -q -F -U {UUID} {one}1 && udevadm settle"
    ));
    mount.write("new", &format!("m: {one} {other} log=core"));
    mount.wait_in_sync("m");
    mount.write("m/ctl", "finish");
    mount.write("m/ctl", "remove");
    // When the verb is done they are there, without a word of anybody.
    assert!(part(other), "no partition of {other}");
    disks.settled();
    output(&format!("wipefs -q -a {one}1"));
    disks.settled();
    wait_for("the link of the new partition", || {
        leads_to(UUID) == format!("{other}1")
    });
}

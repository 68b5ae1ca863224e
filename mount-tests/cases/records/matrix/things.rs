//! What a leg can be, and what can be done to it.

use std::cell::RefCell;
use std::fs;

use mirrorfs::engine::Kind;

use super::{Change, Outcome};
use crate::lab::Lab;
use crate::lab::disks::{MIB, assert_equal, assert_equal_at};
use crate::lab::shell::{Undo, attempt, output};

/// Bytes of a disk, and of a file behind a loop device.
const SIZE: u64 = 24 * MIB;

/// Bytes of the part of a file that a loop device shows.
const WINDOW: u64 = 20 * MIB;

/// Where the part of a file begins that a loop device shows.
const OFFSET: u64 = MIB;

/// A kind of leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    Disk,
    Gpt,
    Mbr,
    Partition,
    Mapping,
    Loop,
    Window,
    File,
    /// Disks that all report the same serial number.
    Docks,
}

/// A source and a target of one kind.
pub struct Pair {
    thing: Thing,
    folder: String,
    /// The numbers of the hosts of the disks: source, target, spare.
    hosts: Vec<String>,
    /// How the legs are called now.
    names: RefCell<[String; 2]>,
    _undo: Vec<Undo>,
}

impl Thing {
    /// What is to come of a change; none where there is no such.
    pub fn expected(self, change: Change, engine: Kind) -> Option<Outcome> {
        use Change::*;
        use Outcome::{Failed, Started};
        Some(match (self, change) {
            (_, Same) => Started,
            (Thing::File, Renamed | Missing) => Failed("No such file"),
            (Thing::File, Swapped) => Failed("now another file"),
            // It makes no loop devices, and whole files are as good.
            (Thing::Window, Renamed) if engine == Kind::Embedded => Failed("`losetup` makes one"),
            (_, Renamed | Swapped) => Started,
            (Thing::Loop | Thing::Window, Missing) => Failed("No such file"),
            (_, Missing) => Failed("no device here is"),
            (Thing::File | Thing::Loop | Thing::Window, Replaced) => Failed("now another file"),
            (_, Replaced) => Failed("no device here is"),
            (Thing::Gpt | Thing::Mbr, Used) => Failed("differ at byte"),
            (_, Used) => Failed("newdata"),
            (_, Mounted) => Failed("last mounted"),
            (Thing::Mapping | Thing::Partition, Grown) => Started,
            (Thing::File | Thing::Loop | Thing::Window, Grown) => Failed("has changed size"),
            (Thing::Mapping, Blocks4K) => Failed("logical blocks of 4096 bytes now"),
            (_, Grown | Blocks4K) => return None,
        })
    }

    /// A pair of it, with a file system on the source.
    pub fn make(self, lab: &Lab) -> Pair {
        let mut pair = Pair {
            thing: self,
            folder: lab.folder().display().to_string(),
            hosts: Vec::new(),
            names: RefCell::default(),
            _undo: Vec::new(),
        };
        match self {
            Thing::Disk | Thing::Gpt | Thing::Mbr | Thing::Partition | Thing::Docks => pair.plug(),
            Thing::Mapping | Thing::Loop | Thing::Window | Thing::File => pair.make_files(),
        }
        let folder = &pair.folder;
        let rest = Undo(format!("rm -rf {folder}/file* {folder}/at"));
        pair._undo.push(rest);
        let source = pair.file_system(0);
        output(&format!(
            "mkfs.ext4 -q -F -b 1024 -L olddata {source}; sync"
        ));
        pair.settle();
        pair
    }
}

impl Pair {
    /// The legs as they are called now.
    pub fn legs(&self) -> [String; 2] {
        match self.thing {
            Thing::Disk | Thing::Gpt | Thing::Mbr | Thing::Docks => [self.disk(0), self.disk(1)],
            Thing::Partition => [self.disk(0) + "1", self.disk(1) + "1"],
            _ => self.names.borrow().clone(),
        }
    }

    /// Panics where the legs are not equal, as far as they were copied.
    pub fn assert_equal(&self) {
        let [source, target] = self.legs();
        match self.thing {
            Thing::Partition => assert_equal(&source, &target, 8 * MIB),
            Thing::Window => {
                let [source, target] = [0, 1].map(|leg| self.file(leg));
                assert_equal_at((&source, OFFSET), (&target, OFFSET), WINDOW);
            }
            _ => assert_equal(&source, &target, SIZE),
        }
    }

    /// What is on everything that the legs are made of.
    pub fn sums(&self) -> [String; 2] {
        let sum = |path: &str| {
            // Not every file system has direct I/O, and of a device the cache may be stale.
            let direct = if self.hosts.is_empty() {
                ""
            } else {
                "iflag=direct"
            };
            attempt(&format!("dd if={path} bs=1M {direct} status=none | md5sum")).1
        };
        if self.hosts.is_empty() {
            [sum(&self.file(0)), sum(&self.file(1))]
        } else {
            [sum(&self.disk(0)), sum(&self.disk(1))]
        }
    }

    /// Do something to the target, while nothing uses it.
    pub fn change(&self, change: Change) {
        match change {
            Change::Used => {
                let target = self.file_system(1);
                output(&format!(
                    "mkfs.ext4 -q -F -b 1024 -L newdata {target}; sync"
                ));
            }
            Change::Mounted => {
                let (target, at) = (self.file_system(1), format!("{}/at", self.folder));
                // The time that it keeps is in seconds.
                output(&format!(
                    "mkdir -p {at}; sleep 1; mount {target} {at} && umount {at}; sync"
                ));
            }
            _ if self.hosts.is_empty() => self.change_file(change),
            _ => self.change_disk(change),
        }
        self.settle();
    }

    fn settle(&self) {
        attempt("udevadm settle --timeout=10");
    }

    /// Where the file system of a leg is.
    fn file_system(&self, leg: usize) -> String {
        let part = if matches!(self.thing, Thing::Gpt | Thing::Mbr) {
            "1"
        } else {
            ""
        };
        let path = self.legs()[leg].clone();
        if !part.is_empty() {
            output(&format!(
                "udevadm settle; blockdev --rereadpt {path}; udevadm settle"
            ));
        }
        path + part
    }

    fn file(&self, leg: usize) -> String {
        format!("{}/file{leg}", self.folder)
    }

    // --- Disks, each the one of a host

    fn plug(&mut self) {
        let same = if self.thing == Thing::Docks {
            "vpd_use_hostno=0"
        } else {
            ""
        };
        let size = SIZE / MIB;
        output(&format!(
            "modprobe scsi_debug add_host=3 per_host_store=1 dev_size_mb={size} delay=0 {same}; udevadm settle"
        ));
        self._undo.push(Undo(
            "for i in $(seq 50); do udevadm settle; modprobe -r scsi_debug && break; sleep 0.2; done".into(),
        ));
        let found = output(
            "cd /sys/bus/pseudo/drivers/scsi_debug && ls -d adapter*/host* | sed 's|.*/host||' | sort -n",
        );
        self.hosts = found.lines().map(Into::into).collect();
        let table = match self.thing {
            Thing::Gpt | Thing::Partition => "label: gpt\\n2048 16384\\n",
            Thing::Mbr => "label: dos\\n2048 16384\\n",
            _ => "",
        };
        let disks = if self.thing == Thing::Partition {
            0..2
        } else {
            0..1
        };
        for host in disks.filter(|_| !table.is_empty()) {
            let disk = self.disk(host);
            output(&format!(
                "printf '{table}' | sfdisk -q {disk}; udevadm settle"
            ));
        }
    }

    /// The disk of a host.
    fn disk(&self, host: usize) -> String {
        let host = &self.hosts[host];
        let found = attempt(&format!(
            "ls /sys/class/scsi_host/host{host}/device/target*/*/block"
        ));
        let name = found.1.lines().next().unwrap_or("none").to_string();
        format!("/dev/{name}")
    }

    fn pull(&self, host: usize) {
        let name = self.disk(host).replace("/dev/", "");
        output(&format!(
            "echo 1 >/sys/block/{name}/device/delete; udevadm settle"
        ));
    }

    fn put_in(&self, host: usize) {
        let host = &self.hosts[host];
        output(&format!(
            "echo '- - -' >/sys/class/scsi_host/host{host}/scan; udevadm settle"
        ));
    }

    fn change_disk(&self, change: Change) {
        let again = |order: &[usize]| {
            for host in 0..3 {
                if attempt(&format!("test -b {}", self.disk(host))).0 == 0 {
                    self.pull(host);
                }
            }
            order.iter().for_each(|host| self.put_in(*host));
        };
        match change {
            Change::Renamed => again(&[2, 0, 1]),
            Change::Swapped => again(&[1, 0]),
            Change::Missing => again(&[0]),
            Change::Replaced => again(&[0, 2]),
            Change::Grown => {
                let disk = self.disk(1);
                output(&format!(
                    "echo '- 20480' | sfdisk -q --no-reread -N 1 {disk}; blockdev --rereadpt {disk}"
                ));
            }
            _ => again(&[0, 1]),
        }
    }

    // --- Files, and what is made of them

    fn make_files(&mut self) {
        for leg in 0..2 {
            let file = self.file(leg);
            output(&format!("head -c {SIZE} /dev/urandom >{file}"));
        }
        self.set_up([0, 1]);
        let folder = &self.folder;
        self._undo.push(Undo(format!(
            "dmsetup remove --retry t0; dmsetup remove --retry t1; for name in t0 t1 u0 u1; do dmsetup remove --retry $name; done 2>/dev/null; \
             losetup -nO NAME,BACK-FILE | grep {folder} | cut -d' ' -f1 | xargs -r losetup -d"
        )));
    }

    /// Make the devices of the files, in this order.
    fn set_up(&self, order: [usize; 2]) {
        let mut names = [0, 1].map(|leg| self.file(leg));
        for leg in order {
            let file = self.file(leg);
            names[leg] = match self.thing {
                Thing::Loop => attach(&file),
                Thing::Window => attach(&format!("-o {OFFSET} --sizelimit {} {file}", WINDOW)),
                Thing::Mapping => {
                    map(&format!("t{leg}"), &uuid(leg), &attach(&file), SIZE);
                    format!("/dev/mapper/t{leg}")
                }
                _ => file,
            };
        }
        *self.names.borrow_mut() = names;
    }

    /// Take the devices of the files away, as a reboot does.
    fn take_down(&self) {
        let folder = &self.folder;
        if self.thing == Thing::Mapping {
            output("dmsetup remove --retry t0; dmsetup remove --retry t1");
        }
        output(&format!(
            "for loop in $(losetup -nO NAME,BACK-FILE | grep {folder}/file | cut -d' ' -f1); do losetup -d $loop; done"
        ));
    }

    fn change_file(&self, change: Change) {
        let [source, target] = [0, 1].map(|leg| self.file(leg));
        if self.thing == Thing::File {
            match change {
                Change::Renamed => output(&format!("mv {target} {target}.new")),
                Change::Swapped => output(&format!(
                    "mv {source} {source}.x; mv {target} {source}; mv {source}.x {target}"
                )),
                Change::Missing => output(&format!("rm {target}")),
                Change::Replaced => output(&format!(
                    "cp {target} {target}.new; mv {target}.new {target}"
                )),
                Change::Grown => output(&format!("truncate -s +1M {target}")),
                _ => String::new(),
            };
            return;
        }
        self.take_down();
        match (self.thing, change) {
            (Thing::Mapping, Change::Renamed) => {
                map("t0", &uuid(0), &attach(&source), SIZE);
                map("u1", &uuid(1), &attach(&target), SIZE);
                *self.names.borrow_mut() = ["/dev/mapper/t0".into(), "/dev/mapper/u1".into()];
            }
            (Thing::Mapping, Change::Swapped) => {
                map("t1", &uuid(0), &attach(&source), SIZE);
                map("t0", &uuid(1), &attach(&target), SIZE);
                *self.names.borrow_mut() = ["/dev/mapper/t1".into(), "/dev/mapper/t0".into()];
            }
            (Thing::Mapping, Change::Missing) => map("t0", &uuid(0), &attach(&source), SIZE),
            (Thing::Mapping, Change::Replaced) => {
                map("t0", &uuid(0), &attach(&source), SIZE);
                map("t1", &uuid(7), &attach(&target), SIZE);
            }
            (Thing::Mapping, Change::Grown) => {
                output(&format!("truncate -s +1M {target}"));
                map("t0", &uuid(0), &attach(&source), SIZE);
                map("t1", &uuid(1), &attach(&target), SIZE + MIB);
            }
            (Thing::Mapping, Change::Blocks4K) => {
                map("t0", &uuid(0), &attach(&source), SIZE);
                map("t1", &uuid(1), &attach(&format!("-b 4096 {target}")), SIZE);
            }
            // Whatever number a script at boot gives them.
            (_, Change::Swapped) => self.set_up([1, 0]),
            // By nobody: mirrorfs makes them again.
            (_, Change::Renamed) => *self.names.borrow_mut() = [source, target],
            (_, Change::Missing) => drop(fs::remove_file(target)),
            (_, Change::Replaced) => {
                output(&format!(
                    "cp {target} {target}.new; mv {target}.new {target}"
                ));
                self.set_up([0, 1]);
            }
            (_, Change::Grown) => {
                output(&format!("truncate -s +1M {target}"));
                self.set_up([0, 1]);
            }
            _ => self.set_up([0, 1]),
        }
    }
}

/// A loop device as losetup(8) makes it from these words.
fn attach(words: &str) -> String {
    output(&format!("losetup --show -f {words}")).trim().into()
}

fn map(name: &str, uuid: &str, device: &str, size: u64) {
    let sectors = size / 512;
    output(&format!(
        "dmsetup create {name} -u {uuid} --table '0 {sectors} linear {device} 0'"
    ));
}

fn uuid(number: usize) -> String {
    // As LVM's, without what is behind those of its hidden ones.
    format!("LVM-{number:064}")
}

//! What must go on while something hangs, each with the time that it took.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use libc::O_DIRECT;

use crate::lab::Lab;
use crate::lab::dm::{create, switch};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

/// The most that anything may take that the hung thing does not own, and what reading all
/// files takes in a guest that has a processor for itself. One that has not is slower by
/// as much with everything.
const SOON: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_millis(300);

/// Sectors of each mirror.
pub const SECTORS: u64 = 8192;

/// The columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// From a write to a mirror whose leg has failed to that write's end.
    Failure,
    /// All files of a mirror.
    Read,
    /// `suspend` and `resume`.
    Verb,
    /// The names in the root.
    Ls,
    /// A new mirror.
    New,
    /// The unmount, to the return of umount(8).
    Unmount,
}

use Column::{Failure, Ls, New, Read, Unmount, Verb};

const COLUMNS: [Column; 6] = [Failure, Read, Verb, Ls, New, Unmount];

/// A bystander, and mirrors whose legs fail when they are told to.
pub struct Bench<'a> {
    lab: &'a Lab,
    /// The mount that all of them are of.
    pub mount: Mount,
    /// How many can fail, and have.
    count: usize,
    failed: usize,
    /// The most that anything may take on this machine now.
    most: Duration,
}

impl<'a> Bench<'a> {
    /// With a mount that the caller has made, and so many mirrors that can fail.
    pub fn on(lab: &'a Lab, mount: Mount, count: usize) -> Bench<'a> {
        let (one, other) = (lab.disk(2), lab.disk(3));
        mount.write(
            "new",
            &format!("bystander: 0 {SECTORS} mirror core 2 1024 nosync 2 {one} 0 {other} 0"),
        );
        for number in 0..count {
            let at = number as u64 * SECTORS;
            for (name, disk) in [("good", 7), ("weak", 8)] {
                let table = format!("0 {SECTORS} linear {} {at}", lab.disk(disk));
                create(&format!("{name}{number}"), "", &table);
            }
            let legs = format!("/dev/mapper/good{number} 0 /dev/mapper/weak{number} 0");
            mount.write(
                "new",
                &format!(
                    "fails{number}: 0 {SECTORS} mirror core 2 1024 nosync 2 {legs} 1 handle_errors"
                ),
            );
        }
        let quiet = timed(|| read_all(&mount.path("bystander")));
        let most = SOON.mul_f64((quiet.as_secs_f64() / QUIET.as_secs_f64()).clamp(1.0, 3.0));
        Bench {
            lab,
            mount,
            count,
            failed: 0,
            most,
        }
    }

    /// With a mount of its own.
    pub fn new(lab: &'a Lab) -> Bench<'a> {
        Bench::on(lab, lab.mount(), 1)
    }

    /// Let a leg of the next mirror fail, write to it, and wait for that.
    pub fn fail_one(&mut self) -> Duration {
        let number = self.failed;
        self.failed += 1;
        let weak = format!("weak{number}");
        let broken = format!("0 {SECTORS} error");
        // Whoever waits for udev may wait for ever.
        switch(&weak, &broken);
        let name = format!("fails{number}");
        let begun = Instant::now();
        write(Path::new(&format!("/dev/mapper/{name}")));
        let waited = begun.elapsed();
        wait_for("the leg is gone", || {
            self.mount
                .read("events")
                .contains(&format!("{name} dropped"))
        });
        waited
    }

    /// Do all of it, and print a line of the table. `owned` are the columns that the hung
    /// thing itself has.
    pub fn measure(&mut self, row: &str, owned: &[Column]) {
        let mut cells = Vec::new();
        for column in COLUMNS {
            let took = match column {
                _ if owned.contains(&column) && column != Unmount => None,
                Failure => Some(self.fail_one()),
                Read => Some(timed(|| read_all(&self.mount.path("bystander")))),
                Verb => Some(timed(|| {
                    self.mount.write("bystander/ctl", "suspend");
                    self.mount.write("bystander/ctl", "resume");
                })),
                Ls => Some(timed(|| {
                    assert!(self.mount.list("").contains(&"bystander".to_string()));
                })),
                New => Some(timed(|| self.make_another())),
                Unmount => Some(timed(|| {
                    let at = self.mount.at.display();
                    // A caller who hangs has a file open.
                    attempt(&format!("umount {at} 2>/dev/null || umount -l {at}"));
                })),
            };
            cells.push((column, took));
        }
        let shown: Vec<String> = cells.iter().map(|(_, took)| shown(*took)).collect();
        println!("slow|{row}|{}", shown.join("|"));
        for (column, took) in cells {
            let late = took.is_some_and(|took| took > self.most);
            assert!(
                !late,
                "{row}: {column:?} took {took:?}, not {:?}",
                self.most
            );
        }
    }

    fn make_another(&self) {
        let (one, other) = (self.lab.disk(9), self.lab.disk(10));
        self.mount.write(
            "new",
            &format!("another: 0 {SECTORS} mirror core 2 1024 nosync 2 {one} 0 {other} 0"),
        );
    }
}

impl Drop for Bench<'_> {
    /// The mirrors outlive the mount, and their disks are wanted.
    fn drop(&mut self) {
        let mut names = vec!["bystander".to_string(), "another".to_string()];
        for number in 0..self.count {
            names.push(format!("fails{number}"));
            names.extend(["good", "weak"].map(|name| format!("{name}{number}")));
        }
        for name in names {
            attempt(&format!("dmsetup remove --retry {name}"));
        }
    }
}

fn shown(took: Option<Duration>) -> String {
    took.map_or_else(|| "-".into(), |took| format!("{} ms", took.as_millis()))
}

/// A file system for the state directory of a mount, on the disk of this number, that can
/// be frozen.
pub fn state_folder(lab: &Lab, disk: usize) -> (String, Undo) {
    let at = lab.path("state.fs").display().to_string();
    let disk = lab.disk(disk);
    output(&format!(
        "mkfs.ext4 -q -F {disk} && mkdir {at} && mount {disk} {at}"
    ));
    let undo = Undo(format!("fsfreeze -u {at}; umount -l {at}; rmdir {at}"));
    (at, undo)
}

/// The device whose I/O can be made to wait.
pub const BELOW: &str = "/dev/mapper/below";

/// It, until what is answered is dropped.
pub fn below(lab: &Lab) -> Undo {
    let table = format!("0 {SECTORS} linear {} 0", lab.disk(0));
    create("below", "", &table);
    Undo("dmsetup remove --retry below".into())
}

/// Its I/O waits from now on, until what is answered is dropped.
pub fn hold_below() -> Undo {
    attempt("udevadm settle --timeout=20");
    output("dmsetup suspend below");
    Undo("dmsetup resume below".into())
}

/// How long something takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Read every file below a folder that can be read.
pub fn read_all(folder: &Path) {
    let mut seen = 0;
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("its kind");
            let path = entry.path();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && !path.ends_with("follow") {
                seen += fs::read(&path).map_or(0, |bytes| bytes.len());
            }
        }
    }
    assert!(seen > 100, "{seen} bytes");
}

/// A block through a mirror, past the cache, behind what a probe reads.
pub fn write(device: &Path) {
    write_to(&open(device));
}

/// A mirror, to be written to past the cache.
pub fn open(device: &Path) -> File {
    let mut options = OpenOptions::new();
    let file = options.write(true).custom_flags(O_DIRECT).open(device);
    file.expect("the mirror")
}

/// The same of what is open already.
pub fn write_to(file: &File) {
    #[repr(align(4096))]
    struct Block([u8; 4096]);
    let block = Box::new(Block([7; 4096]));
    file.write_all_at(&block.0, 512 * 1024).expect("a write");
}

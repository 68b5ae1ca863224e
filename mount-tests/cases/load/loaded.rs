//! A mirror that carries a mounted file system with a load on it, and the judge of
//! what both are afterwards.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::fio::{self, Fio};
use super::fs::Fs;
use crate::lab::Lab;
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::kernlog::KernelLog;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::{Undo, output};
use crate::lab::wait_longer;
use crate::lab::writer::{Writer, Written};

/// Bytes of the mirror at first, and of the file of the writer.
const SIZE: u64 = 48 * MIB;
const FILE: u64 = 4 * MIB;

/// What a writer may wait longer than the longest verb held I/O: on an emulated
/// machine a commit of the journal takes a while too.
const SLACK: Duration = Duration::from_secs(4);

/// What the kernel says where something went wrong.
const BAD: &[&str] = &[
    "EXT4-fs error",
    "EXT4-fs warning",
    "EXT4-fs (dm",
    "Corruption",
    "Internal error",
    "Shutting down filesystem",
    "log I/O error",
    "metadata I/O error",
    "I/O error",
    "blocked for more than",
    "BUG:",
    "WARNING:",
];

/// What it says of a mount as it should be.
const GOOD: &[&str] = &["mounted filesystem", "unmounting", "resizing", "resized"];

/// A mirror under load.
pub struct LoadedMirror<'a> {
    pub lab: &'a Lab,
    pub name: String,
    fs: Fs,
    at: String,
    writer: Option<Writer>,
    fio: Fio,
    // Before the mount: a mirror whose file system is mounted stays.
    _unmounted: Undo,
    pub mount: Mount,
    kernel: KernelLog,
    /// The longest that a verb took, a suspend with its resume.
    held: Duration,
}

impl<'a> LoadedMirror<'a> {
    /// A mirror `m` of the disks 0 and 1.
    pub fn new(lab: &'a Lab, fs: Fs) -> LoadedMirror<'a> {
        let kernel = KernelLog::from_now();
        let mount = lab.mount();
        let (one, other) = (lab.disk(0), lab.disk(1));
        let sectors = SIZE / 512;
        mount.write(
            "new",
            &format!("m: 0 {sectors} mirror core 1 1024 2 {one} 0 {other} 0 1 handle_errors"),
        );
        let at = lab.path("carried").display().to_string();
        fs::create_dir(&at).expect("a mountpoint");
        fs.make("/dev/mapper/m");
        let unmounted = Undo(format!("umount {at} || umount -l {at}; rmdir {at}"));
        fs.mount("/dev/mapper/m", &at);
        output(&format!("fallocate -l {FILE} {at}/written && sync"));
        let writer = Writer::start(&format!("{at}/written"), FILE);
        LoadedMirror {
            lab,
            name: "m".into(),
            fs,
            writer: Some(writer),
            fio: Fio::start(&at),
            at,
            _unmounted: unmounted,
            mount,
            kernel,
            held: Duration::ZERO,
        }
    }

    /// What a file of the mirror shows.
    pub fn read(&self, file: &str) -> String {
        self.mount
            .read(&format!("{}/{file}", self.name))
            .trim()
            .into()
    }

    /// The paths of its legs; none of a device that mirrors nothing.
    pub fn legs(&self) -> Vec<String> {
        if self.is_mirror() {
            let legs = self.mount.list(&format!("{}/legs", self.name));
            let path = |leg: &String| self.read(&format!("legs/{leg}/path"));
            legs.iter().map(path).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether its table is a mirror's.
    pub fn is_mirror(&self) -> bool {
        self.read("table").split(' ').nth(2) == Some("mirror")
    }

    /// Write a line to one of its files and have it judged.
    pub fn try_write(&mut self, file: &str, line: &str) -> Result<(), (Errno, String)> {
        let start = Instant::now();
        let file = format!("{}/{file}", self.name);
        let done = match self.mount.try_write(&file, line) {
            // On a busy machine it goes on behind the write.
            Err((Errno::EINPROGRESS, _)) => {
                self.no_verb_runs();
                Ok(())
            }
            done => done.map(drop),
        };
        self.held = self.held.max(start.elapsed());
        done
    }

    fn no_verb_runs(&self) {
        wait_longer(60, "the verb's end", || {
            !self.read("health").contains("warning `")
        });
    }

    /// The same of a line that is not to be refused; the load goes on after it.
    pub fn write(&mut self, file: &str, line: &str) {
        if let Err((errno, why)) = self.try_write(file, line) {
            panic!("{line}: {errno}: {why}");
        }
        self.goes_on(line);
    }

    /// Hold I/O for a while.
    pub fn suspend(&mut self, verb: &str, time: Duration) {
        let start = Instant::now();
        self.mount.write(&format!("{}/ctl", self.name), verb);
        sleep(time);
        let writer = self.writer.as_ref().expect("a writer");
        // One that came back before may not be counted yet.
        let (before, look) = (writer.count(), Duration::from_millis(100));
        sleep(look);
        let held = writer.count();
        sleep(look);
        let counts = (held, writer.count());
        assert!(
            counts == (before, before) || counts == (before + 1, before + 1),
            "{verb}: writes completed: {before}, then {counts:?}"
        );
        self.mount.write(&format!("{}/ctl", self.name), "resume");
        self.held = self.held.max(start.elapsed());
        self.goes_on(verb);
    }

    /// Another name, by `mv`.
    pub fn rename(&mut self, to: &str) {
        let start = Instant::now();
        let (from, into) = (self.mount.path(&self.name), self.mount.path(to));
        match fs::rename(from, into).map_err(|error| errno(&error)) {
            // It answers sooner than other verbs, since it locks the root.
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => panic!("mv: {errno}"),
        }
        wait_longer(60, "the new name", || self.mount.exists(to));
        self.held = self.held.max(start.elapsed());
        self.name = to.into();
        self.goes_on("mv");
    }

    /// The file system fills a mirror that has grown.
    pub fn grow_fs(&self) {
        self.fs.grow(&self.device(), &self.at);
    }

    /// Wait until all is in sync.
    pub fn in_sync(&self) {
        self.mount.write("throttle", "100");
        wait_longer(60, "in sync", || {
            assert!(!self.fio.has_ended(), "fio has ended");
            self.read("sync/state") == "in_sync"
        });
        assert_eq!(self.read("health").lines().next(), Some("ok"));
    }

    /// Panics where the load does not go on after what was done.
    pub fn goes_on(&self, what: &str) {
        let writer = self.writer.as_ref().expect("a writer");
        let wanted = writer.count() + 3;
        wait_longer(20, &format!("acknowledged writes after {what}"), || {
            assert!(!writer.has_ended(), "a write failed after {what}");
            assert!(!self.fio.has_ended(), "fio has ended after {what}");
            writer.count() >= wanted
        });
    }

    fn device(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    /// End the load: nothing failed, nobody waited too long, and file system, files
    /// and legs are as they should be.
    pub fn end(mut self, what: &str) {
        let written = self.writer.take().expect("a writer").end();
        assert!(written.error.is_none(), "{what}: {:?}", written.error);
        let (passes, longest) = self.fio.end();
        println!(
            "{what} on {:?}: {passes} passes of fio, the longest wait of one of its writes \
             {longest:?}, of the writer {:?}; the longest verb {:?}",
            self.fs, written.longest, self.held
        );
        for waited in [written.longest, longest] {
            assert!(
                waited < self.held + SLACK,
                "{what}: a write took {waited:?}"
            );
        }
        self.in_sync();
        output(&format!("umount {}", self.at));
        self.fs.check(&self.device());
        self.check_legs();
        self.check_files(&written);
        self.check_kernel();
        self.mount.write(&format!("{}/ctl", self.name), "remove");
    }

    fn check_legs(&self) {
        let size: u64 = self.read("size").parse().expect("a number");
        let legs = self.legs();
        assert!(legs.len() > 1, "{legs:?}");
        for leg in &legs[1..] {
            assert_equal(&legs[0], leg, size);
        }
    }

    /// Mounted anew, so that nothing of it is in memory.
    fn check_files(&self, written: &Written) {
        self.fs.mount(&self.device(), &self.at);
        fio::verify(&self.at);
        written.assert_on(&format!("{}/written", self.at));
        output(&format!("umount {}", self.at));
    }

    fn check_kernel(&mut self) {
        let said = self.kernel.said();
        let has = |line: &str, words: &[&str]| words.iter().any(|word| line.contains(word));
        let bad = |line: &&str| has(line, BAD) && !has(line, GOOD);
        let bad: Vec<&str> = said.lines().filter(bad).collect();
        assert!(bad.is_empty(), "the kernel says:\n{}", bad.join("\n"));
    }
}

//! What has to hold of what the next mount finds where a daemon was killed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use libc::O_DSYNC;
use mirrorfs::engine::{Id, PromptEngine, Slot};

use super::crashable::CrashableDaemon;
use super::loops_without_mirror;
use super::steps::SIZE;
use crate::cases::records::{lasting, records};
use crate::lab::Lab;
use crate::lab::disks::{MIB, bytes, put};
use crate::lab::dm::{create, dm, run};
use crate::lab::mount::Mount;
use crate::lab::traces::kernel;

/// How many seconds a mount may take, which waits for nothing.
const PATIENCE: &str = "30";

/// How long what the daemon does behind a mount may take.
const SOON: Duration = Duration::from_secs(8);

/// A state directory, a mountpoint, and what the source holds.
pub struct Invariants<'a> {
    pub mount: Mount,
    pub lab: &'a Lab,
    /// Whether the mirrors go with the daemon.
    pub power_cut: bool,
    /// The table of a device `m` that another program makes.
    pub beneath: Option<String>,
    noise: Vec<u8>,
}

impl<'a> Invariants<'a> {
    pub fn new(lab: &'a Lab) -> Invariants<'a> {
        let (_, noise) = lab.noise(0, SIZE);
        Invariants {
            mount: lasting(lab),
            lab,
            power_cut: false,
            beneath: None,
            noise,
        }
    }

    /// A daemon on the state directory, with a mirror of which both legs hold the
    /// noise. The next disk begins as they do and has other bytes further on: a log that
    /// does not begin afresh may call it equal, and nobody copies to it then.
    pub fn crashable(&self, first: &str) -> CrashableDaemon {
        for number in 0..3 {
            put(&self.lab.disk(number), 0, &self.noise);
        }
        put(&self.lab.disk(2), MIB, &[0x5a; 4096]);
        if let Some(table) = &self.beneath {
            create("m", "OTHER-1", table);
        }
        CrashableDaemon::new(&self.mount.state(), first)
    }

    /// Mount, and tell what is wrong; the devices should be as one of `allowed`.
    pub fn wrong(&self, allowed: &[&String]) -> Vec<String> {
        if self.power_cut {
            let devices = kernel().list().expect("the devices");
            devices
                .iter()
                .for_each(|listed| drop(run("dmsetup", &["remove", "--retry", &listed.name])));
        }
        let command = self.mount.command("");
        let words: Vec<&str> = [PATIENCE]
            .into_iter()
            .chain(command.split_whitespace())
            .collect();
        run("timeout", &words);
        let now = shape();
        let mut wrong = Vec::new();
        if !allowed.contains(&&now) {
            wrong.push(format!("{now:?} is none of {allowed:?}"));
        }
        wrong.extend(loops_without_mirror());
        wrong.extend(self.logs());
        for name in self.names() {
            let about = [device(&name), self.record(&name), self.content(&name)];
            let about = about.into_iter().flatten();
            wrong.extend(about.map(|what| format!("{name}: {what}")));
        }
        if self.beneath.is_some() && self.names().is_empty() {
            wrong.extend(device("m"));
            wrong.extend(takes("/dev/mapper/m", self.noise[..4096].to_vec()));
        }
        let (records, names) = (records(&self.mount).len(), self.names().len());
        if records != names {
            wrong.push(format!("{records} records of {names} devices"));
        }
        if !wrong.is_empty() {
            wrong.push(self.mount.read("events"));
        }
        wrong
    }

    /// Remove what there is: nothing stays.
    pub fn clear(&self) {
        for name in self.names() {
            self.mount.write(&format!("{name}/ctl"), "remove");
        }
        if self.beneath.is_some() && !shape().is_empty() {
            dm("remove --retry m");
        }
        assert_eq!(shape(), "");
        assert!(records(&self.mount).is_empty(), "a record stays");
        assert_eq!(self.logs(), Vec::<String>::new());
        self.mount.stop();
    }

    fn names(&self) -> Vec<String> {
        let names = self.mount.list("");
        let folders = names
            .into_iter()
            .filter(|name| self.mount.path(name).is_dir());
        folders.collect()
    }

    /// Log files that no table has, and those that a table has and nobody finds.
    fn logs(&self) -> Vec<String> {
        let now = shape();
        let entries = fs::read_dir(self.mount.folder())
            .expect("a folder")
            .flatten();
        let paths = entries.map(|entry| entry.path().display().to_string());
        let logs = paths.filter(|path| path.contains("/log"));
        let lost = logs.filter(|path| !now.split_whitespace().any(|word| word == path));
        let mut wrong: Vec<String> = lost.map(|path| format!("{path} is nobody's")).collect();
        if now.contains("(deleted)") {
            wrong.push(format!("a log is deleted: {now}"));
        }
        wrong
    }

    /// What is wrong with the record of a device. The watch may be writing it.
    fn record(&self, name: &str) -> Option<String> {
        let end = Instant::now() + SOON;
        loop {
            let wrong = self.record_now(name)?;
            if Instant::now() > end {
                return Some(wrong);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn record_now(&self, name: &str) -> Option<String> {
        let read = |path: PathBuf| -> serde_json::Value {
            let text = fs::read_to_string(path).expect("a record");
            serde_json::from_str(&text).expect("JSON")
        };
        let mut all = records(&self.mount).into_iter().map(read);
        let Some(record) = all.find(|record| record["name"] == name) else {
            return Some("it has no record".into());
        };
        let table = table(name);
        let lines: Vec<&str> = table.lines().collect();
        let same = record["table"] == serde_json::json!(lines);
        let over = record["unfinished"].is_null() && record["suspended"] == false;
        (!same || !over).then(|| format!("{lines:?} is recorded as {record}"))
    }

    /// What is wrong with what can be written to it and read from it.
    fn content(&self, name: &str) -> Option<String> {
        if self.mount.read(&format!("{name}/table")).trim().is_empty() {
            return None;
        }
        let path = format!("/dev/mapper/{name}");
        let block = self.noise[..4096].to_vec();
        if let Some(wrong) = takes(&path, block) {
            return Some(wrong);
        }
        if bytes(&path, 0, SIZE) != self.noise {
            return Some("it holds other bytes".into());
        }
        let state = self.mount.read(&format!("{name}/sync/state"));
        if state == "stopped\n" {
            // Some of it is on leg 0 alone.
            self.mount.write(&format!("{name}/ctl"), "retry");
        }
        if state != "none\n" {
            self.mount.wait_in_sync(name);
        }
        self.legs_differ(name)
    }

    fn legs_differ(&self, name: &str) -> Option<String> {
        let size: u64 = self
            .mount
            .read(&format!("{name}/size"))
            .trim()
            .parse()
            .expect("a number");
        let legs = self.mount.path(&format!("{name}/legs"));
        let legs = fs::read_dir(legs).into_iter().flatten().flatten();
        let path = |leg: fs::DirEntry| fs::read_to_string(leg.path().join("path")).expect("a path");
        let mut held = legs.map(|leg| bytes(path(leg).trim(), 0, size));
        let first = held.next()?;
        held.any(|other| other != first)
            .then(|| "its legs differ".into())
    }
}

/// Every device's table, loop devices by their files, so that two runs can be
/// compared; what a log is called that nobody has named is another name each time.
pub fn shape() -> String {
    let devices = kernel().list().expect("the devices");
    let line = |name: &str| {
        let table = table(name);
        let words = table
            .split(' ')
            .map(|word| backing(word).unwrap_or_else(|| word.into()));
        format!("{name}: {}\n", words.collect::<Vec<_>>().join(" "))
    };
    let mut lines: Vec<String> = devices.iter().map(|listed| line(&listed.name)).collect();
    lines.sort();
    lines.concat()
}

fn table(name: &str) -> String {
    let (_, lines) = kernel()
        .table(&Id::Name(name.into()), Slot::Live)
        .expect(name);
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn backing(word: &str) -> Option<String> {
    let path = Path::new("/sys/dev/block").join(word);
    let file = word.contains(':').then(|| path.join("loop/backing_file"))?;
    let file = fs::read_to_string(file).ok()?;
    let unnamed = file.find("/logs/MIRRORFS-");
    Some(file.get(..unnamed.unwrap_or(file.len()))?.trim().into())
}

/// What is wrong with the state of a device.
fn device(name: &str) -> Option<String> {
    let info = kernel().info(&Id::Name(name.into())).expect(name);
    (info.suspended || info.inactive).then(|| format!("{info:?}"))
}

/// Why a write does not complete in time.
fn takes(path: &str, block: Vec<u8>) -> Option<String> {
    let (send, written) = mpsc::channel();
    let path = path.to_owned();
    thread::spawn(move || {
        let mut options = OpenOptions::new();
        let device: std::io::Result<File> = options.write(true).custom_flags(O_DSYNC).open(path);
        // Nobody hears of a write that comes too late.
        let _ = send.send(device.and_then(|device| device.write_at(&block, 0)));
    });
    match written.recv_timeout(Duration::from_secs(5)) {
        Ok(Ok(4096)) => None,
        other => Some(format!("a write: {other:?}")),
    }
}

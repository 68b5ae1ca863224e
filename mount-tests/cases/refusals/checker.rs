//! Disks and a folder that no refusal may touch, and the judge of each refusal.

use std::io;
use std::process::Command;

use nix::errno::Errno;

use super::rows::GOOD;
use crate::lab::Lab;
use crate::lab::disks::{self, MIB};
use crate::lab::kernlog::KernelLog;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::output;
use crate::lab::traces::Traces;

/// What was there before anything was refused.
pub struct RefusalChecker<'a> {
    lab: &'a Lab,
    mount: &'a Mount,
    before: Traces,
    names: Vec<String>,
    bytes: Vec<Vec<u8>>,
    wrong: Vec<String>,
}

impl<'a> RefusalChecker<'a> {
    /// The mount and the disks as they are now; disks 0 to 2 belong to it.
    pub fn new(lab: &'a Lab, mount: &'a Mount) -> RefusalChecker<'a> {
        lab.random(0, MIB);
        lab.random(1, MIB);
        lab.zeroed(2);
        if lab.is_kernel() {
            output("udevadm settle --timeout=10 || true");
        }
        RefusalChecker {
            lab,
            mount,
            before: Traces::now(lab, mount.folder()),
            names: mount.list(""),
            bytes: bytes(lab),
            wrong: Vec::new(),
        }
    }

    /// A row's text with the names of its disks.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{good}", GOOD)
            .replace("{a}", &self.lab.disk(0))
            .replace("{b}", &self.lab.disk(1))
            .replace("{log}", &self.lab.disk(2))
            .replace("{numbered}", &self.lab.number(&self.lab.disk(0)))
            .replace("{T}", &self.mount.folder().display().to_string())
            .replace("{128}", &"n".repeat(128))
            .replace("{129}", &"u".repeat(129))
    }

    /// Write a line and note what is wrong with the way in which it is refused.
    pub fn assess(&mut self, file: &str, line: &str, wanted: &str, words: &[&str]) {
        self.judge_bytes(file, format!("{line}\n").as_bytes(), wanted, words);
    }

    /// The same of bytes that are no line.
    pub fn judge_bytes(&mut self, file: &str, bytes: &[u8], wanted: &str, words: &[&str]) {
        let mut wrong = Vec::new();
        match self.mount.try_bytes(file, bytes) {
            Ok(answer) => wrong.push(format!("is accepted: {}", answer.trim())),
            Err((errno, answer)) => {
                if format!("{errno:?}") != wanted {
                    wrong.push(format!("is {errno:?}, not {wanted}"));
                }
                wrong.extend(self.reason(file, answer.trim_end(), words));
            }
        }
        wrong.extend(self.left());
        if !wrong.is_empty() {
            let shown = String::from_utf8_lossy(bytes);
            let shown: String = shown.trim_end().chars().take(150).collect();
            self.note(format!("`{shown}` to {file}: {}", wrong.join("; ")));
        }
    }

    /// What is wrong with the reason, on the descriptor and in `events`.
    fn reason(&self, file: &str, answer: &str, words: &[&str]) -> Vec<String> {
        let events = self.mount.read("events");
        // What happened of itself may stand behind it.
        let mut errors = events.lines().rev();
        let last = errors.find(|line| line.split(' ').nth(2) == Some("error"));
        let last = last.unwrap_or_default();
        let answers = file == "new" || file.ends_with("/ctl");
        let reason = if answers { answer } else { last };
        let mut wrong = Vec::new();
        if reason.is_empty() || reason.lines().count() != 1 {
            wrong.push(format!("its reason is no line: {reason:?}"));
        }
        if last.is_empty() || !last.ends_with(reason) {
            wrong.push(format!("the last event is `{last}`, the reason `{reason}`"));
        }
        let missing = words.iter().filter(|word| !reason.contains(**word));
        wrong.extend(missing.map(|word| format!("`{reason}` does not name `{word}`")));
        wrong
    }

    fn left(&self) -> Option<String> {
        let mut left = self.before.changes(self.lab, self.mount.folder());
        let names = self.mount.list("");
        if names != self.names {
            left.extend(names);
        }
        (!left.is_empty()).then(|| format!("leaves or takes {left:?}"))
    }

    /// Note where a call does not fail with `wanted`, or leaves something.
    pub fn compare(&mut self, what: &str, result: io::Result<()>, wanted: Errno) {
        let found = result.as_ref().err().map(errno);
        if found != Some(wanted) {
            self.note(format!("{what}: {found:?}, not {wanted:?}"));
        }
        if let Some(left) = self.left() {
            self.note(format!("{what} {left}"));
        }
    }

    /// Where the kernel is below: note where it takes a table for the device
    /// `refused` itself, or says other words.
    pub fn ask_kernel(&mut self, table: &str, words: &str) {
        if !self.lab.is_kernel() {
            return;
        }
        let mut log = KernelLog::from_now();
        let load = Command::new("dmsetup")
            .args(["load", "refused", "--table", table])
            .output()
            .expect("dmsetup");
        if load.status.success() {
            output("dmsetup clear refused");
            return self.note(format!("the kernel takes `{table}`"));
        }
        let text = String::from_utf8_lossy(&load.stderr);
        let said = log.said();
        // A device that it does not find is ENODEV.
        let errnos = ["Invalid argument", "No such device"];
        if !said.contains(words) || !errnos.iter().any(|errno| text.contains(errno)) {
            self.note(format!("the kernel on `{table}`: {text} {said}"));
        }
    }

    /// Note something that is wrong.
    pub fn note(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Panics with all that is wrong, or where a disk's bytes have changed.
    pub fn end(mut self) {
        if bytes(self.lab) != self.bytes {
            self.note("a disk's bytes have changed".into());
        }
        let count = self.wrong.len();
        assert!(count == 0, "{count} wrong:\n{}", self.wrong.join("\n"));
    }
}

/// Both ends of the disks.
fn bytes(lab: &Lab) -> Vec<Vec<u8>> {
    let ends = [0, disks::SIZE - MIB];
    let piece = |disk, at| disks::bytes(&lab.disk(disk), at, 2 * MIB);
    (0..3)
        .flat_map(|disk| ends.map(|at| piece(disk, at)))
        .collect()
}

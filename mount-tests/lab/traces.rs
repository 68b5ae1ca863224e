//! What a refused or failed request could leave behind: devices, loop devices,
//! files. Read without starting programs, so that it can be asked often.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::engine::PromptEngine;
use mirrorfs::engine::kernel::Kernel;

use super::Lab;

/// A line for each device, attached loop device, file, and file that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// What there is now: devices and attached loop devices, the files of
    /// `folder` with their sizes, and what this process and the daemons have
    /// open in the lab's folder.
    pub fn now(lab: &Lab, folder: &Path) -> Traces {
        let mut lines = BTreeSet::new();
        for entry in fs::read_dir("/sys/class/block").expect("sysfs").flatten() {
            if let Ok(file) = fs::read_to_string(entry.path().join("loop/backing_file")) {
                lines.insert(format!("{} {}", entry.path().display(), file.trim()));
            }
        }
        if lab.is_kernel() {
            // A device without a table is not in sysfs.
            let devices = kernel().list().expect("the devices");
            let devices = devices.iter();
            lines.extend(devices.map(|listed| format!("{} {}", listed.dev, listed.name)));
        }
        lines.extend(files(folder));
        lines.extend(open_files(lab));
        Traces(lines)
    }

    /// What is there now and was not before, or the other way round, once it
    /// has had a moment to go: udev looks at what has changed, and it alone
    /// takes nodes away.
    pub fn changes(&self, lab: &Lab, folder: &Path) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let now = Traces::now(lab, folder);
            let changed = now.0.symmetric_difference(&self.0);
            let changed = changed.filter(|line| now.0.contains(*line) || !is_open_record(line));
            let mut changed: Vec<String> = changed.cloned().collect();
            if lab.is_kernel() {
                changed.extend(orphans());
            }
            if changed.is_empty() || Instant::now() > end {
                return changed;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

/// What this process and the daemons hold open in the lab: a leg that was not
/// let go of is locked for everybody else.
fn open_files(lab: &Lab) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for pid in lab.daemons().into_iter().chain([std::process::id() as i32]) {
        let files = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let paths = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        let ours = paths.filter(|path| path.starts_with(lab.folder()));
        lines.extend(ours.map(|path| format!("open {}", path.display())));
    }
    lines
}

/// Whether a line is of a record that was open: it is for the moment in which it is
/// written or read, which may have been that of the first look.
fn is_open_record(line: &str) -> bool {
    line.starts_with("open ") && line.contains("/mirrors/") && line.ends_with(".json")
}

/// Nodes of devices that are not there.
fn orphans() -> Vec<String> {
    let nodes = fs::read_dir("/dev/mapper").into_iter().flatten().flatten();
    let names = nodes.map(|node| node.file_name().to_string_lossy().into_owned());
    let devices = kernel().list().expect("the devices");
    let known = |name: &String| name == "control" || devices.iter().any(|d| d.name == *name);
    let lost = names.filter(|name| !known(name));
    lost.map(|name| format!("/dev/mapper/{name}")).collect()
}

/// Device-mapper, without a program that has to be started.
pub fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| Kernel::open().expect("device-mapper"))
}

/// Files of a folder, not of what is mounted below it. Of records only the names:
/// what stands in one is its mirror's matter, and when.
fn files(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let (path, name) = (entry.path(), entry.file_name());
        if kind.is_dir() && name != "mnt" {
            lines.extend(files(&path));
        }
        let record = folder.ends_with("mirrors");
        let size = if kind.is_file() && !record {
            fs::metadata(&path).map_or(0, |metadata| metadata.len())
        } else {
            0
        };
        if name != "mirrors" {
            lines.push(format!("{} {size}", path.display()));
        }
    }
    lines
}

//! What a refused or failed request could leave behind: devices, loop devices,
//! files. Read without starting programs, so that it can be asked often.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::engine::Engine;
use mirrorfs::engine::kernel::Kernel;

/// A line for each device, attached loop device and file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// All devices and attached loop devices now, and the files of `folder` with
    /// their sizes.
    pub fn now(folder: &Path) -> Traces {
        let mut lines = BTreeSet::new();
        for entry in fs::read_dir("/sys/class/block").expect("sysfs").flatten() {
            if let Ok(file) = fs::read_to_string(entry.path().join("loop/backing_file")) {
                lines.insert(format!("{} {}", entry.path().display(), file.trim()));
            }
        }
        // A device without a table is not in sysfs.
        let devices = kernel().list().expect("the devices").into_iter();
        lines.extend(devices.map(|listed| format!("{} {}", listed.dev, listed.name)));
        lines.extend(files(folder));
        Traces(lines)
    }

    /// What is there now and was not before, or the other way round, once it
    /// has had a moment to go: udev looks at what has changed, and it alone
    /// takes nodes away.
    pub fn changes(&self, folder: &Path) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let now = Traces::now(folder);
            let changed = now.0.symmetric_difference(&self.0).cloned();
            let changed: Vec<String> = changed.chain(orphans()).collect();
            if changed.is_empty() || Instant::now() > end {
                return changed;
            }
            sleep(Duration::from_millis(20));
        }
    }
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

fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| Kernel::open().expect("device-mapper"))
}

/// Files of a folder, not of what is mounted below it.
fn files(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        if kind.is_dir() && entry.file_name() != "mnt" {
            lines.extend(files(&path));
        }
        let size = if kind.is_file() {
            fs::metadata(&path).map_or(0, |metadata| metadata.len())
        } else {
            0
        };
        lines.push(format!("{} {size}", path.display()));
    }
    lines
}

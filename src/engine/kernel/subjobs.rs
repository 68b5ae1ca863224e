//! How much the copier of a mirror reads and writes at once. It has at most eight jobs under
//! way, each of `kcopyd_subjob_size_kb`: where a disk answers late, larger ones copy more in
//! the same time. The value is the kernel's for all that copies, and read when a table is
//! made (drivers/md/dm-kcopyd.c, `dm_kcopyd_client_create`): it is set for the moment that a
//! load takes, and put back.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::text::device::DevNo;
use crate::text::table::Line;

const PARAMETER: &str = "/sys/module/dm_mod/parameters/kcopyd_subjob_size_kb";

/// The largest that the kernel takes, in KiB (`MAX_SUB_JOB_SIZE_KB`).
const LARGE: u32 = 1024;

/// What was there before stands here meanwhile, for who comes after a kill.
const BEFORE: &str = "/run/mirrorfs.kcopyd_subjob_size_kb";

/// Sets the value, and puts it back.
#[derive(Debug)]
pub(super) struct Subjobs {
    off: AtomicBool,
    /// The devices that answer late.
    late: Mutex<HashSet<DevNo>>,
    held: Mutex<Held>,
    parameter: &'static Path,
    before: &'static Path,
}

/// How many loads have it set, and what it was before the first.
#[derive(Debug, Default)]
struct Held {
    loads: usize,
    before: Option<u32>,
}

/// It is set as long as this is kept.
pub(super) struct Enlarged<'a>(&'a Subjobs);

impl Default for Subjobs {
    fn default() -> Self {
        Subjobs {
            off: AtomicBool::new(false),
            late: Mutex::default(),
            held: Mutex::default(),
            parameter: Path::new(PARAMETER),
            before: Path::new(BEFORE),
        }
    }
}

impl Subjobs {
    /// Leave the value alone from now on.
    pub(super) fn turn_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// A device answers late.
    pub(super) fn note_late(&self, dev: DevNo) {
        self.late.lock().insert(dev);
    }

    /// Put the value back that a daemon has left set which was killed.
    pub(super) fn put_back(&self) {
        let before = read(self.before);
        if let Some(before) = before {
            if read(self.parameter) == Some(LARGE) {
                self.write(before);
            }
            let _ = fs::remove_file(self.before);
        }
    }

    /// Larger jobs for the table that is loaded meanwhile, where it copies to or from a
    /// device that answers late; none where they are large enough or cannot be set.
    pub(super) fn enlarge(&self, table: &[Line]) -> Option<Enlarged<'_>> {
        if self.off.load(Ordering::Relaxed) || !self.has_late(table) {
            return None;
        }
        let mut held = self.held.lock();
        if held.loads == 0 {
            let now = read(self.parameter).filter(|now| *now < LARGE)?;
            if let Err(error) = fs::write(self.before, format!("{now}\n")) {
                log::debug!(
                    "{}: {error}: copies go on with small jobs",
                    self.before.display()
                );
                return None;
            }
            held.before = Some(now);
            self.write(LARGE);
        }
        held.loads += 1;
        Some(Enlarged(self))
    }

    fn has_late(&self, table: &[Line]) -> bool {
        let late = self.late.lock();
        let mirrors = table.iter().filter(|line| line.kind == "mirror");
        let mut words = mirrors.flat_map(|line| line.params.split(' '));
        !late.is_empty() && words.any(|word| word.parse().is_ok_and(|dev| late.contains(&dev)))
    }

    fn write(&self, value: u32) {
        if let Err(error) = fs::write(self.parameter, format!("{value}\n")) {
            log::debug!("{}: {error}", self.parameter.display());
        }
    }
}

impl Drop for Enlarged<'_> {
    fn drop(&mut self) {
        let mut held = self.0.held.lock();
        held.loads = held.loads.saturating_sub(1);
        if held.loads > 0 {
            return;
        }
        // Somebody else may have set another one meanwhile.
        if read(self.0.parameter) == Some(LARGE)
            && let Some(before) = held.before.take()
        {
            self.0.write(before);
        }
        let _ = fs::remove_file(self.0.before);
    }
}

fn read(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over files of its own, which stay for as long as the process.
    fn subjobs(value: &str) -> Subjobs {
        let folder = Box::leak(Box::new(tempfile::tempdir().unwrap()));
        let leak = |name: &str| &*Box::leak(folder.path().join(name).into_boxed_path());
        let (parameter, before) = (leak("parameter"), leak("before"));
        fs::write(parameter, value).unwrap();
        Subjobs {
            parameter,
            before,
            ..Subjobs::default()
        }
    }

    fn table(params: &str) -> Vec<Line> {
        let (kind, params) = ("mirror".into(), params.into());
        vec![Line {
            start: 0,
            length: 8,
            kind,
            params,
        }]
    }

    #[test]
    fn it_is_set_for_a_load_over_late_legs_and_put_back() {
        let subjobs = subjobs("512\n");
        let late = table("core 1 8 2 7:0 0 7:1 0");
        assert!(subjobs.enlarge(&late).is_none());
        subjobs.note_late(DevNo { major: 7, minor: 1 });
        assert!(subjobs.enlarge(&table("core 1 8 2 7:0 0 7:2 0")).is_none());
        let (one, two) = (
            subjobs.enlarge(&late).unwrap(),
            subjobs.enlarge(&late).unwrap(),
        );
        assert_eq!(read(subjobs.parameter), Some(LARGE));
        assert_eq!(read(subjobs.before), Some(512));
        drop(one);
        assert_eq!(read(subjobs.parameter), Some(LARGE));
        drop(two);
        assert_eq!(read(subjobs.parameter), Some(512));
        assert!(!subjobs.before.exists());
        subjobs.turn_off();
        assert!(subjobs.enlarge(&late).is_none());
    }

    #[test]
    fn what_somebody_else_sets_meanwhile_stays_and_what_a_kill_leaves_does_not() {
        let first = subjobs("256");
        first.note_late(DevNo { major: 7, minor: 1 });
        let late = table("core 1 8 2 7:0 0 7:1 0");
        let held = first.enlarge(&late);
        fs::write(first.parameter, "128").unwrap();
        drop(held);
        assert_eq!(read(first.parameter), Some(128));
        std::mem::forget(first.enlarge(&late));
        assert_eq!(read(first.parameter), Some(LARGE));
        first.put_back();
        assert_eq!(
            (read(first.parameter), read(first.before)),
            (Some(128), None)
        );
        let large = subjobs("1024");
        large.note_late(DevNo { major: 7, minor: 1 });
        assert!(large.enlarge(&late).is_none());
    }
}

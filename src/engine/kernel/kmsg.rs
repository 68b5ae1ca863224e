//! The kernel's own reason. device-mapper answers EINVAL and says why in the
//! kernel log only; here the records that were added since a moment are read,
//! and the one that belongs to a device is found (Documentation/ABI/testing/
//! dev-kmsg). Without the log there is no reason, and no failure either.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Errno, Error};
use crate::text::device::DevNo;

const LOG: &str = "/dev/kmsg";

/// CONSOLE_EXT_LOG_MAX, kernel/printk: a read with less room is EINVAL.
const RECORD: usize = 8192;

/// A log that is written to faster than it is read must not hold us.
const MOST: usize = 4096;

/// A place in the kernel log.
pub(super) struct Mark(Option<File>);

impl Mark {
    /// The end as it is now.
    pub(super) fn now() -> Self {
        Mark(end_of_log().ok())
    }

    /// `error`, ended by why the kernel refused what was asked of `dev` since
    /// then. Records that name no device count only if this process asked for
    /// nothing else meanwhile: `alone`.
    pub(super) fn explain(self, error: Error, dev: DevNo, alone: bool) -> Error {
        let records = self.0.map(read_on).unwrap_or_default();
        match reason(records.iter().map(String::as_str), dev, alone) {
            Some(reason) => Error::new(error.errno(), format!("{error}: {reason}")),
            None => error,
        }
    }
}

fn end_of_log() -> std::io::Result<File> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(LOG)?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

fn read_on(mut log: File) -> Vec<String> {
    let mut record = vec![0; RECORD];
    let mut records = Vec::new();
    for _ in 0..MOST {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(n) => records.extend(record.get(..n).map(|r| String::from_utf8_lossy(r).into())),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // The oldest records were overwritten; the next read goes on after.
            Err(e) if e.raw_os_error() == Some(Errno::EPIPE as i32) => {}
            Err(_) => break,
        }
    }
    records
}

/// The reason in records of the form `6,1234,98765,-;TEXT`, if there is one for
/// `dev`; see [`Mark::explain`] for `alone`.
fn reason<'a>(records: impl Iterator<Item = &'a str>, dev: DevNo, alone: bool) -> Option<String> {
    let mut detail = None;
    let mut found = None;
    for (area, text) in records.filter_map(message) {
        if area == "table" {
            found = of_device(text, dev).map(without_errno).or(found);
        } else if alone && !EMPTY.contains(&text) {
            detail = Some(without_errno(text));
        }
    }
    match (found, detail) {
        (Some(found), Some(detail)) if found.ends_with(LOG_FAILED) => {
            Some(format!("{found}: {detail}"))
        }
        (found, detail) => found.or(detail).map(str::to_owned),
    }
}

/// The constructor's words where the dirty log said the reason before.
const LOG_FAILED: &str = "Error creating mirror dirty log";

/// Follows every reason and adds nothing.
const EMPTY: &[&str] = &["error adding target to table"];

// `device-mapper: AREA: TEXT` of a record; its later lines are a dictionary.
fn message(record: &str) -> Option<(&str, &str)> {
    let (_, text) = record.split_once(';')?;
    let line = text.lines().next()?;
    line.strip_prefix("device-mapper: ")?.split_once(": ")
}

fn of_device(text: &str, dev: DevNo) -> Option<&str> {
    text.strip_prefix(&format!("{dev}: "))
}

// `TEXT (-EINVAL)` and `TEXT.`: the errno is told elsewhere.
fn without_errno(text: &str) -> &str {
    let text = text.trim_end_matches('.');
    match text.rsplit_once(" (-E") {
        Some((before, errno)) if errno.ends_with(')') => before,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: DevNo = DevNo {
        major: 254,
        minor: 0,
    };

    fn reason_in(records: &[&str]) -> Option<String> {
        reason(records.iter().copied(), DEV, true)
    }

    #[test]
    fn the_constructor_s_own_words() {
        let records = [
            "3,1234,98765,-;device-mapper: table: 254:0: mirror: Invalid number of mirrors (-EINVAL)",
            "3,1235,98766,-;device-mapper: ioctl: error adding target to table",
        ];
        assert_eq!(
            reason_in(&records).unwrap(),
            "mirror: Invalid number of mirrors"
        );
    }

    #[test]
    fn the_log_s_words_follow_those_of_the_constructor() {
        let records = [
            "3,1,1,-;device-mapper: dirty region log: log device 7:2 too small: need 1536 bytes",
            "3,2,2,-;device-mapper: table: 254:0: mirror: Error creating mirror dirty log (-EINVAL)",
            "3,3,3,-;device-mapper: ioctl: error adding target to table",
        ];
        let words =
            "mirror: Error creating mirror dirty log: log device 7:2 too small: need 1536 bytes";
        assert_eq!(reason_in(&records).unwrap(), words);
    }

    #[test]
    fn another_device_s_lines_are_not_ours() {
        let records = [
            "3,1,1,-;device-mapper: table: 254:0: loop1 too small for target: start=0, len=64, dev_size=8",
            "3,2,2,-;device-mapper: table: 254:10: mirror: Invalid offset (-EINVAL)",
            "6,3,3,-;EXT4-fs (dm-0): mounted filesystem",
        ];
        let words = "loop1 too small for target: start=0, len=64, dev_size=8";
        assert_eq!(reason_in(&records).unwrap(), words);
        assert_eq!(reason_in(&records[1..]), None);
    }

    #[test]
    fn a_line_without_a_device_counts_only_when_alone() {
        let records = [
            "3,1,1,-;device-mapper: ioctl: can't change device type (old=1 vs new=2) after initial table load.",
        ];
        let words = "can't change device type (old=1 vs new=2) after initial table load";
        assert_eq!(reason_in(&records).unwrap(), words);
        assert_eq!(reason(records.into_iter(), DEV, false), None);
    }

    #[test]
    fn a_dictionary_and_odd_records_do_no_harm() {
        let dictionary = "3,1,1,-;device-mapper: table: 254:0: mirror: Invalid offset\n SUBSYSTEM=block\n DEVICE=b254:0\n";
        assert_eq!(reason_in(&[dictionary]).unwrap(), "mirror: Invalid offset");
        assert_eq!(
            reason_in(&[
                "",
                ";",
                "3,1,1,-;",
                "device-mapper: table",
                "3;device-mapper: x"
            ]),
            None
        );
    }

    #[test]
    fn a_log_that_cannot_be_read_is_no_failure() {
        let error = Error::invalid("loading a table into m0");
        assert_eq!(Mark(None).explain(error.clone(), DEV, true), error);
    }
}

//! What the kernel says from now on.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use libc::O_NONBLOCK;

/// The kernel's log, from where it was opened.
pub struct KernelLog(File);

impl KernelLog {
    /// What was said before is nobody's business.
    pub fn from_now() -> KernelLog {
        let mut options = OpenOptions::new();
        let log = options
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open("/dev/kmsg");
        let mut log = log.expect("the kernel log");
        log.seek(SeekFrom::End(0)).expect("its end");
        KernelLog(log)
    }

    /// What was said since it was last asked.
    pub fn said(&mut self) -> String {
        let (mut said, mut record) = (String::new(), [0; 8192]);
        loop {
            match self.0.read(&mut record) {
                Ok(length @ 1..) => said.push_str(&String::from_utf8_lossy(&record[..length])),
                // Records were overwritten: the next read finds the oldest that is left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                _ => return said,
            }
        }
    }
}

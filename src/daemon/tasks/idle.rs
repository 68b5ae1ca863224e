//! Threads that come last: what they do may wait for everybody who reads and writes.
#![allow(unsafe_code)]

use crate::error::Errno;

/// The class of those who get the disk when nobody else wants it, in the bits where
/// ioprio_set(2) has it, and that it is a thread which is meant.
const IDLE: libc::c_int = 3 << 13;
const WHO_PROCESS: libc::c_int = 1;

/// Behind others, and not so far that on a busy processor nothing is ever done: what is
/// compared has to be looked at before it changes.
const NICE: libc::c_int = 5;

/// Let this thread come after all others.
pub fn come_last() {
    // SAFETY: 0 is the calling thread, and nothing is passed.
    let disk = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
    // SAFETY: 0 is the calling thread, as far as Linux goes, and nothing is passed.
    let processor = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    for (what, done) in [("disk", disk), ("processor", processor.into())] {
        if let Err(errno) = Errno::result(done) {
            log::debug!(
                "a thread does not come last at the {what}: {}",
                errno.desc()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priorities() -> (libc::c_long, libc::c_int) {
        // SAFETY: 0 is the calling thread, and nothing is passed.
        let disk = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0) };
        // SAFETY: as above.
        let processor = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        (disk, processor)
    }

    #[test]
    fn only_the_thread_itself_comes_last() {
        let before = priorities();
        let other = std::thread::spawn(|| {
            come_last();
            priorities()
        });
        let last = other.join().expect("no panic");
        assert_eq!(last, (libc::c_long::from(IDLE), NICE));
        assert_eq!(priorities(), before);
    }
}

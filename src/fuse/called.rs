//! Whether somebody who waits for an answer has a signal to attend to. FUSE tells of that
//! by a request that fuser does not hand on, and a caller cannot be killed before his
//! answer.

use std::fs;

/// Whether a thread has a signal that it does not block, or is gone (proc_pid_status(5)).
pub(super) fn is_called(thread: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status"));
    status.map_or(true, |status| has_signal(&status))
}

fn has_signal(status: &str) -> bool {
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok())
            .unwrap_or(0)
    };
    (set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_blocked_does_not_count() {
        let status = |own: &str, all: &str, blocked: &str| {
            has_signal(&format!(
                "Name:\tx\nSigPnd:\t{own}\nShdPnd:\t{all}\nSigBlk:\t{blocked}\n"
            ))
        };
        let none = "0000000000000000";
        assert!(!status(none, none, none));
        assert!(status("0000000000000100", none, none));
        assert!(status(none, "0000000000004000", none));
        assert!(!status(none, "0000000000004000", "0000000000004002"));
        assert!(is_called(u32::MAX) && !is_called(std::process::id()));
    }
}

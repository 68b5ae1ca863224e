//! Signals that whoever started the program ignores. That is inherited through
//! execve(2), and with SIGCHLD ignored nobody can wait for a child.
#![allow(unsafe_code)]

use std::ptr::null;

use nix::sys::signal::Signal;

use crate::error::Errno;

/// Every signal that is ignored has its default effect again, but for SIGPIPE: Rust's
/// runtime has it ignored, so that a write to nobody is an error and no end. Before
/// any thread or child, which inherit it.
pub fn reset() {
    Signal::iterator()
        .filter(|signal| *signal != Signal::SIGPIPE)
        .for_each(|signal| {
            if is_ignored(signal) {
                make_default(signal);
            }
        });
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all zeros is a `struct sigaction`, and the call with no new one only
    // fills it in.
    let (result, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let result = libc::sigaction(signal as i32, null(), &raw mut action);
        (result, action)
    };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn make_default(signal: Signal) {
    // SAFETY: no handler is set, and none is taken away: what a program inherits is
    // ignored or has its default effect.
    let before = unsafe { libc::signal(signal as i32, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        eprintln!("mirrorfs: {signal} stays ignored: {}", Errno::last().desc());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_is_not_and_sigpipe_stays() {
        // SIGWINCH does nothing by default either: no other test is disturbed.
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGWINCH, libc::SIG_IGN) };
        assert!(is_ignored(Signal::SIGWINCH) && is_ignored(Signal::SIGPIPE));
        reset();
        assert!(!is_ignored(Signal::SIGWINCH) && is_ignored(Signal::SIGPIPE));
    }
}

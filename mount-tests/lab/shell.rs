//! Commands, as a user types them.

use std::process::Command;

/// What `sh -c line` prints; panics where it fails.
pub fn output(line: &str) -> String {
    let (status, text) = attempt(line);
    assert!(status == 0, "`{line}` ended with {status}: {text}");
    text
}

/// The exit status of `bash -c line`, and all that it prints.
pub fn attempt(line: &str) -> (i32, String) {
    let result = Command::new("bash")
        .args(["-c", line])
        .output()
        .expect("bash runs");
    let text = [result.stdout, result.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (result.status.code().unwrap_or(-1), text)
}

/// A command that is run when this is dropped, whether the test passed or not.
pub struct Undo(pub String);

impl Drop for Undo {
    fn drop(&mut self) {
        attempt(&self.0);
    }
}

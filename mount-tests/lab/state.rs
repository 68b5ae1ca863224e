//! What there is when a case fails, and letting go of it. Nothing here may wait for what
//! hangs: each command has its time.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::Lab;
use super::shell::attempt;

/// The devices that were there before any test was.
static BEFORE: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Remember the devices that are no test's.
pub fn note_before() {
    let _ = BEFORE.set(devices());
}

/// Tables, states and the kernel's last words, and of each mount health and events.
pub fn of(lab: &Lab) -> String {
    let mut text = String::from("--- what there was:\n");
    let mut tell = |command: &str| {
        let (_, said) = attempt(command);
        text.push_str(&format!("$ {command}\n{}", last_lines(&said, 40)));
    };
    if lab.is_kernel() {
        tell("timeout 5 dmsetup table");
        tell("timeout 5 dmsetup status --noflush");
        tell("timeout 5 dmsetup info -c --noheadings");
        tell("timeout 5 dmesg");
    }
    for mount in lab.mounts() {
        tell(&format!("timeout 5 cat {mount}/health {mount}/*/health"));
        tell(&format!("timeout 5 cat {mount}/events"));
    }
    text
}

/// Let everything go that a test may wait for: its own devices answer with errors, its
/// daemons end.
pub fn release(lab: &Lab) {
    for name in made() {
        attempt(&format!(
            "timeout 5 dmsetup wipe_table --force --noflush --nolockfs {name}"
        ));
    }
    lab.kill_daemons();
    for mount in lab.mounts() {
        attempt(&format!("timeout 5 umount -l {mount}"));
    }
}

/// The devices of device-mapper that tests made, the newest first: one may lie on another.
pub fn made() -> Vec<String> {
    let before = BEFORE.get().cloned().unwrap_or_default();
    let names = devices().into_iter().filter(|name| !before.contains(name));
    names.rev().collect()
}

fn devices() -> BTreeSet<String> {
    if !super::guest::is_guest() {
        return BTreeSet::new();
    }
    let (_, listed) = attempt("timeout 5 dmsetup info -c --noheadings -o name");
    let names = listed.lines().filter(|line| !line.contains(' '));
    names.map(Into::into).collect()
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(most);
    let lines = lines.iter().skip(first);
    lines.map(|line| format!("{line}\n")).collect()
}

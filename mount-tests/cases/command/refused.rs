//! Starts that are refused: status 1 and one line that says why.

use super::place::Place;
use crate::lab::Lab;
use crate::lab::mount::unmount;
use crate::lab::shell::{Undo, attempt};

/// Lines that end with 1, and what the one line on standard error names.
const REFUSED: &[(&str, &[&str])] = &[
    ("{m} {t}/missing", &["{t}/missing"]),
    ("{m} {t}/file", &["{t}/file", "not a directory"]),
    ("{m} {t}/file/below", &["{t}/file/below"]),
    ("{m} -f {t}/missing", &["{t}/missing"]),
    ("{b} -s {t}/other {t}/used", &["{t}/used", "already"]),
    ("{b} -s {t}/state2 {t}/mnt", &["{pid}", "{t}/state2"]),
    ("{b} -f -s {t}/state2 {t}/mnt", &["{pid}", "{t}/state2"]),
    ("{b} -s {t}/file {t}/mnt", &["{t}/file"]),
    ("{m} -o speed=9 {p}", &["speed=9"]),
    ("{m} -o ro,bogus {p}", &["bogus"]),
    ("{m} -o engine=fast {p}", &["fast"]),
];

/// What the kernel's engine refuses to who is not root.
const NOBODY: &[(&str, &[&str])] = &[
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups {b} -s {t}/open/state {t}/open",
        &["root", "--engine embedded"],
    ),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups {b} -f -s {t}/open/state {t}/open",
        &["root", "--engine embedded"],
    ),
];

pub fn start_is_refused(lab: &Lab) {
    let place = Place::new(lab);
    place.run("cd {t} && touch file && mkdir used && {b} -s {t}/state2 {t}/used");
    let used = unmount(&place.folder.path().join("used"));
    let _used = Undo(place.fill(&format!("while {used}; do :; done")));
    let pid = place.run("head -n 1 {t}/state2/lock");
    let pid = pid.trim().to_string();
    let mut wrong = Vec::new();
    for (line, words) in REFUSED {
        wrong.extend(not_refused(&place, line, words, &pid));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub fn start_without_root(lab: &Lab) {
    let place = Place::new(lab);
    place.run("cd {t} && mkdir open && chmod 777 open");
    let wrong: Vec<String> = NOBODY
        .iter()
        .filter_map(|(line, words)| not_refused(&place, line, words, ""))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the way in which a start is refused.
fn not_refused(place: &Place<'_>, line: &str, words: &[&str], pid: &str) -> Option<String> {
    let line = place.fill(line);
    let (status, text) = attempt(&format!("{line} 2>&1 >/dev/null"));
    let words = words
        .iter()
        .map(|word| place.fill(&word.replace("{pid}", pid)));
    let named = words.clone().all(|word| text.contains(&word));
    let right = status == 1 && text.lines().count() == 1 && named && text.starts_with("mirrorfs: ");
    let left = place.is_mounted();
    (!right || left).then(|| format!("`{line}` ends with {status}, mounted: {left}: {text}"))
}

/// In a mount namespace without the control node and without what would let it
/// be made.
pub fn start_without_device_mapper(lab: &Lab) {
    let place = Place::new(lab);
    let hidden = "mount -t tmpfs none /dev/mapper && mount -t tmpfs none /sys/class/misc";
    for option in ["", "-f"] {
        let line = format!("unshare -m bash -c '{hidden} && exec {{m}} {option} {{p}}'");
        let wrong = not_refused(
            &place,
            &line,
            &["no device-mapper", "--engine embedded"],
            "",
        );
        assert_eq!(wrong, None);
    }
}

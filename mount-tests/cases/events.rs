//! The list of events: its lines, its size, and who follows it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::files::rest;
use super::progress::assert_lines;
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::shell::attempt;
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("lines", events),
    both("followed", followed),
    both("newest", newest),
    kernel_only(
        "of_others",
        "no other program can change an embedded mirror",
        of_others,
    ),
];

/// One line each, with a time, a name, a kind and a text; a true size.
fn events(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    mount.write("a/ctl", "suspend");
    mount.write("a/ctl", "resume");
    mount.try_write("a/ctl", "stop").expect_err("no verb");
    mount.try_write("new", "nonsense").expect_err("no request");
    mount.write("a/ctl", "remove");
    let text = mount.read("events");
    let time = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9:]+)";
    let lines: Vec<String> = text.split_inclusive('\n').map(Into::into).collect();
    assert_lines(&format!("{time} [^ ]+ [a-z]+ [^ ].*"), &lines, &mount);
    let words = |line: &String| {
        let mut words = line.split_whitespace().skip(1);
        [words.next().expect("a name"), words.next().expect("a kind")].join(" ")
    };
    let kinds: Vec<String> = lines
        .iter()
        .map(words)
        .filter(|words| words != "a synced")
        .collect();
    assert_eq!(
        kinds,
        [
            "a created",
            "a suspended",
            "a resumed",
            "a error",
            "- error",
            "a removed"
        ]
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" a error EINVAL: ") && line.contains("stop")),
        "{text}"
    );
    let size = fs::metadata(mount.path("events")).expect("stat").len();
    assert_eq!(size, text.len() as u64);
    let path = mount.path("events").display().to_string();
    let (_, shell) = attempt(&format!(
        "wc -l <{path}; wc -c <{path}; stat -c %s {path}; tail -n1 {path}; head -n1 {path}"
    ));
    let (count, last) = (lines.len(), lines.last().expect("an event"));
    assert_eq!(
        shell,
        format!("{count}\n{size}\n{size}\n{last}{}", lines[0])
    );
}

/// `tail -f` shows each event soon.
fn followed(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    let child = Command::new("tail")
        .args(["-n", "1", "-f"])
        .arg(mount.path("events"))
        .stdout(Stdio::piped())
        .spawn();
    let mut tail = child.expect("tail");
    let mut lines = BufReader::new(tail.stdout.take().expect("a pipe"));
    let mut line = String::new();
    let mut next = || {
        line.clear();
        lines.read_line(&mut line).expect("a line");
        line.clone()
    };
    // The last line there is, whichever that is.
    let first = next();
    assert!(first.contains(" a "), "{first}");
    for (verb, kind) in [("suspend", " a suspended "), ("resume", " a resumed ")] {
        let start = Instant::now();
        mount.write("a/ctl", verb);
        while !next().contains(kind) {}
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(2), "{verb} after {taken:?}");
    }
    tail.kill().expect("a child");
    tail.wait().expect("a child");
    mount.write("a/ctl", "remove");
}

/// The newest 1,024 are kept, and offsets go on.
fn newest(lab: &Lab) {
    let mount = lab.mount();
    let path = mount.path("events").display().to_string();
    let mut follower = mount.open("events");
    rest(&mut follower);
    let lines: String = (0..1100).map(|n| format!("{}\n", n % 100 + 1)).collect();
    mount.try_bytes("throttle", lines.as_bytes()).expect("set");
    let text = mount.read("events");
    assert_eq!(text.lines().count(), 1024);
    assert!(
        text.ends_with(" - set throttle 100\n"),
        "{}",
        &text[text.len() - 80..]
    );
    assert!(
        text.lines()
            .next()
            .is_some_and(|line| line.ends_with(" throttle 77")),
        "{}",
        &text[..80]
    );
    let all = rest(&mut follower);
    assert!(
        all.ends_with(&text[text.len() - 2000..]),
        "{}",
        &all[all.len() - 200..]
    );
    let (_, tail) = attempt(&format!("tail -n 3 {path}"));
    assert!(text.ends_with(&tail) && tail.lines().count() == 3, "{tail}");
    let (_, whole) = attempt(&format!("cat {path}"));
    assert!(
        whole == text,
        "cat: {} bytes, not {}",
        whole.len(),
        text.len()
    );
}

/// What another program does to mirrors is told too.
fn of_others(lab: &Lab) {
    let table = lab.equal(0, 1);
    let mount = lab.mount();
    mount.write("new", &format!("m: {table}"));
    let told = |words: &str| {
        wait_for(words, || mount.read("events").contains(words));
    };
    attempt("dmsetup rename m n");
    told(" n renamed from m, by another program");
    attempt("dmsetup remove n");
    told(" n removed ");
    attempt(&format!("dmsetup create f --table '{table}'"));
    told(" f created by another program");
    attempt("dmsetup remove f");
    told(" f removed ");
}

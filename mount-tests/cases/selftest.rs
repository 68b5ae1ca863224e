//! The tests' own promise: a case that fails while something waits, or that never ends, is
//! let go, tells what there was, and the next one runs.

use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, dm};
use crate::lab::perform::AFTERWARDS;
use crate::lab::shell::{attempt, output};

pub const CASES: &[Case] = &[kernel_only(
    "what_hangs_is_let_go",
    "only a device can hold up a writer",
    what_hangs_is_let_go,
)];

/// The variable by which the program runs [`BAD`] and nothing else.
pub const VARIABLE: &str = "MIRRORFS_SELFTEST";

/// Cases that fail, and one that does not.
pub const BAD: &[Case] = &[
    kernel_only("fails_while_a_writer_waits", "as above", fails).within(60),
    kernel_only("never_ends", "as above", never_ends).within(5),
    kernel_only("is_well", "as above", is_well),
];

fn fails(lab: &Lab) {
    create("held", "", &format!("0 8192 linear {} 0", lab.disk(0)));
    thread::scope(|scope| {
        dm("suspend held");
        scope.spawn(|| attempt("dd if=/dev/zero of=/dev/mapper/held bs=4k count=1 oflag=direct"));
        thread::sleep(Duration::from_millis(500));
        panic!("a failed expectation");
    });
}

fn never_ends(_: &Lab) {
    let (_never, wait) = channel::<()>();
    let _ = wait.recv();
}

fn is_well(lab: &Lab) {
    let mount = lab.mount();
    assert_eq!(mount.read("health"), "ok\n");
}

fn what_hangs_is_let_go(_: &Lab) {
    let (program, start) = (std::env::current_exe().expect("itself"), Instant::now());
    let ended = Command::new(program)
        .env(VARIABLE, "1")
        .env(AFTERWARDS, "6")
        .env_remove("MIRRORFS_SHARE")
        .output()
        .expect("itself");
    let text = [ended.stdout, ended.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    for words in [
        "a failed expectation",
        "everything is let go",
        "held: 0 8192 linear",
        "not through after 5s",
        "1 passed; 2 failed",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(start.elapsed() < Duration::from_secs(200), "{text}");
    assert_eq!(output("dmsetup ls"), "No devices found\n");
}

//! Records that are cut or overwritten: the mount comes up, the bad one is told of
//! and kept aside, the others work.

use std::fs;

use super::{away, events, lasting, records};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::dm::{dm, run};
use crate::lab::mount::Mount;
use nix::sys::signal::Signal;

pub const CASES: &[Case] = &[
    both("cut_at_any_length", cut),
    both("overwritten", overwritten),
    kernel_only(
        "killed_while_it_switched",
        "an embedded mirror ends with its daemon",
        killed_in_a_switch,
    ),
];

/// Two mirrors that are away; the path and the bytes of the record of `bad`.
fn two(lab: &Lab) -> (Mount, std::path::PathBuf, Vec<u8>) {
    let mount = lasting(lab);
    mount.mount("");
    mount.write("new", &format!("bad: {}", lab.equal(0, 1)));
    mount.write("new", &format!("good: {}", lab.equal(2, 3)));
    if lab.is_kernel() {
        mount.write("bad/persist", "yes");
        mount.write("good/persist", "yes");
    }
    away(&mount, &["bad", "good"]);
    let found = records(&mount).into_iter().find(|path| {
        fs::read_to_string(path)
            .expect("a record")
            .contains("\"bad\"")
    });
    let path = found.expect("its record");
    let bytes = fs::read(&path).expect("its record");
    (mount, path, bytes)
}

/// Mount with these bytes in the record, look, and leave all as it was.
fn mount_with(mount: &Mount, path: &std::path::Path, bytes: &[u8], what: &str) {
    fs::write(path, bytes).expect("written");
    mount.mount("");
    assert!(mount.exists("good") && !mount.exists("bad"), "{what}");
    let told = events(mount, "error");
    let told: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("kept aside"))
        .collect();
    assert_eq!(told.len(), 1, "{what}: {}", mount.read("events"));
    let aside = path.with_extension("bad");
    assert_eq!(fs::read(&aside).expect("kept aside"), bytes, "{what}");
    away(mount, &["good"]);
    fs::remove_file(aside).expect("removed");
}

/// The last one is whole: everything is there again.
fn whole(mount: &Mount, path: &std::path::Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    mount.mount("");
    for name in ["bad", "good"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

fn cut(lab: &Lab) {
    let (mount, path, bytes) = two(lab);
    // Each length is tried beside the code; here the mount is.
    let step = if crate::lab::long() { 29 } else { 211 };
    for length in (0..bytes.len()).step_by(step) {
        mount_with(&mount, &path, &bytes[..length], &format!("cut at {length}"));
    }
    whole(&mount, &path, &bytes);
}

fn overwritten(lab: &Lab) {
    let (mount, path, bytes) = two(lab);
    let noise: Vec<u8> = (0..bytes.len()).map(|at| (at * 37 % 251) as u8).collect();
    mount_with(&mount, &path, &noise, "noise");
    mount_with(&mount, &path, &vec![0; bytes.len()], "zeros");
    whole(&mount, &path, &bytes);
}

/// Suspended, by a daemon that was killed before it could resume: the next one does,
/// on the old table. What somebody suspended on purpose stays so.
fn killed_in_a_switch(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    for name in ["held", "switched"] {
        let legs = if name == "held" {
            lab.equal(0, 1)
        } else {
            lab.equal(2, 3)
        };
        mount.write("new", &format!("{name}: {legs}"));
        mount.write(&format!("{name}/persist"), "yes");
    }
    mount.kill(Signal::SIGKILL);
    for name in ["held", "switched"] {
        dm(&format!("suspend {name}"));
    }
    run(
        "dmsetup",
        &["reload", "switched", "--table", "0 2048 error"],
    );
    for path in records(&mount) {
        let text = fs::read_to_string(&path).expect("a record");
        if text.contains("\"switched\"") {
            let begun = "\"unfinished\": {\"stage\": \"reloading\", \"files\": []}";
            let text = text.replace("\"unfinished\": null", begun);
            fs::write(&path, text).expect("written");
        }
    }
    mount.mount("");
    assert_eq!(mount.read("held/suspended"), "1\n");
    assert_eq!(mount.read("switched/suspended"), "0\n");
    assert!(dm("table switched").contains(" mirror "));
    assert!(!dm("info switched").contains("INACTIVE"));
    assert_eq!(
        events(&mount, "resumed").len(),
        1,
        "{}",
        mount.read("events")
    );
    mount.write("held/ctl", "resume");
    for name in ["held", "switched"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

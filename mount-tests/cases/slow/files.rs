//! A file system that does not answer, below a mirror of the embedded engine: what is
//! known of its file is what it was, and is said to be.

use std::thread::{self, sleep};
use std::time::Duration;

use super::bench::{read_all, timed};
use crate::lab::case::{Case, embedded_only};
use crate::lab::disks::MIB;
use crate::lab::engine::no_root;
use crate::lab::{Lab, wait_for};

pub const CASES: &[Case] = &[embedded_only(
    "a_file_system_below_a_file",
    "the kernel's engine looks at no file to answer a read",
    below_a_file,
)
.needing(no_root)];

fn below_a_file(lab: &Lab) {
    let served = lab.served("net", 4 * MIB);
    let mount = lab.mount();
    let file = &served.file;
    let table = |one: usize, other: &str| {
        format!(
            "0 8192 mirror core 2 1024 nosync 2 {} 0 {other} 0",
            lab.disk(one)
        )
    };
    mount.write("new", &format!("hung: {}", table(0, file)));
    mount.write("new", &format!("bystander: {}", table(2, &lab.disk(3))));
    let before = mount.read("hung/legs/1/path");
    let stopped = served.stop();
    let soon = |what: &str, took: Duration| {
        println!("{what}: {took:?}");
        assert!(took < Duration::from_secs(1), "{what} took {took:?}");
    };
    let eight = || {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| mount.read("hung/health"));
            }
        });
    };
    soon("health by eight", timed(eight));
    sleep(Duration::from_millis(1200));
    let health = mount.read("hung/health");
    assert!(
        health.contains(", unknown: its file system has not answered for 1 s"),
        "{health}"
    );
    assert_eq!(mount.read("hung/legs/1/path"), before);
    soon("all its files", timed(|| read_all(&mount.path("hung"))));
    soon(
        "all of another",
        timed(|| read_all(&mount.path("bystander"))),
    );
    soon("ls", timed(|| drop(mount.list(""))));
    let verb = || {
        mount.write("bystander/ctl", "suspend");
        mount.write("bystander/ctl", "resume");
    };
    soon("a verb elsewhere", timed(verb));
    let made = || mount.write("new", &format!("another: {}", table(4, &lab.disk(5))));
    soon("new", timed(made));
    drop(stopped);
    wait_for("it is known again", || {
        !mount.read("hung/health").contains("unknown")
    });
    for name in ["hung", "bystander", "another"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

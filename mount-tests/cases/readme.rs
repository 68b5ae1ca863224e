//! The README's commands, run as they stand.

use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::mount::COMMAND;
use crate::lab::shell::{attempt, output};

pub const CASES: &[Case] = &[kernel_only(
    "commands",
    "the README mirrors block devices",
    commands_run,
)];

/// The lines of the README's shell block.
fn commands() -> String {
    let text = include_str!("../../README.md");
    let block = text.split("```sh\n").nth(1).expect("a shell block");
    block.split("```").next().expect("its end").into()
}

fn commands_run(_lab: &Lab) {
    // Three disks of the names that the README uses, each with its own memory.
    output(
        "modprobe scsi_debug add_host=3 per_host_store=1 dev_size_mb=32 delay=0; udevadm settle",
    );
    output("head -c 32M /dev/urandom >/dev/sdb; test -b /dev/sdc");
    let folder = std::path::Path::new(COMMAND)
        .parent()
        .expect("a folder")
        .display();
    let script = format!("set -eux\nPATH={folder}:$PATH\n{}", commands());
    let (status, text) = attempt(&script);
    attempt("umount /mnt/mirrors");
    assert_eq!(status, 0, "{text}");
    for line in ["\nok\n", "100.00\n", "old reloaded 0 65536 linear"] {
        assert!(text.contains(line), "no {line:?} in: {text}");
    }
    output("cmp /dev/sdb /dev/sdc; rm -r /mnt/mirrors; modprobe -r scsi_debug");
}

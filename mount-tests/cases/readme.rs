//! The README's commands, run as they stand.

use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only, kernel_only};
use crate::lab::mount::COMMAND;
use crate::lab::shell::{attempt, output};

pub const CASES: &[Case] = &[
    kernel_only(
        "commands",
        "its first commands mirror block devices",
        commands_run,
    ),
    embedded_only(
        "commands_without_root",
        "its second commands are for the embedded engine",
        commands_without_root,
    ),
];

/// Of the file system that is copied.
const UUID: &str = "0c2f7e1a-31a4-4c58-9f0b-5d6f3a7b8c9d";

/// The lines of one of the README's shell blocks, counted from 1.
fn commands(number: usize) -> String {
    let text = include_str!("../../README.md");
    let block = text.split("```sh\n").nth(number).expect("a shell block");
    block.split("```").next().expect("its end").into()
}

fn commands_without_root(lab: &Lab) {
    let folder = std::path::Path::new(COMMAND).parent().expect("a folder");
    let home = lab.path("home");
    std::fs::create_dir(&home).expect("a home");
    let home = home.display();
    output(&format!("head -c 16M /dev/urandom >{home}/disk.img"));
    let script = format!(
        "set -eux\ncd {home}\nexport HOME={home} PATH={}:$PATH\nunset XDG_STATE_HOME\n{}",
        folder.display(),
        commands(2)
    );
    let (status, text) = attempt(&script);
    attempt(&format!("fusermount3 -u {home}/mirrors"));
    assert_eq!(status, 0, "{text}");
    // A copy that ends at once shows no progress before.
    assert!(text.lines().any(|line| line == "ok"), "{text}");
    output(&format!("cmp {home}/disk.img {home}/copy.img"));
    // Nothing is left but what the commands name.
    crate::lab::wait_for("the daemon has left", || {
        attempt(&format!("ls -A {home}")).1 == "copy.img\ndisk.img\nmirrors\n"
    });
    output(&format!("rm -r {home}"));
}

fn commands_run(_lab: &Lab) {
    // Three disks of the names that the README uses, each with its own memory.
    output(
        "modprobe scsi_debug add_host=3 per_host_store=1 dev_size_mb=32 delay=0; udevadm settle",
    );
    for disk in ["sdb", "sdc"] {
        let model = std::fs::read_to_string(format!("/sys/block/{disk}/device/model"));
        assert_eq!(model.unwrap_or_default().trim(), "scsi_debug", "{disk}");
    }
    output(&format!(
        "head -c 32M /dev/urandom >/dev/sdb; test -b /dev/sdc; mkfs.ext4 -q -F -U {UUID} /dev/sdb; \
         udevadm settle"
    ));
    let whole = output("sha256sum </dev/sdb");
    let folder = std::path::Path::new(COMMAND)
        .parent()
        .expect("a folder")
        .display();
    let script = format!("set -eux\nPATH={folder}:$PATH\n{}", commands(1));
    let (status, text) = attempt(&script);
    attempt("umount /mnt/mirrors");
    assert_eq!(status, 0, "{text}");
    for line in ["\nok\n", "100.00\n", "old reloaded 0 65536 linear"] {
        assert!(text.contains(line), "no {line:?} in: {text}");
    }
    assert_eq!(output("sha256sum </dev/sdc"), whole);
    let link = output(&format!("readlink -f /dev/disk/by-uuid/{UUID}"));
    assert_eq!(link, "/dev/sdc\n", "what is mounted by UUID");
    output("rm -r /mnt/mirrors; udevadm settle; modprobe -r scsi_debug");
}

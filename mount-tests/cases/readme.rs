//! The README's commands, run as they stand.

mod pages;

use crate::lab::Lab;
use crate::lab::case::{Case, embedded_only, kernel_only};
use crate::lab::mount::COMMAND;
use crate::lab::shell::{Undo, attempt, output};

pub const CASES: &[Case] = &[
    kernel_only(
        "commands",
        "its first commands mirror block devices",
        commands_run,
    ),
    kernel_only("cookbook", "it mirrors block devices", cookbook),
    kernel_only("pages", "they mirror block devices", pages::pages),
    embedded_only(
        "commands_without_root",
        "its second commands are for the embedded engine",
        commands_without_root,
    ),
];

/// Of the file system that is copied.
const UUID: &str = "0c2f7e1a-31a4-4c58-9f0b-5d6f3a7b8c9d";

const README: &str = include_str!("../../README.md");

/// The lines of one of a page's shell blocks, counted from 1.
fn block(page: &str, number: usize) -> String {
    let block = page.split("```sh\n").nth(number).expect("a shell block");
    block.split("```").next().expect("its end").into()
}

/// Disks of the names that the documentation uses, each with its own memory, until this is
/// dropped.
fn named_disks() -> Undo {
    let end = Undo(
        "for i in $(seq 50); do udevadm settle; modprobe -r scsi_debug && break; sleep 0.2; done"
            .into(),
    );
    output(
        "modprobe scsi_debug add_host=5 per_host_store=1 dev_size_mb=32 delay=0; udevadm settle",
    );
    for disk in ["sdb", "sdc", "sdd", "sde"] {
        let model = std::fs::read_to_string(format!("/sys/block/{disk}/device/model"));
        assert_eq!(model.unwrap_or_default().trim(), "scsi_debug", "{disk}");
    }
    end
}

/// Where the program is.
fn folder() -> String {
    let folder = std::path::Path::new(COMMAND).parent().expect("a folder");
    folder.display().to_string()
}

/// The indented lines of one section of a page.
fn indented(page: &str, title: &str) -> String {
    let section = page
        .split("\n#")
        .map(|section| section.trim_matches(['#', ' ']));
    let mut sections = section.filter(|section| section.starts_with(title));
    let lines = sections.next().expect(title).lines();
    let lines = lines.filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A section of the cookbook as it stands, but for what it cannot know.
fn cook(title: &str, known: &[(&str, &str)]) -> String {
    let mut lines = indented(include_str!("../../docs/cookbook.md"), title);
    for (unknown, known) in known {
        assert!(lines.contains(unknown), "{title} has no {unknown}");
        lines = lines.replace(unknown, known);
    }
    let script = format!("set -eux\nPATH={}:$PATH\n{lines}", folder());
    let (status, text) = attempt(&script);
    let events = attempt("tail -n 3 /mnt/mirrors/events").1;
    assert_eq!(status, 0, "{title}: {text}\n{events}");
    text
}

fn cookbook(_lab: &Lab) {
    let disks = named_disks();
    output(&format!(
        "mkfs.ext4 -q -F -U {UUID} /dev/sdb; udevadm settle; mkdir -p /mnt/mirrors /srv; \
         groupadd -f storage; {}/mirrorfs /mnt/mirrors",
        folder()
    ));
    let undo = Undo(
        "umount /srv /home; umount /mnt/mirrors; fusermount3 -u /root/mirrors; \
         dmsetup remove --retry home; rm -rf /root/mirrors /mnt/mirrors /root/.local/state/mirrorfs"
            .into(),
    );
    let partitions = "kpartx -a /dev/mapper/old               # /dev/mapper/old1, old2, …\n\
                      mount /dev/mapper/old1 /srv\n\
                      umount /srv && kpartx -d /dev/mapper/old    # before `remove`\n";
    let named = format!("UUID={UUID}");
    cook(
        "Replace a dying disk",
        &[(partitions, ""), ("UUID=…", &named)],
    );
    let at = output("findmnt -no SOURCE /srv");
    assert_eq!(at, "/dev/sdc\n", "what is mounted by UUID");
    output("umount /srv");

    output(
        "dmsetup create home --table '0 65536 linear /dev/sdc 0'; mount /dev/mapper/home /home; \
         wipefs -qa /dev/sdd",
    );
    cook("Move a mounted file system", &[("/dev/sdc", "/dev/sdd")]);
    output("umount /home; dmsetup remove --retry home");

    output("wipefs -qa /dev/sdb /dev/sdc /dev/sdd; udevadm settle");
    output("echo 'old: /dev/sdb /dev/sdc' >/mnt/mirrors/new; cat /mnt/mirrors/old/follow");
    cook("Throttle on a busy machine", &[]);
    output("echo 100 >/mnt/mirrors/throttle");
    cook("Let somebody else control", &[]);
    cook(
        "Remove and replace disks",
        &[
            ("echo \"drop 1\"", "cat /mnt/mirrors/old/ctl; echo resume"),
            ("/dev/sdd", "/dev/sde"),
            ("add /dev/sde\" > /mnt", "add /dev/sdd\" > /mnt"),
        ],
    );
    output("cat /mnt/mirrors/old/follow");
    cook("The disk has bad spots", &[("watch cat", "cat")]);
    // Past the cache, in which what udev has read of a leg before it was copied may be.
    output(
        "direct() { dd if=$1 bs=1M iflag=direct status=none; }; \
         cmp <(direct /dev/sdb) <(direct /dev/sde)",
    );
    output("echo remove >/mnt/mirrors/old/ctl");

    output("ddrescue -q -f /dev/sdb /dev/sdc /root/sdb.map");
    cook("Go on where ddrescue was, or with ddrescue", &[]);
    assert_eq!(output("cat /mnt/mirrors/old/sync/state"), "in_sync\n");
    output("echo remove >/mnt/mirrors/old/ctl; rm /root/sdb.map");
    drop(undo);
    drop(disks);
}

fn commands_without_root(lab: &Lab) {
    let home = lab.path("home");
    std::fs::create_dir(&home).expect("a home");
    let home = home.display();
    output(&format!("head -c 16M /dev/urandom >{home}/disk.img"));
    let script = format!(
        "set -eux\ncd {home}\nexport HOME={home} PATH={}:$PATH\nunset XDG_STATE_HOME\n{}",
        folder(),
        block(README, 2)
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
    let disks = named_disks();
    output(&format!(
        "head -c 32M /dev/urandom >/dev/sdb; test -b /dev/sdc; mkfs.ext4 -q -F -U {UUID} /dev/sdb; \
         udevadm settle"
    ));
    let whole = output("sha256sum </dev/sdb");
    let script = format!("set -eux\nPATH={}:$PATH\n{}", folder(), block(README, 1));
    let (status, text) = attempt(&script);
    attempt("umount /mnt/mirrors");
    assert_eq!(status, 0, "{text}");
    for line in ["\nok\n", "100.00\n", "old reloaded 0 65536 linear"] {
        assert!(text.contains(line), "no {line:?} in: {text}");
    }
    assert_eq!(output("sha256sum </dev/sdc"), whole);
    let link = output(&format!("readlink -f /dev/disk/by-uuid/{UUID}"));
    assert_eq!(link, "/dev/sdc\n", "what is mounted by UUID");
    output("rm -r /mnt/mirrors");
    drop(disks);
}

//! The commands of the other pages, run as they stand.

use super::{block, folder, indented, named_disks};
use crate::lab::Lab;
use crate::lab::fragile::Fragile;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

const MACHINES: &str = include_str!("../../../docs/machines.md");
const TROUBLES: &str = include_str!("../../../docs/troubleshooting.md");
const SYSTEM: &str = include_str!("../../../docs/system.md");
const COOKBOOK: &str = include_str!("../../../docs/cookbook.md");

/// What these lines print; both streams.
fn run(lines: &str) -> String {
    let script = format!("set -eu\nPATH={}:$PATH\n{lines}", folder());
    let (status, text) = attempt(&script);
    assert_eq!(status, 0, "{lines}: {text}");
    text
}

pub fn pages(lab: &Lab) {
    let disks = named_disks();
    let breakable = lab.fragile(0, 65536);
    output("mkdir -p /mnt/mirrors");
    run("mirrorfs /mnt/mirrors");
    let undo = Undo("umount /mnt/mirrors; rmdir /mnt/mirrors; dmsetup remove --retry m0; dmsetup remove --retry mirror0".into());
    // The first lines of `troubleshooting.md` make a mirror, which gets a name.
    let answer = run(&indented(TROUBLES, "Troubleshooting").replace("tail -1", "tail -n 1"));
    assert!(answer.ends_with("mirror0\n"), "{answer}");
    output("mv /mnt/mirrors/mirror0 /mnt/mirrors/m0");
    for_machines();
    for_the_administrator();
    who_listens_is_told(&breakable);
    output("echo remove >/mnt/mirrors/m0/ctl");
    drop(undo);
    drop(disks);
}

fn for_machines() {
    output("cat /mnt/mirrors/m0/follow");
    let found = run(&block(MACHINES, 1));
    let whole = "{\n  \"percent\": 100,\n  \"eta\": null\n}\n";
    assert_eq!(found, whole, "all is well, so that it is all there is");
    output("echo suspend >/mnt/mirrors/m0/ctl");
    let found = run(&block(MACHINES, 1));
    output("echo resume >/mnt/mirrors/m0/ctl");
    assert!(found.starts_with("m0: suspended\n"), "{found}");
    let _link = Undo("rm -r /var/lib/prometheus".into());
    output("mkdir -p /var/lib/prometheus/node-exporter");
    let line = block(MACHINES, 2);
    run(&line);
    let at = line.split_whitespace().last().expect("where the link is");
    let figures = output(&format!("cat {at}"));
    assert!(
        figures.contains("mirrorfs_size_bytes{mirror=\"m0\"} "),
        "{figures}"
    );
}

fn for_the_administrator() {
    let lines = indented(SYSTEM, "The package");
    let lines = lines.lines().filter(|line| line.contains("--generate"));
    for line in lines {
        let at = line.rsplit(' ').next().expect("where it goes");
        output(&format!("mkdir -p $(dirname {at})"));
        run(line);
        assert!(
            output(&format!("cat {at}; rm {at}")).contains("mirrorfs"),
            "{at}"
        );
    }
    let state = run(&indented(COOKBOOK, "After a reboot")
        .replace("old", "m0")
        .replace("remove", "resume"));
    assert!(state.starts_with("ok\n"), "{state}");
}

/// Of a leg that fails, by what `logger` would have had.
fn who_listens_is_told(breakable: &Fragile) {
    let lines = indented(COOKBOOK, "Get notified of a failure");
    let _end = Undo(
        "pkill -x tail; kill $(cat /run/notifier); rm /run/notified /run/notifier; \
         echo remove >/mnt/mirrors/fails/ctl"
            .into(),
    );
    output(&format!(
        "logger() {{ echo \"$*\" >>/run/notified; }}\n\
         {{ {lines} }} >/dev/null 2>&1 </dev/null & echo $! >/run/notifier"
    ));
    wait_for("it listens", || attempt("pgrep -x tail").0 == 0);
    let path = &breakable.path;
    output(&format!(
        "echo 'fails: /dev/sdd {path}' >/mnt/mirrors/new; cat /mnt/mirrors/fails/follow"
    ));
    breakable.fail();
    attempt("dd if=/dev/zero of=/dev/mapper/fails bs=4k count=1 oflag=direct");
    let notified = "-p daemon.crit mirror fails: dropped leg 1 ";
    wait_for("it is told", || {
        attempt("cat /run/notified").1.contains(notified)
    });
    // The link may be wanted by udev, which has the device open for a moment.
    output("udevadm settle");
}

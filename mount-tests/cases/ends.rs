//! However the daemon ends, mirrors are there again at the next mount.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::neighbours::refused;
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks;
use crate::lab::dm::dm;
use crate::lab::shell::Undo;

pub const CASES: &[Case] = &[
    both("of_the_daemon", go_on_after_the_end),
    both("by_a_kill", go_on_after_a_kill),
];

/// A mirror that is written to while the daemon ends and starts.
fn is_alive(lab: &Lab, text: &[u8]) {
    assert_eq!(dm("info -c --noheadings -o name,suspended"), "m:Active\n");
    disks::put("/dev/mapper/m", 0, text);
    for number in [0, 1] {
        let disk = lab.disk(number);
        assert_eq!(disks::bytes(&disk, 0, text.len() as u64), text);
    }
}

/// However the daemon ends, the kernel's mirror goes on without it, and an
/// embedded one stops; mounted again, both are there.
fn go_on_after_the_end(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let (uuid, table) = (mount.read("m/uuid"), mount.read("m/table"));
    lab.assert_agrees(&mount, "m");
    for end in ["umount", "TERM", "INT"] {
        let daemon = mount.pid();
        match end {
            "umount" => mount.stop(),
            "TERM" => mount.kill(Signal::SIGTERM),
            _ => mount.kill(Signal::SIGINT),
        }
        assert_eq!(
            fs::read_dir(&mount.at).expect("a folder").count(),
            0,
            "still mounted"
        );
        if lab.is_kernel() {
            assert_eq!(dm("table m"), table);
            is_alive(lab, end.as_bytes());
        }
        mount.mount("");
        assert_ne!(mount.pid(), daemon);
        assert_eq!(
            (mount.read("m/uuid"), mount.read("m/table")),
            (uuid.clone(), table.clone())
        );
        let told = format!(" m {} ", lab.found_again());
        assert!(mount.read("events").contains(&told));
    }
    mount.write("m/ctl", "remove");
}

/// Killed, the daemon leaves a dead mountpoint; mounting over it works, and the
/// mirror, its loop devices and its log file are the daemon's again.
fn go_on_after_a_kill(lab: &Lab) {
    let mount = lab.mount();
    // Where mounting again fails, the mount's end cannot remove it.
    let _undo = lab.is_kernel().then(|| {
        let at = mount.at.display();
        Undo(format!("umount -l {at}; dmsetup remove --retry m; true"))
    });
    let log = mount.scratch("log");
    let (one, other) = (lab.disk(0), lab.disk(1));
    mount.write(
        "new",
        &format!("m: 0 2048 mirror disk 3 {log} 128 nosync 2 {one} 0 {other} 0 1 handle_errors"),
    );
    let (uuid, table) = (mount.read("m/uuid"), mount.read("m/table"));
    lab.assert_agrees(&mount, "m");
    // Made again, a mirror has to believe its log.
    let again = if lab.is_kernel() {
        table.clone()
    } else {
        table.replace("disk 3", "disk 2").replace(" nosync", "")
    };
    for round in 0..2 {
        mount.kill(Signal::SIGKILL);
        assert_eq!(refused(&mount, "status"), Some(Errno::ENOTCONN));
        if lab.is_kernel() {
            assert_eq!(dm("table m"), table);
            is_alive(lab, format!("round {round}").as_bytes());
        }
        mount.mount("");
        assert_eq!(
            (mount.read("m/uuid"), mount.read("m/table")),
            (uuid.clone(), again.clone())
        );
        assert_eq!(mount.read("m/sync/state"), "in_sync\n");
        assert_eq!(mount.read("m/log/file").trim(), log);
    }
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let at = format!(" {} ", mount.at.display());
    assert_eq!(
        mounts.lines().filter(|line| line.contains(&at)).count(),
        1,
        "{mounts}"
    );
    mount.write("m/ctl", "remove");
    assert!(!Path::new(&log).exists(), "the log stays");
    mount.stop();
    assert_eq!(
        fs::read_dir(&mount.at).expect("a folder").count(),
        0,
        "still mounted"
    );
}

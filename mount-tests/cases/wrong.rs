//! Two hundred requests that are nearly right: typing errors, wrong units, swapped
//! devices, names with odd bytes. None makes or changes a device.

mod words;

use nix::errno::Errno;

use self::words::{IN_SHORT, IN_TABLE, SHORT, TABLE};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::{MIB, bytes};
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::traces::Traces;

pub const CASES: &[Case] = &[both("two_hundred", two_hundred), both("to_ctl", to_ctl)];

fn lines(lab: &Lab) -> Vec<String> {
    let (a, b) = (lab.disk(0), lab.disk(1));
    let mut lines = Vec::new();
    for (right, wrong) in [(TABLE, IN_TABLE), (SHORT, IN_SHORT)] {
        for (place, words) in wrong {
            for word in *words {
                let mut line: Vec<&str> = right.split(' ').collect();
                line[*place] = word;
                lines.push(line.join(" ").replace("{a}", &a).replace("{b}", &b));
            }
        }
    }
    // Swapped: what is wanted would be written over.
    lines.push(format!("m: {b} {a}"));
    lines.push(format!("m: {b} {a} sync=no"));
    lines
}

/// The disks hold a file system and nothing: each request leaves them so.
fn two_hundred(lab: &Lab) {
    let (a, b) = (lab.zeroed(0), lab.zeroed(1));
    output(&format!("mkfs.ext4 -qF {a} 16M 2>&1; sync"));
    let mount = lab.mount();
    let (right, lines) = (TABLE.replace("{a}", &a).replace("{b}", &b), lines(lab));
    assert!(lines.len() >= 200, "{}", lines.len());
    let disks = || (bytes(&a, 0, 2 * MIB), bytes(&b, 0, 2 * MIB));
    let (before, traces) = (disks(), Traces::now(lab, lab.folder()));
    let mut accepted = Vec::new();
    for line in &lines {
        match mount.try_write("new", line) {
            Ok(name) => {
                accepted.push(line.clone());
                mount.write(&format!("{}/ctl", name.trim()), "remove");
            }
            Err((errno, why)) => assert_told(line, errno, &why),
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    assert!(disks() == before, "a disk is another");
    let changes = traces.changes(lab, lab.folder());
    assert!(changes.is_empty(), "{changes:?}");
    println!("{} requests", lines.len());
    // What they are near to is right.
    mount.write("new", &right);
    mount.write("m/ctl", "remove");
}

fn assert_told(line: &str, errno: Errno, why: &str) {
    let known = [
        Errno::EINVAL,
        Errno::ENOENT,
        Errno::ENODEV,
        Errno::ENOSPC,
        Errno::ENOTEMPTY,
        Errno::EBUSY,
        Errno::ENOTBLK,
    ];
    assert!(known.contains(&errno), "{line}: {errno}: {why}");
    let sentence = why.trim_end_matches('\n');
    let odd = sentence.is_empty() || sentence.contains(char::is_control);
    assert!(!odd, "{line}: {why:?}");
}

/// The same of a mirror's own files.
fn to_ctl(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let (table, devices) = (mount.read("m/table"), lab.devices(&mount));
    let wrong = |mount: &Mount, file: &str, line: &str| {
        let (errno, why) = mount.try_write(file, line).expect_err(line);
        match file {
            "m/ctl" => assert_told(line, errno, &why),
            _ => assert_eq!(errno, Errno::EINVAL, "{file}: {line}"),
        }
        assert_eq!(mount.read("m/table"), table, "{file}: {line}");
        assert_eq!(mount.read("m/suspended"), "0\n", "{file}: {line}");
        assert_eq!(lab.devices(mount), devices, "{file}: {line}");
    };
    let other = lab.disk(2);
    for line in [
        "",
        " ",
        "stop",
        "Finish",
        "finish now",
        "finish -1",
        "finish 2",
        "finish 1 0",
        "finished",
        "abort 0",
        "drop",
        "drop -1",
        "drop 2",
        "drop one",
        "drop 0 1",
        "add",
        "add sdc",
        "add /dev/nowhere",
        "add /dev/null",
        "replace",
        "replace 1",
        "replace /dev/nowhere 1",
        "replace 2 /dev/nowhere",
        "suspend flush",
        "suspend noflush now",
        "resume now",
        "retry 1",
        "resync 1",
        "grow 0",
        "grow 1",
        "grow -1G",
        "grow 1X",
        "remove now",
        "remove deferred now",
        "rm",
        "remove\u{7f}",
        "ｆinish",
    ] {
        wrong(&mount, "m/ctl", line);
    }
    for line in [
        format!("add {other}@256M"),
        format!("add {}", lab.disk(0)),
        format!("replace 1 {}", lab.disk(0)),
        format!("replace 7 {other}"),
        "grow 1T".into(),
    ] {
        wrong(&mount, "m/ctl", &line);
    }
    for line in [
        "",
        "0 2048",
        "0 2048 mirror",
        "yes",
        "m: 0 2048 linear /dev/nowhere 0",
    ] {
        wrong(&mount, "m/table", line);
    }
    for (file, lines) in [
        ("m/persist", ["", "Yes", "1", "yes no"]),
        ("m/on_failure", ["", "Drop", "0", "drop hold"]),
        ("throttle", ["", "0", "101", "50%%"]),
    ] {
        lines.iter().for_each(|line| wrong(&mount, file, line));
    }
    mount.write("m/ctl", "remove");
}

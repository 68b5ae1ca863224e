//! Only a log file that mirrorfs made itself is ever deleted.

use std::fs;

use super::is_missing;
use crate::cases::records::{away, lasting, records};
use crate::lab::Lab;
use crate::lab::dm::dm;
use crate::lab::mount::Mount;

const LENGTH: u64 = 2048;

fn table(lab: &Lab, log: &str) -> String {
    let (one, other) = (lab.disk(0), lab.disk(1));
    format!("0 {LENGTH} mirror disk 2 {log} 128 2 {one} 0 {other} 0 1 handle_errors")
}

fn core(lab: &Lab) -> String {
    let (one, other) = (lab.disk(0), lab.disk(1));
    format!("0 {LENGTH} mirror core 2 128 nosync 2 {one} 0 {other} 0 1 handle_errors")
}

/// A file of the user's.
fn blank(mount: &Mount, name: &str) -> String {
    let path = mount.scratch(name);
    fs::write(&path, [0; 8192]).expect("a file");
    path
}

/// Every way in which a mirror or its table goes: (how, to be done).
type Way = (&'static str, fn(&Lab, &Mount));

const WAYS: &[Way] = &[
    ("remove", |_, mount| mount.write("m/ctl", "remove")),
    ("rmdir", |_, mount| {
        fs::remove_dir(mount.path("m")).expect("removed");
    }),
    ("remove deferred", |_, mount| {
        mount.write("m/ctl", "remove deferred")
    }),
    ("finish", |_, mount| {
        mount.wait_in_sync("m");
        mount.write("m/ctl", "finish");
        mount.write("m/ctl", "remove");
    }),
    ("abort", |_, mount| {
        mount.write("m/ctl", "abort");
        mount.write("m/ctl", "remove");
    }),
    ("another table", |lab, mount| {
        mount.write("m/table", &core(lab));
        mount.write("m/ctl", "remove");
    }),
    ("a made log, then remove", |lab, mount| {
        let made = mount.scratch("made");
        mount.write("m/table", &table(lab, &made));
        assert!(!is_missing(&made));
        mount.write("m/ctl", "remove");
        assert!(is_missing(&made), "the made log stays");
    }),
    ("a refused table", |lab, mount| {
        let wrong = table(lab, &mount.scratch("made")).replace("128 2", "100 2");
        assert!(mount.try_write("m/table", &wrong).is_err());
        mount.write("m/ctl", "remove");
    }),
];

pub fn users_logs_stay(lab: &Lab) {
    let mount = lab.mount();
    for (way, go) in WAYS {
        for ours in [false, true] {
            let log = if ours {
                mount.scratch("ours")
            } else {
                blank(&mount, "users")
            };
            mount.write("new", &format!("m: {}", table(lab, &log)));
            go(lab, &mount);
            assert_eq!(is_missing(&log), ours, "{way}, made by us: {ours}");
            let _ = fs::remove_file(&log);
        }
    }
    // Of a request that failed nothing goes that was there before.
    let log = blank(&mount, "users");
    let refused = table(lab, &log).replace(&lab.disk(1), "/dev/nowhere");
    mount
        .try_write("new", &format!("m: {refused}"))
        .expect_err("refused");
    assert!(!is_missing(&log));
}

/// What is known of a log outlives the daemon, killed or not, and the machine.
pub fn over_a_restart(lab: &Lab) {
    for ours in [false, true] {
        for reboot in [false, true] {
            let mount = lasting(lab);
            mount.mount("");
            let log = if ours {
                mount.scratch("ours")
            } else {
                blank(&mount, "users")
            };
            mount.write("new", &format!("m: {}", table(lab, &log)));
            mount.wait_in_sync("m");
            if reboot {
                away(&mount, &["m"])
            } else {
                mount.stop()
            }
            mount.mount("");
            assert!(!is_missing(&log), "ours: {ours}, reboot: {reboot}");
            mount.write("m/ctl", "remove");
            assert_eq!(is_missing(&log), ours, "reboot: {reboot}");
            // Forgotten without having been started again.
            let log = if ours {
                mount.scratch("ours2")
            } else {
                blank(&mount, "users2")
            };
            mount.write("new", &format!("m: {}", table(lab, &log)));
            away(&mount, &["m"]);
            mount.mount("--no-restore");
            mount.write("m/ctl", "remove");
            assert_eq!(is_missing(&log), ours, "forgotten");
        }
    }
}

/// A log that mirrorfs made, and that was given to it again, is the user's.
pub fn given_again(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let log = mount.scratch("log");
    mount.write("new", &format!("m: {}", table(lab, &log)));
    mount.wait_in_sync("m");
    // Somebody takes the device away; its log stays, and so does its record.
    if lab.is_kernel() {
        drop(dm("remove --retry m"))
    } else {
        away(&mount, &["m"])
    }
    if !lab.is_kernel() {
        mount.mount("--no-restore");
    } else {
        crate::lab::wait_for("it is seen", || {
            mount.read("m/health").starts_with("failed\n")
        });
        mount.stop();
        mount.mount("--no-restore");
    }
    assert!(!is_missing(&log));
    mount.write("new", &format!("again: {}", table(lab, &log)));
    // The old one is forgotten: its log is in use by another.
    mount.write("m/ctl", "remove");
    assert!(!is_missing(&log), "the log of another mirror was removed");
    mount.write("again/ctl", "remove");
    assert!(!is_missing(&log), "a log given again was removed");
}

/// A record of before says nothing of who made a log: only one in the folder of
/// mirrorfs itself goes.
pub fn of_old_records(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let outside = mount.scratch("outside");
    for auto in [false, true] {
        let line = if auto {
            format!("m: {} {} length=1M force=yes", lab.disk(0), lab.disk(1))
        } else {
            format!("m: {}", table(lab, &outside))
        };
        mount.write("new", &line);
        mount.wait_in_sync("m");
        let file = mount.read("m/log/file").trim().to_owned();
        mount.stop();
        let [record] = &records(&mount)[..] else {
            panic!("one record")
        };
        let text = fs::read_to_string(record).expect("a record");
        let mut old: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let known = old.as_object_mut().expect("an object").remove("made");
        assert!(known.is_some(), "{text}");
        fs::write(record, old.to_string()).expect("an old record");
        mount.mount("");
        mount.write("m/ctl", "remove");
        assert_eq!(is_missing(&file), auto, "{file}");
    }
}

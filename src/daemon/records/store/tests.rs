//! Records written, broken, and left by a crash.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::daemon::records::record::{RecordedDevice, Stage, Unfinished};
use crate::engine::Kind;
use crate::engine::identity::{DeviceId, DeviceKind, FileId, Identity, LoopId};
use crate::error::Errno;
use crate::model::check::Check;
use crate::model::ownership::Ownership;
use crate::model::policy::{Dropped, OnFailure};
use crate::model::settings::{Settings, SettingsEdit};
use crate::model::spots::Spot;
use crate::text::letter::Letter;

fn record(name: &str, uuid: &str) -> Record {
    Record {
        version: VERSION,
        name: name.into(),
        uuid: uuid.into(),
        engine: Some(Kind::Kernel),
        withdrawn: true,
        read_only: false,
        suspended: true,
        table: vec!["0 8 mirror core 1 2 2 /a\\ b 0 8:1 0".into()],
        places: vec![RecordedDevice {
            device: "8:1".into(),
            identity: Identity::Device(DeviceId {
                node: "/dev/sda1".into(),
                kind: Some(DeviceKind::Partition {
                    number: 1,
                    start: Some(512),
                }),
                ids: [("wwid".to_string(), "naa.5".to_string())].into(),
                common: ["wwid".to_string()].into(),
                size: 4096,
                block_size: Some(512),
            }),
            ours: false,
        }],
        settings: Settings {
            persist: true,
            ownership: [("ctl".to_string(), Ownership::default())].into(),
            on_failure: OnFailure::Hold,
            dropped: vec![Dropped {
                leg: Some(1),
                node: "/dev/sdb".into(),
                letter: Letter::WriteFailed,
            }],
            temporary_nosync: true,
            adopted: true,
            bad: vec![Spot {
                start: 8,
                length: 1,
            }],
            aside: Vec::new(),
            limit: Some(5 << 20),
            ahead: vec![Spot {
                start: 64,
                length: 64,
            }],
            aside_last: true,
            apart: true,
            check: Some(Arc::new(Check::new(vec!["8:0@0".into()], 8))),
        },
        made: Some(vec![Identity::File(FileId {
            path: "/a/log".into(),
            inode: 7,
            file_system: None,
            born: Some("1.5".into()),
            size: 4096,
        })]),
        unfinished: Some(Unfinished {
            stage: Stage::Reloading,
            files: vec!["/a/log".into()],
            afresh: true,
            undo: Some(Box::new(SettingsEdit {
                aside: Some(vec![Spot {
                    start: 8,
                    length: 16,
                }]),
                ..SettingsEdit::default()
            })),
        }),
    }
}

#[test]
fn records_come_back_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    assert!(records.all().unwrap().is_empty());
    let (one, two) = (record("a", "MIRRORFS-1"), record("b", "../x/.."));
    records.write(&one).unwrap();
    records.write(&two).unwrap();
    let renamed = record("c", "MIRRORFS-1");
    records.write(&renamed).unwrap();
    let all = records.all().unwrap().into_iter();
    let all: Vec<Record> = all.map(|(_, record)| record.unwrap()).collect();
    assert_eq!(all, [two, renamed]);
    records.remove("MIRRORFS-1").unwrap();
    records.remove("MIRRORFS-1").unwrap();
    records.remove("../x/..").unwrap();
    records.close();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_record_cut_or_broken_anywhere_is_none_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    records.write(&record("a", "A")).unwrap();
    records.write(&record("b", "B")).unwrap();
    let path = folder.path().join("mirrors/A.json");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let all = records.all().unwrap();
        assert!(all[0].1.is_err() && all[1].1.is_ok(), "{length}");
    }
    let aside = records.put_aside(&path).unwrap();
    assert!(aside.exists() && records.all().unwrap().len() == 1);
    let text = String::from_utf8(whole).unwrap();
    fs::write(&path, text.replace("\"version\": 2", "\"version\": 3")).unwrap();
    let unread = records.all().unwrap().remove(0).1.unwrap_err();
    assert!(unread.error.sentence().contains("version 3") && !unread.garbage);
}

#[test]
fn what_was_being_written_goes_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    records.sweep();
    records.write(&record("a", "A")).unwrap();
    for name in ["A.new", "B.new"] {
        fs::write(folder.path().join("mirrors").join(name), "{").unwrap();
    }
    records.sweep();
    let left = fs::read_dir(folder.path().join("mirrors")).unwrap();
    assert_eq!(left.count(), 1);
    assert!(records.get("A").is_some());
}

#[test]
fn what_the_folder_could_not_flush_is_not_settled_until_it_is_done_again() {
    static FAILS: AtomicBool = AtomicBool::new(true);
    let folder = tempfile::tempdir().unwrap();
    let records = Records {
        sync: |folder| {
            if FAILS.load(Relaxed) {
                Err(Errno::EIO.into())
            } else {
                sync_folder(folder)
            }
        },
        ..Records::below(folder.path())
    };
    let (one, two) = (record("a", "A"), record("b", "B"));
    for record in [&one, &two] {
        let error = records.write(record).unwrap_err();
        assert_eq!(error.errno(), Errno::EIO);
    }
    assert!(!records.is_settled("A") && records.get("A") == Some(one.clone()));
    FAILS.store(false, Relaxed);
    records.write(&one).unwrap();
    assert!(records.is_settled("A") && !records.is_settled("B"));
    FAILS.store(true, Relaxed);
    // Removed, and again: it may still be on the disk.
    assert!(records.remove("A").is_err() && records.remove("A").is_err());
    FAILS.store(false, Relaxed);
    records.remove("A").unwrap();
    assert!(records.is_settled("A"));
}

#[test]
fn what_makes_no_file_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    for uuid in ["", &"/".repeat(100)] {
        let error = records.write(&record("a", uuid)).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
    }
}

#[test]
fn what_may_be_a_record_is_told_from_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    records.write(&record("a", "A")).unwrap();
    assert_eq!(records.has_doubts(), Ok(false));
    let path = folder.path().join("mirrors/A.json");
    let text = fs::read_to_string(&path).unwrap();
    let unread = || records.all().unwrap().remove(0).1.unwrap_err();
    for (from, to, garbage) in [
        ("\"version\": 2", "\"version\": 3, \"new\": [1]", false),
        ("\"version\": 2", "\"version\": 0", false),
        ("\"version\": 2", "\"version\": \"2\"", true),
        ("\"name\": \"a\"", "\"name\": \"a/b\"", true),
        ("\"name\": \"a\"", "\"name\": \".\"", true),
        ("\"name\": \"a\"", "\"name\": \"new\"", true),
        ("\"name\": \"a\"", "\"name\": \"\\u0000\"", true),
        ("\"name\": \"a\"", "\"name\": \"\"", true),
        ("\"uuid\": \"A\"", "\"uuid\": \"B\"", true),
        ("/dev/sdb", "/dev/sdb\\nforged", true),
        ("/dev/sda1", "/dev/sda1\\n", true),
        ("\"8:1\"", "\"sda\"", true),
        ("\"ctl\"", "\"c\\ttl\"", true),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        assert_eq!(unread().garbage, garbage, "{to}: {:?}", unread());
        assert_eq!(records.has_doubts(), Ok(true));
    }
    fs::write(&path, text.replace("\"version\": 2", "\"version\": 3")).unwrap();
    assert!(
        records.write(&record("a", "A")).is_err(),
        "over one of another version"
    );
    let set = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    fs::write(&path, &text).unwrap();
    set(0o622);
    assert!(!unread().garbage);
    set(0o600);
    fs::rename(&path, folder.path().join("real")).unwrap();
    symlink(folder.path().join("real"), &path).unwrap();
    assert!(!unread().garbage);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!unread().garbage);
    fs::remove_dir(&path).unwrap();
    assert_eq!(records.has_doubts(), Ok(false));
    fs::write(path.with_extension("bad"), "").unwrap();
    assert_eq!(records.has_doubts(), Ok(true));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    for name in ["a/b", "", ".", "new", "a\nb"] {
        let error = records.write(&record(name, "A")).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL, "{name}");
    }
    // What others may call their devices.
    for name in ["a b", "a\\x20b", "größe"] {
        records.write(&record(name, "A")).unwrap();
        assert!(records.get("A").is_some(), "{name}");
    }
}

/// One as the first version wrote it: a partition, a loop device of somebody's, and a
/// file that mirrorfs attached.
const OLD: &str = r#"{
  "version": 1, "name": "m", "uuid": "A", "read_only": false, "suspended": false,
  "table": ["0 8 mirror core 1 2 2 8:1 0 7:0 0"],
  "places": [
    {"device": "8:1", "ours": false, "identity": {"device": {"node": "/dev/sda1",
      "ids": {"ID_SERIAL": "x", "partition": "1"}, "size": 4096}}},
    {"device": "7:0", "ours": false, "identity": {"file": {"path": "/a", "inode": 7,
      "file_system": null, "size": 4096}}},
    {"device": "7:1", "ours": true, "identity": {"file": {"path": "/b", "inode": 8,
      "file_system": null, "size": 4096}}}
  ],
  "persist": true, "looks": {}, "unfinished": null
}"#;

#[test]
fn a_record_of_the_first_version_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::below(folder.path());
    fs::create_dir(folder.path().join("mirrors")).unwrap();
    fs::write(folder.path().join("mirrors/A.json"), OLD).unwrap();
    let record = records.all().unwrap().remove(0).1.unwrap();
    let identity = |number: usize| record.places[number].identity.clone();
    assert!(
        matches!(identity(0), Identity::Device(device) if device.kind() == DeviceKind::Partition { number: 1, start: None })
    );
    assert!(matches!(
        identity(1),
        Identity::Loop(LoopId { window: None, .. })
    ));
    assert!(matches!(identity(2), Identity::File(file) if file.born.is_none()));
    records.write(&record).unwrap();
    let again = records.all().unwrap().remove(0).1.unwrap();
    assert_eq!((again.version, &again), (VERSION, &record));
}

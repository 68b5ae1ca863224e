//! Snapshots made of text, and what is judged of them.

use super::failure::{Hurt, Verdict, again, assess, hurt};
use super::health::State;
use super::snapshot::{Found, Known, Snapshot, Unresponsive};
use crate::engine::Info;
use crate::text::device::DevNo;
use crate::text::table::Line;

fn line(text: &str) -> Line {
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().expect("a word").to_owned();
    Line {
        start: word().parse().expect("a start"),
        length: word().parse().expect("a length"),
        kind: word(),
        params: word(),
    }
}

/// A mirror of 64 sectors in 8 regions, with these words of its table and status.
pub(crate) fn snapshot(log: &str, legs: usize, status: &str, known: Known) -> Snapshot {
    let devices: Vec<String> = (0..legs).map(|leg| format!("8:{leg} {leg}")).collect();
    let names: Vec<String> = (0..legs).map(|leg| format!("8:{leg}")).collect();
    let (devices, names) = (devices.join(" "), names.join(" "));
    let table = line(&format!(
        "0 64 mirror {log} {legs} {devices} 1 handle_errors"
    ));
    let tail = if log.starts_with("disk") && status.split(' ').count() == 2 {
        " 3 disk 8:9 A"
    } else if log.starts_with("disk") {
        ""
    } else {
        " 1 core"
    };
    let (count, letters) = status.split_once(' ').expect("two words");
    let status = line(&format!(
        "0 64 mirror {legs} {names} {count} 1 {letters}{tail}"
    ));
    let [table, status] = [table, status].map(|line| line.to_string());
    segments(&[&table], &[&status], known)
}

/// A mirror of several targets, with these lines of its table and status.
pub(crate) fn segments(table: &[&str], status: &[&str], known: Known) -> Snapshot {
    let lines = |texts: &[&str]| texts.iter().map(|text| line(text)).collect();
    let dev = DevNo {
        major: 254,
        minor: 0,
    };
    let info = Info {
        live: true,
        ..Info::bare("m", "MIRRORFS-1", dev)
    };
    let (status, lines) = (lines(status), lines(table));
    Snapshot::new(info, status, Vec::into(lines), Some(1), known, &|_| {
        Found::Unknown
    })
}

/// What a mirror is switched to, or why it is not.
fn way_on(log: &str, legs: usize, status: &str, was_in_sync: bool) -> String {
    let known = Known {
        in_sync_life: was_in_sync.then_some(1),
        ..Known::default()
    };
    match assess(&snapshot(log, legs, status, known)) {
        Verdict::Healthy => "healthy".into(),
        Verdict::Hold(reason) => format!("hold: {reason}"),
        Verdict::Switch(switch) => {
            let lines = switch.table.to_lines();
            let params: Vec<&str> = lines.iter().map(|line| line.params.as_str()).collect();
            params.join(",")
        }
    }
}

#[test]
fn the_way_on_after_a_failure() {
    let core = "core 1 8";
    let disk = "disk 2 8:9 8";
    let one = "8:1 1";
    for (log, legs, status, was_in_sync, wanted) in [
        (core, 2, "8/8 AA", true, "healthy"),
        (core, 2, "7/8 AS", true, "healthy"),
        (core, 2, "8/8 RA", true, "healthy"),
        (core, 2, "7/8 AD", true, "8:0 0"),
        (core, 2, "7/8 DA", true, one),
        (core, 2, "7/8 FA", true, one),
        (core, 2, "7/8 UA", true, one),
        (core, 2, "7/8 AD", false, "8:0 0"),
        (
            core,
            3,
            "7/8 ADA",
            true,
            "core 2 8 nosync 2 8:0 0 8:2 2 1 handle_errors",
        ),
        (
            core,
            3,
            "7/8 DRA",
            true,
            "core 2 8 nosync 2 8:2 2 8:1 1 1 handle_errors",
        ),
        (
            core,
            3,
            "7/8 DSA",
            true,
            "core 1 8 2 8:2 2 8:1 1 1 handle_errors",
        ),
        (
            core,
            3,
            "7/8 ADA",
            false,
            "core 1 8 2 8:0 0 8:2 2 1 handle_errors",
        ),
        (
            core,
            3,
            "7/8 RDA",
            false,
            "core 1 8 2 8:0 0 8:2 2 1 handle_errors",
        ),
        (
            disk,
            3,
            "7/8 ADA",
            true,
            "disk 3 8:9 8 nosync 2 8:0 0 8:2 2 1 handle_errors",
        ),
        (
            disk,
            3,
            "7/8 ADA",
            false,
            "disk 2 8:9 8 2 8:0 0 8:2 2 1 handle_errors",
        ),
        (
            disk,
            3,
            "7/8 DSA",
            true,
            "disk 2 8:9 8 2 8:2 2 8:1 1 1 handle_errors",
        ),
        (
            disk,
            2,
            "8/8 AA 3 disk 8:9 D",
            true,
            "core 2 8 nosync 2 8:0 0 8:1 1 1 handle_errors",
        ),
        (
            disk,
            2,
            "4/8 AA 3 disk 8:9 F",
            false,
            "core 1 8 2 8:0 0 8:1 1 1 handle_errors",
        ),
        (disk, 2, "4/8 AD 3 disk 8:9 D", false, "8:0 0"),
        (core, 2, "7/8 DD", true, "hold: all legs have failed"),
        (
            core,
            2,
            "4/8 DA",
            false,
            "hold: leg 0 8:0 is the only whole copy: the others were not in sync when it failed",
        ),
        (
            core,
            4,
            "7/8 DAAD",
            false,
            "hold: leg 0 8:0 is the only whole copy: the others were not in sync when it failed",
        ),
    ] {
        assert_eq!(
            way_on(log, legs, status, was_in_sync),
            wanted,
            "{log} {status} {was_in_sync}"
        );
    }
}

#[test]
fn what_is_not_tracked_or_not_known_is_left_alone() {
    let mut plain = snapshot("core 1 8", 2, "7/8 AD", Known::default());
    for part in &mut plain.parts {
        let mirror = part.mirror.as_mut().expect("a mirror");
        mirror.features.handle_errors = false;
    }
    assert_eq!(assess(&plain), Verdict::Healthy);
    let mut dumb = snapshot("core 1 8", 2, "7/8 AD", Known::default());
    dumb.parts.iter_mut().for_each(|part| part.status = None);
    assert_eq!(assess(&dumb), Verdict::Healthy);
    let mut kept = snapshot("core 1 8", 2, "7/8 AD", Known::default());
    for part in &mut kept.parts {
        let mirror = part.mirror.as_mut().expect("a mirror");
        mirror.features.keep_log = true;
    }
    assert!(matches!(assess(&kept), Verdict::Hold(reason) if reason.contains("keep_log")));
}

#[test]
fn errors_hurt_until_all_is_in_sync() {
    for (status, wanted) in [
        ("8/8 AA", Hurt::None),
        ("8/8 RA", Hurt::None),
        ("7/8 AS", Hurt::Targets),
        ("7/8 SA", Hurt::Source),
        ("7/8 AA", Hurt::None),
    ] {
        let snapshot = snapshot("core 1 8", 2, status, Known::default());
        assert_eq!(hurt(&snapshot), wanted, "{status}");
    }
}

/// A leg that no longer answers counts as failed, whatever the kernel's letter.
#[test]
fn a_silent_leg_goes() {
    let known = Known {
        unresponsive: Unresponsive {
            legs: vec![1],
            life: Some(1),
        },
        ..Known::default()
    };
    let snapshot = snapshot("core 1 8", 2, "4/8 AS", known);
    assert!(matches!(assess(&snapshot), Verdict::Switch(switch) if switch.legs == [1]));
    assert_eq!(State::of(&snapshot), State::Degraded);
}

#[test]
fn again_the_best_leg_comes_first_and_no_log_is_forged() {
    for (log, status, was_in_sync, wanted) in [
        (
            "disk 3 8:9 8 nosync",
            "7/8 DA",
            true,
            "disk 2 8:9 8 2 8:1 1 8:0 0 1 handle_errors",
        ),
        (
            "disk 3 8:9 8 nosync",
            "7/8 SA",
            false,
            "disk 2 8:9 8 2 8:0 0 8:1 1 1 handle_errors",
        ),
        (
            "core 2 8 nosync",
            "7/8 AS",
            true,
            "core 1 8 2 8:0 0 8:1 1 1 handle_errors",
        ),
        (
            "core 2 8 nosync",
            "8/8 AA",
            true,
            "core 2 8 nosync 2 8:0 0 8:1 1 1 handle_errors",
        ),
    ] {
        let mut snapshot = snapshot(log, 2, status, Known::default());
        snapshot.was_in_sync |= was_in_sync;
        let lines = again(&snapshot).to_lines();
        assert_eq!(lines[0].params, wanted, "{log} {status}");
    }
}

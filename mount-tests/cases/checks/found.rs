//! What differs is found, to the sector, and told wherever it is looked for.

use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Compared, REGION, SIZE, differs, is_clean, plant, sum};
use crate::cases::records::refused;
use crate::lab::disks::{MIB, assert_equal, assert_equal_at};
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_for};

/// The first and the last sector, across a region's border, on one of three legs or on two.
pub fn planted(lab: &Lab) {
    let m = Compared::new(lab, 3);
    assert_eq!(m.m("check"), "never\n");
    refused_unchecked(&m, "never compared");
    m.plant(
        1,
        &[0, 3 * REGION - 1, 3 * REGION, SIZE - 1, 20 * REGION + 700],
    );
    m.plant(2, &[10 * REGION + 512, 20 * REGION + 600]);
    let text = m.compare("check");
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with("done 20"), "{text}");
    assert!(
        first.ends_with("Z, 3584 bytes differ in 6 places"),
        "{text}"
    );
    let wanted = [
        differs(0, 1, "0 1"),
        differs(3 * REGION - 1, 2, "0 1"),
        differs(10 * REGION + 512, 1, "0 2"),
        differs(20 * REGION + 512, 1, "0 1"),
        differs(20 * REGION + 512, 1, "0 2"),
        differs(SIZE - 1, 1, "0 1"),
    ];
    assert_eq!(m.places(), wanted, "{text}");
    assert_told(&m, first);
    refused_unchecked(&m, "3584 bytes differ in 6 places");
    // Put back as it was: the same bytes flipped once more.
    m.plant(
        1,
        &[0, 3 * REGION - 1, 3 * REGION, SIZE - 1, 20 * REGION + 700],
    );
    m.plant(2, &[10 * REGION + 512, 20 * REGION + 600]);
    let text = m.compare("check");
    assert!(is_clean(&text), "{text}");
    let digest = format!(", sha256={}\n", sum(&m.legs[0]));
    assert!(text.ends_with(&digest), "{text} {digest}");
    assert!(m.m("health").starts_with("ok\n"), "{}", m.m("health"));
    assert!(!m.m("health").contains("differ"), "{}", m.m("health"));
    m.ctl("suspend");
    m.ctl("resume");
    m.ctl("finish 2 checked");
    assert!(m.m("table").contains(" linear "), "{}", m.m("table"));
    m.remove();
}

fn refused_unchecked(m: &Compared, words: &str) {
    let answer = m.mount.try_write("m/ctl", "finish checked");
    refused(answer, Errno::EBUSY, "not checked");
    let answer = m.mount.try_write("m/ctl", "finish 1 checked");
    refused(answer, Errno::EBUSY, words);
}

/// In JSON, in the metrics, as a warning, as an event.
fn assert_told(m: &Compared, first: &str) {
    let json: serde_json::Value = serde_json::from_str(&m.m("info.json")).expect("JSON");
    assert_eq!(json["check"][0], first);
    assert_eq!(json["check"].as_array().map(Vec::len), Some(7));
    let metrics = m.mount.read("metrics");
    let figure = "mirrorfs_check_mismatch_bytes{mirror=\"m\"} 3584\n";
    assert!(metrics.contains(figure), "{metrics}");
    let time = "mirrorfs_check_timestamp_seconds{mirror=\"m\"} 1";
    assert!(metrics.contains(time), "{metrics}");
    let health = m.m("health");
    let warning = "\nwarning 3584 bytes differ between the legs in 6 places: ";
    assert!(health.contains(warning), "{health}");
    m.told(" m check all legs are compared\n");
    m.told(" m check done 20");
    m.told(" m differs 3584 bytes in 6 places\n");
}

/// A thousand lines, and how many more there are; then all of them are mended.
pub fn many_places(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let at = |number: u64| number * 57_344 + 512;
    let all: Vec<u64> = (0..1100).map(at).collect();
    m.plant(1, &all);
    let text = m.compare("check");
    let first = text.lines().next().expect("a line");
    assert!(
        first.ends_with(" 563200 bytes differ in 1100 places"),
        "{first}"
    );
    let wanted = all.iter().map(|byte| differs(*byte, 1, "0 1"));
    let wanted: Vec<String> = wanted.take(1000).chain(["and 100 more".into()]).collect();
    assert_eq!(m.places(), wanted);
    let text = m.compare("repair");
    assert!(is_clean(&text), "{text}");
    assert!(text.ends_with(", 563200 bytes repaired\n"), "{text}");
    assert_eq!(sum(&m.legs[0]), sum(&m.legs[1]));
    m.remove();
}

/// What was found of a leg says nothing of another one.
pub fn not_of_other_legs(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.plant(1, &[MIB]);
    m.compare("check");
    assert_eq!(m.places(), [differs(MIB, 1, "0 1")]);
    m.ctl(&format!("replace 1 {}", lab.blank(2)));
    m.mount.wait_in_sync("m");
    assert_eq!(m.m("check"), "never\n");
    assert!(!m.m("health").contains("differ"), "{}", m.m("health"));
    // Nor what is of another time.
    assert!(is_clean(&m.compare("check")));
    let table = m.m("table");
    m.mount.write("m/table", table.trim());
    m.mount.wait_in_sync("m");
    let answer = m.mount.try_write("m/ctl", "finish checked");
    refused(answer, Errno::EBUSY, "not checked under this table");
    plant(&lab.disk(2), &[MIB]);
    assert_eq!(m.compare("check").lines().count(), 2);
    m.ctl("resync");
    assert_eq!(m.m("check"), "never\n");
    m.mount.wait_in_sync("m");
    assert!(is_clean(&m.compare("check")));
    // While it runs the legs become others.
    m.limit("4M");
    m.ctl("check");
    m.when(1.0);
    m.ctl("drop 1");
    let text = m.ended();
    assert!(
        text.starts_with("never") || text.starts_with("stopped"),
        "{text}"
    );
    m.remove();
}

/// On legs that begin elsewhere, at sectors that are no page's, a place is the mirror's.
pub fn at_offsets(lab: &Lab) {
    let (one, other) = (lab.random(0, SIZE), lab.noise(1, SIZE).0);
    let (first, second) = (3 * 512, MIB + 512);
    let legs = vec![format!("{one}@{first}"), format!("{other}@{second}")];
    let m = Compared::made_of_length(lab.mount(), legs, 32);
    plant(&other, &[second, second + 5 * MIB, second + 32 * MIB - 1]);
    let text = m.compare("check");
    let wanted = [0, 5 * MIB, 32 * MIB - 1].map(|byte| differs(byte, 1, "0 1"));
    assert_eq!(m.places(), wanted, "{text}");
    let text = m.compare("repair");
    assert!(is_clean(&text), "{text}");
    assert_equal_at((&one, first), (&other, second), 32 * MIB);
    m.remove();
}

/// A mirror that consists of several: each has legs of its own.
pub fn several_mirrors(lab: &Lab) {
    let mount = lab.mount();
    let disks = [0, 1, 2, 3].map(|number| lab.random(number, 16 * MIB));
    let [a, b, c, d] = &disks;
    let sectors = 16 * MIB / 512;
    let target = |start: u64, one: &str, other: &str| {
        format!("{start} {sectors} mirror core 1 256 2 {one} 0 {other} 0 1 handle_errors")
    };
    let (first, second) = (target(0, a, b), target(sectors, c, d));
    mount.write("new", &format!("m,,,,{first},{second}"));
    mount.wait_in_sync("m");
    let m = Compared {
        mount,
        legs: disks.to_vec(),
    };
    m.plant(1, &[MIB]);
    m.plant(3, &[MIB]);
    let text = m.compare("check");
    let wanted = [differs(MIB, 1, "0 1"), differs(17 * MIB, 1, "2 3")];
    assert_eq!(m.places(), wanted, "{text}");
    assert!(is_clean(&m.compare("repair FROM 1")));
    for (one, other) in [(a, b), (c, d)] {
        assert_equal(one, other, 16 * MIB);
    }
    m.remove();
}

/// On a disk with blocks of 4 KiB a sector is told, and a block is copied.
pub fn large_blocks(lab: &Lab) {
    let (one, file) = (lab.random(0, SIZE), lab.path("large"));
    let file = file.display().to_string();
    output(&format!("fallocate -l {SIZE} {file}"));
    let disk = output(&format!("losetup -f --show --sector-size 4096 {file}"));
    let disk = disk.trim().to_string();
    let _undo = Undo(format!("losetup -d {disk}; rm {file}"));
    let m = Compared::made_of(lab.mount(), vec![disk.clone(), one.clone()]);
    assert!(is_clean(&m.compare("check")));
    for (leg, verb) in [
        (&one, "repair"),
        (&one, "repair FROM 0"),
        (&one, "repair FROM 1"),
    ] {
        plant(leg, &[0, 9 * 512, SIZE - 512]);
        let text = m.compare("check");
        let wanted = [0, 9 * 512, SIZE - 512].map(|byte| differs(byte, 1, "0 1"));
        assert_eq!(m.places(), wanted, "{text}");
        let text = m.compare(verb);
        assert!(is_clean(&text), "{text}");
        assert_equal(&disk, &one, SIZE);
    }
    m.remove();
}

/// What comes in the middle of a check is compared as well.
pub fn grown_meanwhile(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.limit("16M");
    m.ctl("check");
    m.when(5.0);
    m.ctl("grow 72M");
    m.limit("none");
    m.mount.wait_in_sync("m");
    let text = m.ended();
    assert!(is_clean(&text), "{text}");
    m.plant(1, &[70 * MIB]);
    let text = m.compare("check");
    assert_eq!(m.places(), [differs(70 * MIB, 1, "0 1")], "{text}");
    m.remove();
}

pub fn what_is_refused(lab: &Lab) {
    let m = Compared::new(lab, 2);
    for (verb, errno, words) in [
        ("check stop", Errno::EINVAL, "m is not being checked"),
        ("repair FROM 2", Errno::EINVAL, "2"),
        ("repair 1", Errno::EINVAL, "1"),
        ("repair FROM", Errno::EINVAL, "leg"),
        ("check now", Errno::EINVAL, "now"),
        ("finish checked lossy", Errno::EINVAL, "lossy"),
    ] {
        refused(m.mount.try_write("m/ctl", verb), errno, words);
    }
    m.limit("1M");
    m.ctl("check");
    refused(
        m.mount.try_write("m/ctl", "check"),
        Errno::EBUSY,
        "`check stop`",
    );
    m.ctl("check stop");
    m.limit("none");
    m.ctl("finish");
    refused(
        m.mount.try_write("m/ctl", "check"),
        Errno::EINVAL,
        "no mirror target",
    );
    refused(m.mount.try_write("m/ctl", "repair"), Errno::EINVAL, "");
    m.remove();
}

/// Who waits for `check` is woken by its end.
pub fn polled(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.limit("32M");
    m.ctl("check");
    wait_for("it runs", || m.m("check").starts_with("running "));
    let mut file = m.mount.open("m/check");
    let mut read = String::new();
    file.read_to_string(&mut read).expect("a read");
    let mut woken = 0;
    while read.starts_with("running ") {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        poll(&mut fds, PollTimeout::from(20_000_u16)).expect("a poll");
        let news = fds[0].revents().expect("known flags");
        assert!(news.contains(PollFlags::POLLPRI), "{news:?}");
        woken += 1;
        thread::yield_now();
        read.clear();
        file.rewind().expect("a seek");
        file.read_to_string(&mut read).expect("a read");
    }
    assert!(is_clean(&read) && woken > 0, "{read}");
    m.remove();
}
